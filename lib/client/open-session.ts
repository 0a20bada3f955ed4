// Opens an SSH connection to the coordinator with what this node, its user's ssh configuration and its keys say.

import type { NodeConfig } from '../config/node-config.ts'
import type { Log } from '../daemon/log.ts'
import { prepareDial } from '../ssh/client/dial.ts'
import { SshSession } from '../ssh/client/ssh-session.ts'

/** `data` connections ask no keep-alive questions: their transfers tell whether the link lives. Throws `Unreachable` or `Unauthorised`. */
export async function openSession(
  { coordinator: { address, port, user }, ssh }: NodeConfig,
  log: Log,
  signal: AbortSignal,
  kind: 'control' | 'data' = 'control',
): Promise<SshSession> {
  const { home, identity, knownHosts, hostKeyChecking } = ssh
  const agentSocket = process.env['SSH_AUTH_SOCK']
  const options = await prepareDial(
    { address, port, user, home, identity, knownHosts, hostKeyChecking, agentSocket },
    signal,
  )
  return await SshSession.open({ ...options, log, ...(kind === 'data' ? { keepaliveMs: 0 } : {}) }, signal)
}
