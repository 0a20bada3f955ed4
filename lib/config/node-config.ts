// The configuration as one node sees it: who it is, where its folders, keys, state and logs lie.

import { networkInterfaces } from 'node:os'
import { join, resolve } from 'node:path'
import { isIPv4 } from 'node:net'
import { checkPlaces } from './check-places.ts'
import type { Config, Conflict, FolderConfig, Level, MaxDelete, Mode, Versions } from './config.ts'
import { expandPath } from './expand-path.ts'
import { systemUsers, type Users } from './homes.ts'
import { identify, type Identity, type NodeFlags, type Role } from './identity.ts'
import { ConfigError } from '../errors.ts'
import { hostPath, type HostPath } from '../model/path.ts'

/** Where the coordinator is, and as whom to log in there. `bind`: what the coordinator itself listens on. */
export interface Coordinator {
  readonly user: string
  readonly address: string
  readonly port: number
  readonly bind: string
}

/** A folder as it is on this node. `clients`: who shares it. */
export interface NodeFolder {
  readonly name: string
  readonly root: HostPath
  readonly mode: Mode
  readonly clients: readonly string[]
  readonly receiveOnly: readonly string[]
  readonly ignore: readonly string[]
  readonly versions: Versions
  readonly maxDelete: MaxDelete
  readonly settleMs: number
  readonly rescanMs: number
  readonly conflict: Conflict
}

/** `identity`: the key file to use, when the configuration names one. */
export interface NodeSsh {
  readonly transport: 'embedded' | 'openssh'
  readonly sshPort: number
  readonly identity: HostPath | undefined
  readonly knownHosts: HostPath
  readonly rpcSocket: HostPath | undefined
  readonly authorizedKeys: HostPath
  readonly hostKeyChecking: 'yes' | 'accept-new'
  /** The home of this node's user, for `~/.ssh/config` and the usual key files. */
  readonly home: HostPath
}

/** `node`: `server`, or the client's name. `folders`: those that this node shares. `reading`: how the node was found, for the log. */
export interface NodeConfig {
  readonly role: Role
  readonly node: string
  readonly user: string
  readonly ip: string
  readonly port: number
  readonly reading: string
  readonly config: Config
  readonly coordinator: Coordinator
  readonly folders: readonly NodeFolder[]
  readonly ssh: NodeSsh
  readonly log: { readonly level: Level; readonly messagesFile: HostPath }
  readonly stateDir: HostPath
  readonly logFile: HostPath
  readonly warnings: readonly string[]
}

/** Flags of the command line as far as they were given; paths may be relative to `cwd`. */
export interface Flags extends NodeFlags {
  readonly state?: string
  readonly log?: string
  readonly level?: Level
}

/** What this process knows of its machine; a test gives its own. */
export interface Machinery {
  readonly users: Users
  readonly cwd: string
  readonly xdgStateHome: string | undefined
  /** The addresses of this machine's network interfaces. */
  readonly addresses: readonly string[]
}

/** This machine and this process. */
export function thisMachine(): Machinery {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
  return { users: systemUsers, cwd: process.cwd(), xdgStateHome: process.env['XDG_STATE_HOME'], addresses }
}

/** Puts `config` and `flags` together. Throws `UsageError` when the node cannot be told, `ConfigError` when places are unusable. */
export function resolveNode(config: Config, flags: Flags, machine: Machinery = thisMachine()): NodeConfig {
  const identity = identify(config, flags)
  const { role, node, user, ip, port, reading } = identity
  const { bind, warning } =
    role === 'server' ? bindAddress(identity, machine.addresses) : { bind: '', warning: undefined }
  const address = role === 'server' && !isWildcard(ip) ? ip : config.server.ip
  const coordinator: Coordinator = {
    user: role === 'server' ? user : config.server.user,
    address,
    port: role === 'server' ? port : config.server.port,
    bind,
  }
  const stateDir = hostPath(resolve(machine.cwd, flags.state ?? join(stateHome(machine), node)))
  const { messages, level } = config.log
  const folders = config.folders
    .filter(({ clients }) => role === 'server' || clients.includes(node))
    .map((folder) => nodeFolder(folder, { node, user, users: machine.users }))
  const resolved: NodeConfig = {
    ...{ role, node, user, ip, port, reading, config, coordinator, folders, stateDir },
    ssh: nodeSsh(config, user, machine.users),
    log: {
      level: flags.level ?? level,
      messagesFile: messages.startsWith('~')
        ? expandPath(messages, user, machine.users).place
        : hostPath(resolve(stateDir, messages)),
    },
    logFile: hostPath(resolve(machine.cwd, flags.log ?? join(stateDir, `systemsync.log.${ip}-${String(port)}`))),
    warnings: [...config.warnings, ...(warning === undefined ? [] : [warning]), ...unbuilt(config, folders)],
  }
  checkPlaces(resolved, identity, machine)
  return resolved
}

/** What the configuration asks for that is not built yet, one sentence each. */
export function unbuilt(
  config: Config,
  folders: readonly Pick<NodeFolder, 'name' | 'mode' | 'receiveOnly'>[],
): string[] {
  return [
    ...(config.ssh.transport === 'openssh'
      ? ['[systemsync.ssh] transport = openssh: not built yet, use embedded']
      : []),
    ...folders.flatMap(({ name, mode, receiveOnly }) => [
      ...(mode === 'two-way' ? [] : [`[systemsync.dir.${name}] mode = ${mode}: not built yet, use two-way`]),
      ...(receiveOnly.length === 0 ? [] : [`[systemsync.dir.${name}] receive-only: not built yet, leave it out`]),
    ]),
  ]
}

/** Throws `ConfigError` when the configuration asks for what is not built yet: better no daemon than one that does something else. */
export function refuseUnbuilt({ config, folders }: NodeConfig): void {
  const missing = unbuilt(config, folders)
  if (missing.length > 0) throw new ConfigError(missing.map((sentence) => `${config.file}: ${sentence}`).join('\n'))
}

/** An address of this machine is bound as it is; any other (a router's, a cloud's) cannot be, so all are. */
function bindAddress({ ip }: Identity, addresses: readonly string[]): { bind: string; warning: string | undefined } {
  if (isWildcard(ip) || ip === 'localhost' || addresses.includes(ip)) return { bind: ip, warning: undefined }
  if (isIPv4(ip) && ip.startsWith('127.')) return { bind: ip, warning: undefined }
  return {
    bind: '0.0.0.0',
    warning: `${ip} is not an address of this machine: listening on every address, advertising ${ip}`,
  }
}

function isWildcard(ip: string): boolean {
  return ip === '0.0.0.0' || ip === '::'
}

/** `$XDG_STATE_HOME/systemsync` (a relative value is to be ignored: XDG Base Directory Specification). */
export function stateHome({ xdgStateHome, users }: Machinery): string {
  const base = xdgStateHome?.startsWith('/') ? xdgStateHome : join(users.home, '.local/state')
  return join(base, 'systemsync')
}

interface Place {
  readonly node: string
  readonly user: string
  readonly users: Users
}

function nodeFolder(folder: FolderConfig, { node, user, users }: Place): NodeFolder {
  const { name, mode, clients, receiveOnly, ignore, versions, maxDelete, settleMs, rescanMs, conflict } = folder
  const root = expandPath(folder.paths.get(node)?.path ?? folder.path, user, users).place
  return { name, root, mode, clients, receiveOnly, ignore, versions, maxDelete, settleMs, rescanMs, conflict }
}

function nodeSsh({ ssh }: Config, user: string, users: Users): NodeSsh {
  const expand = (path: string) => expandPath(path, user, users).place
  return {
    transport: ssh.transport,
    sshPort: ssh.sshPort,
    identity: ssh.identity === undefined ? undefined : expand(ssh.identity),
    knownHosts: expand(ssh.knownHosts),
    rpcSocket: ssh.rpcSocket === undefined ? undefined : expand(ssh.rpcSocket),
    authorizedKeys: expand(ssh.authorizedKeys),
    hostKeyChecking: ssh.hostKeyChecking,
    home: expand('~'),
  }
}
