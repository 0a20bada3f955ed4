// Finds the state directory of the daemon that a sub-command is about.

import { join, resolve } from 'node:path'
import type { CommandContext } from './context.ts'
import { hasDaemon } from './control-socket.ts'
import type { Config } from '../config/config.ts'
import type { NodeFlags, Role } from '../config/identity.ts'
import { stateHome } from '../config/node-config.ts'
import { loadConfig } from '../config/parse-config.ts'
import { Unreachable, UsageError } from '../errors.ts'
import { hostPath, type HostPath } from '../model/path.ts'

/** The configuration that applies when `-config` is not given. */
export const DEFAULT_CONFIG = 'systemsync.cfg'

/** Reads the file that `-config` names. */
export function configOf({ args, machine }: Pick<CommandContext, 'args' | 'machine'>): Config {
  return loadConfig(resolve(machine.cwd, args.config ?? DEFAULT_CONFIG))
}

interface Candidate {
  readonly role: Role
  readonly name: string
  readonly stateDir: HostPath
  readonly flags: string
}

/**
 * `-state` suffices. Else it is the node of the configuration that fits the flags; of several, the one whose daemon runs.
 * Throws `UsageError` when several run, `Unreachable` when none does.
 */
export async function findStateDir({ args, machine }: Pick<CommandContext, 'args' | 'machine'>): Promise<HostPath> {
  if (args.state !== undefined) return hostPath(resolve(machine.cwd, args.state))
  const config = configOf({ args, machine })
  const candidates = fitting(config, args, stateHome(machine))
  const [only] = candidates
  if (only !== undefined && candidates.length === 1) return only.stateDir
  const running: Candidate[] = []
  for (const candidate of candidates) if (await hasDaemon(candidate.stateDir)) running.push(candidate)
  const [found] = running
  if (found !== undefined && running.length === 1) return found.stateDir
  if (running.length > 1) {
    throw new UsageError(
      `Cannot tell which daemon is meant: ${String(running.length)} of this configuration are running`,
      {
        hint: `Give one of: ${running.map(({ flags }) => flags).join('; ')}`,
      },
    )
  }
  if (candidates.length === 0) {
    throw new UsageError(`Cannot tell which daemon is meant: no node of "${config.file}" fits the flags given`, {
      hint: 'monitor check shows the nodes',
    })
  }
  throw new Unreachable('Cannot ask the daemon: none of this configuration is running here', {
    hint: 'Start it: monitor -role server, or monitor -role client; or name its state directory with -state',
  })
}

function fitting(config: Config, { role, ip, port, uname }: Partial<NodeFlags>, home: string): Candidate[] {
  const fits = (machine: { user: string; ip: string; port: number }) =>
    (uname === undefined || uname === machine.user) &&
    (ip === undefined || ip === machine.ip) &&
    (port === undefined || port === machine.port)
  const place = (name: string) => hostPath(join(home, name))
  const server: Candidate = { role: 'server', name: 'server', stateDir: place('server'), flags: '-role server' }
  // For the coordinator flags replace what the file says; they name no other node.
  const servers = role === 'server' || (role === undefined && fits(config.server)) ? [server] : []
  if (role === 'server') return servers
  const own = config.clients.filter(fits)
  const isServerAddress = (ip ?? port) !== undefined && fits({ ...config.server, user: uname ?? '' })
  const byUser = isServerAddress ? config.clients.filter(({ user }) => uname === undefined || user === uname) : []
  const clients = (own.length > 0 ? own : byUser).map(({ name, user, ip: address, port: number }): Candidate => {
    const flags = `-role client -uname ${user} -ip ${address} -port ${String(number)}`
    return { role: 'client', name, stateDir: place(name), flags }
  })
  return [...servers, ...clients]
}
