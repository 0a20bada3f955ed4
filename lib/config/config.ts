// The configuration as the program sees it: checked, typed, the same on every machine.

export type Mode = 'two-way' | 'mirror' | 'append-only'

/** How long superseded and deleted contents are kept. */
export type Versions =
  | { readonly kind: 'days'; readonly days: number }
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }

/** The share (0 to 1) of a folder above which a delete is held. */
export type MaxDelete = { readonly kind: 'share'; readonly share: number } | { readonly kind: 'off' }

export type Conflict = 'latest' | 'keep-both'

export type Level = 'error' | 'warn' | 'info' | 'debug'

/** A machine of the file: the user there, its address and port. `line` is where the file says so. */
export interface Machine {
  readonly user: string
  readonly ip: string
  readonly port: number
  readonly line: number
}

export interface ClientMachine extends Machine {
  readonly name: string
}

/** A folder as the file describes it. `paths`: where it lives on single nodes, by node name. Clients by name, as `[systemsync.clients]` spells them. */
export interface FolderConfig {
  readonly name: string
  readonly path: string
  readonly line: number
  readonly paths: ReadonlyMap<string, { readonly path: string; readonly line: number }>
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

/** Paths as written; `undefined`: not written, and there is no default. */
export interface SshConfig {
  readonly transport: 'embedded' | 'openssh'
  readonly sshPort: number
  /** Not written: the agent and the usual files. */
  readonly identity: string | undefined
  readonly knownHosts: string
  readonly rpcSocket: string | undefined
  readonly authorizedKeys: string
  readonly hostKeyChecking: 'yes' | 'accept-new'
}

/** Bytes per second; 0 = no limit. */
export interface Limits {
  readonly upload: number
  readonly download: number
}

export interface Config {
  readonly file: string
  readonly server: Machine
  readonly clients: readonly ClientMachine[]
  readonly folders: readonly FolderConfig[]
  readonly ssh: SshConfig
  readonly log: { readonly level: Level; readonly messages: string }
  readonly limits: Limits
  readonly warnings: readonly string[]
}
