// What it takes to reach the coordinator: puts the person's ssh configuration, keys and known hosts together for one address.

import { gatherIdentities } from './identities.ts'
import { readSshConfig, type HostConfig } from './ssh-config.ts'
import type { SshHost } from './ssh-link.ts'
import type { SessionOptions } from './ssh-session.ts'
import type { HostKeyChecking } from './host-key-check.ts'

/** The coordinator as systemsync.cfg describes it. All paths are absolute. */
export interface DialSettings {
  readonly address: string
  readonly port: number
  readonly user: string
  /** The home of the user this node runs for. */
  readonly home: string
  /** The key file that systemsync.cfg names; it goes before those of the ssh configuration. */
  readonly identity: string | undefined
  /** The file that systemsync.cfg names. Another than the usual one goes before those of the ssh configuration. */
  readonly knownHosts: string
  readonly hostKeyChecking: HostKeyChecking
  /** `SSH_AUTH_SOCK`. */
  readonly agentSocket: string | undefined
}

/** Host keys that the machine's owner vouches for; only ever read. */
const SYSTEM_KNOWN_HOSTS = '/etc/ssh/ssh_known_hosts'

/**
 * Collects what `SshSession.open` needs. To be asked anew for each attempt to connect, for keys and agents come and go.
 * Throws `ConfigError` when the ssh configuration is wrong.
 */
export async function prepareDial(settings: DialSettings, signal: AbortSignal): Promise<SessionOptions> {
  const { address, port, user, home, identity } = settings
  const config = await readSshConfig({ address, port, user, home }, signal)
  const proxyJump: SshHost[] = []
  for (const hop of config.proxyJump) {
    const hopConfig = await readSshConfig({ ...hop, home }, signal)
    proxyJump.push(await toHost(hopConfig, settings, hopConfig.identityFiles, signal))
  }
  const files = identity === undefined ? config.identityFiles : [identity]
  return { ...(await toHost(config, settings, files, signal)), proxyJump }
}

async function toHost(
  config: HostConfig,
  { home, knownHosts, hostKeyChecking, agentSocket }: DialSettings,
  files: readonly string[],
  signal: AbortSignal,
): Promise<SshHost> {
  const socket = config.identityAgent ?? agentSocket
  const sources = {
    home,
    files,
    agentSocket: socket === 'none' ? undefined : socket,
    identitiesOnly: config.identitiesOnly,
  }
  const isUsual = knownHosts === `${home}/.ssh/known_hosts`
  const named = isUsual && config.knownHostsFiles.length > 0 ? config.knownHostsFiles : [knownHosts]
  return {
    address: config.hostName,
    port: config.port,
    user: config.user,
    identities: await gatherIdentities(sources, signal),
    knownHosts: [...named, SYSTEM_KNOWN_HOSTS],
    hostKeyChecking,
  }
}
