// Which node of the configuration this process is.

import type { ClientMachine, Config, Machine } from './config.ts'
import { UsageError } from '../errors.ts'

export type Role = 'server' | 'client'

/** The flags that name a node, as far as they were given. */
export interface NodeFlags {
  readonly role: Role
  readonly ip?: string
  readonly port?: number
  readonly uname?: string
}

/** `node`: `server` or the client's name. `ip`, `port`: as given, else as in the file. `reading`: how the flags were understood, for the log. */
export interface Identity {
  readonly role: Role
  readonly node: string
  readonly user: string
  readonly ip: string
  readonly port: number
  readonly entry: Machine
  readonly reading: string
}

/** Finds the node. Throws `UsageError` when no client, or more than one, fits, naming the line to add or the flag to give. */
export function identify(config: Config, flags: NodeFlags): Identity {
  return flags.role === 'server' ? identifyServer(config, flags) : identifyClient(config, flags)
}

/** Flags that were left out come from the entry. */
function identifyServer({ server }: Config, flags: NodeFlags): Identity {
  const given = { user: flags.uname ?? server.user, ip: flags.ip ?? server.ip, port: flags.port ?? server.port }
  const same = given.user === server.user && given.ip === server.ip && given.port === server.port
  const reading = same
    ? `the coordinator, as in line ${String(server.line)} of the configuration`
    : `the coordinator, with flags instead of line ${String(server.line)} of the configuration`
  return { role: 'server', node: 'server', ...given, entry: server, reading }
}

function identifyClient(config: Config, flags: NodeFlags): Identity {
  const own = config.clients.filter((client) => agrees(client, flags))
  const [only] = own
  if (only !== undefined && own.length === 1) {
    return clientIdentity(only, flags, `client "${only.name}": its user, ip and port agree with the flags given`)
  }
  const { server } = config
  const namesServer =
    (flags.ip !== undefined || flags.port !== undefined) && agrees(server, { ip: flags.ip, port: flags.port })
  if (namesServer) {
    const byUser = config.clients.filter(({ user }) => flags.uname === undefined || user === flags.uname)
    const [found] = byUser
    if (found !== undefined && byUser.length === 1) {
      return clientIdentity(
        found,
        flags,
        `client "${found.name}", found by its user: -ip and -port are the coordinator's`,
      )
    }
    if (byUser.length > 1) throw severalFit(byUser, flags)
  }
  throw own.length > 1 ? severalFit(own, flags) : noneFits(config, flags)
}

function clientIdentity(client: ClientMachine, flags: NodeFlags, reading: string): Identity {
  return {
    role: 'client',
    node: client.name,
    user: client.user,
    ip: flags.ip ?? client.ip,
    port: flags.port ?? client.port,
    entry: client,
    reading,
  }
}

type Given = {
  readonly ip?: string | undefined
  readonly port?: number | undefined
  readonly uname?: string | undefined
}

function agrees(machine: Machine, { ip, port, uname }: Given): boolean {
  return (
    (ip === undefined || ip === machine.ip) &&
    (port === undefined || port === machine.port) &&
    (uname === undefined || uname === machine.user)
  )
}

/** Names the flags that would tell the candidates apart. */
function severalFit(fitting: readonly ClientMachine[], flags: NodeFlags): UsageError {
  const differ = (of: (client: ClientMachine) => unknown) => new Set(fitting.map(of)).size > 1
  const missing = [
    ...(flags.uname === undefined && differ(({ user }) => user) ? ['-uname'] : []),
    ...(differ(({ ip }) => ip) ? ['-ip'] : []),
    ...(differ(({ port }) => port) ? ['-port'] : []),
  ]
  const list = fitting.map(({ name, user, ip, port }) => `${name} = ${user}, ${ip}, ${String(port)}`).join('; ')
  return new UsageError(`Cannot tell which client this is: ${String(fitting.length)} fit the flags (${list})`, {
    hint: `Give ${missing.join(' or ')} of this client's own line`,
  })
}

function noneFits({ file, clients }: Config, { uname, ip, port }: NodeFlags): UsageError {
  const flags = [
    ...(uname === undefined ? [] : [`-uname ${uname}`]),
    ...(ip === undefined ? [] : [`-ip ${ip}`]),
    ...(port === undefined ? [] : [`-port ${String(port)}`]),
  ].join(' ')
  const cased = clients.find(({ user }) => user !== uname && user.toLowerCase() === uname?.toLowerCase())
  const line = `NAME = ${uname ?? 'USER'}, ${ip ?? 'IP'}, ${String(port ?? 'PORT')}`
  return new UsageError(
    `Cannot tell which client this is: no client of "${file}" fits ${flags === '' ? '(it has none)' : flags}`,
    {
      hint: cased
        ? `User names are case-sensitive: did you mean -uname ${cased.user}`
        : `Add to [systemsync.clients]: ${line}`,
    },
  )
}
