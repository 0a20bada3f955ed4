// The coordinator: serves folders to clients over its own SSH server, and keeps the roster.

import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { NodeConfig, NodeFolder } from '../config/node-config.ts'
import { NodeSettings } from '../config/node-settings.ts'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/log.ts'
import type { MessageLog } from '../daemon/message-log.ts'
import { Refused } from '../errors.ts'
import type { Digest } from '../model/digest.ts'
import type { DiskLanes } from '../replica/disk-lanes.ts'
import { RpcPeer } from '../rpc/peer.ts'
import { toWireDigest, toWirePatch } from '../rpc/wire.ts'
import { KeyBook } from '../ssh/authorized-keys.ts'
import { loadHostKey } from '../ssh/server/host-key.ts'
import { jail } from '../ssh/server/jail.ts'
import type { ServerConnection } from '../ssh/server/server-connection.ts'
import { serveSftp } from '../ssh/server/sftp-server.ts'
import { SshServer } from '../ssh/server/ssh-server.ts'
import { enterBySftp } from './enter-by-sftp.ts'
import { behindOf } from './facts.ts'
import type { Announcement, FolderHub } from './folder-hub.ts'
import { maintain } from './maintain.ts'
import { openFolder, type ServedFolder } from './open-folder.ts'
import { Roster, type Member } from './roster.ts'
import type { Growth } from './uploads.ts'
import { Teller, type ComingHint, type PatchHint } from './teller.ts'
import { SftpRoom } from './sftp-room.ts'
import { methodsFor, piecesOf, type Caller, type Hello, type Welcome } from './rpc-methods.ts'

const MAINTAIN_MS = 3_600_000
/** Committing a large content takes as long as reading it once. */
const CALL_TIMEOUT_MS = 3_600_000

export interface CoordinatorParts {
  readonly node: NodeConfig
  readonly lanes: DiskLanes
  readonly clock: Clock
  readonly log: Log
  readonly messageLog: MessageLog
}

export interface ClientFact {
  readonly name: string
  readonly online: boolean
  readonly fingerprint: string
  readonly behind: number
  readonly lastSeenMs: number | null
}

export class Coordinator implements AsyncDisposable {
  readonly clock: Clock
  readonly #parts: CoordinatorParts
  readonly #settings: NodeSettings
  readonly #roster = new Roster()
  readonly #room = new SftpRoom()
  readonly #folders = new Map<string, ServedFolder>()
  readonly #stop = new AbortController()
  #server: SshServer | undefined
  #maintenance: Disposable | undefined

  private constructor(parts: CoordinatorParts) {
    this.#parts = parts
    this.clock = parts.clock
    this.#settings = new NodeSettings(parts.node.stateDir)
  }

  /** Opens every folder and listens. */
  static async open(parts: CoordinatorParts, signal: AbortSignal): Promise<Coordinator> {
    const coordinator = new Coordinator(parts)
    try {
      await coordinator.#start(signal)
      return coordinator
    } catch (error) {
      await coordinator[Symbol.asyncDispose]()
      throw error
    }
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  port(): number {
    return this.#server?.port() ?? this.#parts.node.port
  }

  hub(folder: string): FolderHub | undefined {
    return this.#folders.get(folder)?.hub
  }

  hubs(): FolderHub[] {
    return [...this.#folders.values()].map(({ hub }) => hub)
  }

  folders(): Iterable<ServedFolder> {
    return this.#folders.values()
  }

  folder(name: string): ServedFolder | undefined {
    return this.#folders.get(name)
  }

  /** Whether any client is connected. */
  get hasClients(): boolean {
    return [...this.#roster.members()].length > 0
  }

  isReplaced(member: Member): boolean {
    return this.#roster.isReplaced(member)
  }

  /** Every client of the config, and how it is in the folders named; in all that it shares when none are. */
  clients(within?: ReadonlySet<string>): ClientFact[] {
    const names = new Set(this.#parts.node.config.clients.map(({ name }) => name))
    return [...names].map((name) => {
      const shared = this.#sharedWith(name).filter((folder) => within === undefined || within.has(folder.name))
      const hubs = shared.flatMap((folder) => this.hub(folder.name) ?? [])
      const seen = hubs.flatMap((hub) => hub.cursorOf(name)?.lastSeenMs ?? [])
      return {
        name,
        online: this.#roster.named(name) !== undefined,
        fingerprint: this.#settings.keyOf(name) ?? '',
        behind: seen.length === 0 ? hubs.reduce((sum, { journal }) => sum + journal.seq(), 0) : behindOf(hubs, name),
        lastSeenMs: seen.length === 0 ? null : Math.max(...seen),
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#maintenance?.[Symbol.dispose]()
    for (const member of this.#roster.members()) member.close()
    await this.#server?.[Symbol.asyncDispose]()
    this.#stop.abort(new DOMException('The coordinator is closing', 'AbortError'))
    await Promise.all([...this.#folders.values()].map(({ replica }) => replica[Symbol.asyncDispose]()))
    for (const { hub } of this.#folders.values()) {
      hub.saveCursors()
      hub.journal.close()
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { node, lanes, clock, log } = this.#parts
    const hostKey = await loadHostKey(`${node.stateDir}/host_key`, log)
    const keys = new KeyBook(node.ssh.authorizedKeys, log)
    for (const folder of node.folders) {
      const served = await openFolder({ folder, stateDir: node.stateDir, lanes, clock, log }, this.#stop.signal)
      this.#folders.set(folder.name, served)
      served.hub.onCommit((news) => {
        this.#tell(folder, news)
      })
      served.hub.store.uploads.onGrowth = (growth) => {
        this.#tellGrowth(folder, growth)
      }
      served.hub.onPatch = ({ peer, sha256, size, patch }) => {
        this.#hint(folder, peer, { sha256: toWireDigest(sha256), size, patch: toWirePatch(patch) })
      }
    }
    this.#maintain()
    this.#server = await SshServer.open(
      {
        address: node.coordinator.bind,
        port: node.port,
        hostKey,
        isAuthorised: (key, username, remoteAddress) =>
          username === node.user && keys.find(key, { remoteAddress, now: clock.now() }) !== undefined,
        onConnection: (connection) => {
          this.#greet(connection)
        },
        clock,
        log,
      },
      signal,
    )
    log.info(`Listening on ${node.coordinator.bind} port ${String(this.port())}`, { hostKey: hostKey.fingerprint })
  }

  #greet(connection: ServerConnection): void {
    const { log } = this.#parts
    const caller: Caller = {
      member: undefined,
      join: () => Promise.reject(new Refused('Cannot join here', { status: 400 })),
      attach: (session) => {
        const member = this.#roster.bySession(session)
        if (member?.fingerprint !== connection.fingerprint) {
          throw new Refused('Cannot attach: no such session of this key', { status: 403 })
        }
        caller.member = member
      },
    }
    log.debug('A connection came in', { from: connection.remoteAddress, fingerprint: connection.fingerprint })
    const { packed, frames, handles } = this.#room.ofConnection()
    connection.onSubsystem('systemsync-rpc', (channel) => {
      this.#serveRpc(connection, caller, channel)
    })
    connection.onSubsystem('sftp', (channel) => {
      const view = {
        ...{ packed, frames },
        folders: () => this.#visible(connection, caller),
        watch: (folder: string) => this.#folders.get(folder)?.hub.store.watch,
        enter: (folder: string) => void enterBySftp(this.hub(folder)),
        coming: (folder: string, sha256: Digest) => this.#folders.get(folder)?.hub.store.growing(sha256),
        get client() {
          return caller.member?.name ?? only(self.#namesOf(connection.fingerprint))
        },
      }
      void serveSftp(channel, jail(view), { handles }, this.#stop.signal)
    })
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getter above needs the coordinator
    const self = this
  }

  #serveRpc(connection: ServerConnection, caller: Caller, channel: Duplex): void {
    const { log, messageLog } = this.#parts
    const peer: RpcPeer = new RpcPeer(channel, {
      methods: methodsFor(this, {
        get member() {
          return caller.member
        },
        set member(member) {
          caller.member = member
        },
        join: (hello) => {
          if (caller.member !== undefined) {
            throw new Refused('Cannot admit twice: this connection has said who it is', { status: 409 })
          }
          const { member, welcome } = this.#join(hello, connection, peer)
          caller.member = member
          return Promise.resolve(welcome)
        },
        attach: (session) => {
          caller.attach(session)
        },
      }),
      log,
      messageLog,
      timeoutMs: CALL_TIMEOUT_MS,
    })
    void peer.closed.then(() => {
      const { member } = caller
      if (member?.peer !== peer) return
      this.#roster.leave(member)
      if (this.#roster.named(member.name) === undefined) for (const hub of this.hubs()) hub.lag.leave(member.name)
      if (!this.#stop.signal.aborted) for (const hub of this.hubs()) hub.saveCursors()
      log.info(`Client "${member.name}" is gone`)
    })
  }

  /** Checks who says hello; binds a new name to its key. */
  #join(hello: Hello, connection: ServerConnection, peer: RpcPeer): { member: Member; welcome: Welcome } {
    const { node, log, clock } = this.#parts
    const name = hello.node
    if (!node.config.clients.some((client) => client.name === name)) {
      throw new Refused(`Cannot admit "${name}": it is not in [systemsync.clients] of the coordinator`, {
        status: 403,
        hint: `Add a line "${name} = USER, IP, PORT" there and start the coordinator again`,
      })
    }
    const bound = this.#settings.keyOf(name)
    if (bound !== undefined && bound !== connection.fingerprint) {
      log.warn(`Refused "${name}" from ${connection.remoteAddress}: it came with another key`, {
        fingerprint: connection.fingerprint,
        bound,
      })
      throw new Refused(
        `Cannot admit "${name}": the name is bound to another key than the one it came with (${connection.fingerprint})`,
        {
          status: 403,
          hint: `Use the key it first came with, or remove "${name}" from node.json in the coordinator's state directory`,
        },
      )
    }
    if (bound === undefined) {
      this.#settings.bindKey(name, connection.fingerprint)
      log.info(`Bound client "${name}" to its key`, { fingerprint: connection.fingerprint })
    }
    const shared = new Map(this.#sharedWith(name).map((folder) => [folder.name, folder]))
    const welcome: Welcome = {
      session: randomBytes(18).toString('base64url'),
      folders: hello.folders.flatMap(({ name: folder, id, incarnation, cursor }) => {
        const served = shared.has(folder) ? this.#folders.get(folder) : undefined
        if (served === undefined) return []
        const { journal } = served.hub
        const isFirst = id !== null && id !== journal.folderId() && journal.clients().length === 0
        if (isFirst && !served.replica.isHalted()) {
          journal.renameFolder(id)
          served.replica.rename(id)
        }
        if (incarnation === journal.incarnation() && cursor > journal.seq()) this.#renew(served, name)
        const known = incarnation === journal.incarnation() ? Math.min(cursor, journal.seq()) : 0
        // Both: what was noted of a connection that is only now being replaced must not count any more.
        served.hub.noteCursor(name, known)
        served.hub.lag.join(name, known)
        journal.setCursor(name, known, clock.now())
        const agreement = { id: journal.folderId(), incarnation: journal.incarnation(), pruned: journal.pruned() }
        return [{ name: folder, ...agreement, seq: journal.seq() }]
      }),
      refused: hello.folders
        .filter((folder) => !shared.has(folder.name))
        .map((folder) => ({ name: folder.name, reason: `it is not shared with "${name}"` })),
    }
    const member: Member = {
      name,
      session: welcome.session,
      fingerprint: connection.fingerprint,
      folders: new Set(welcome.folders.map((folder) => folder.name)),
      peer,
      teller: new Teller(peer),
      close: () => {
        connection.close()
      },
    }
    peer.name = name
    this.#roster.join(member)
    log.info(`Client "${name}" is here`, { from: connection.remoteAddress })
    return { member, welcome }
  }

  /** Without this, what clients have and the journal has not would pass for agreed. */
  #renew(served: ServedFolder, client: string): void {
    const folder = served.hub.name
    this.#parts.log.warn(
      `Client "${client}" knows revisions of folder "${folder}" that this journal does not have: comparing everything anew`,
    )
    served.renew()
    for (const member of [...this.#roster.members()]) if (member.folders.has(folder)) member.close()
  }

  /** Tells everyone who shares the folder of a commit; its author knows. */
  #tell(folder: NodeFolder, news: Announcement): void {
    const members = [...this.#roster.members()].filter(
      (member) => member.folders.has(folder.name) && member.name !== news.author,
    )
    if (members.length === 0) return
    for (const piece of piecesOf(news)) {
      for (const member of members) member.teller.tell(folder.name, piece)
    }
  }

  /** Tells everyone else who shares the folder that a large content is on its way. */
  #tellGrowth(folder: NodeFolder, { peer, sha256, end }: Growth): void {
    const size = this.hub(folder.name)?.expected.sizeOf(sha256)
    if (size !== undefined) this.#hint(folder, peer, { sha256: toWireDigest(sha256), size, end })
  }

  #hint(folder: NodeFolder, author: string, hint: ComingHint | PatchHint): void {
    for (const member of this.#roster.members()) {
      if (member.name !== author && member.folders.has(folder.name)) member.teller.hint(folder.name, hint)
    }
  }

  #sharedWith(client: string): NodeFolder[] {
    return this.#parts.node.folders.filter((folder) => folder.clients.includes(client))
  }

  #namesOf(fingerprint: string): string[] {
    return this.#parts.node.config.clients
      .map(({ name }) => name)
      .filter((name) => this.#settings.keyOf(name) === fingerprint)
  }

  #visible(connection: ServerConnection, { member }: Caller): NodeFolder[] {
    if (member !== undefined) return this.#parts.node.folders.filter((folder) => member.folders.has(folder.name))
    const names = this.#namesOf(connection.fingerprint)
    return this.#parts.node.folders.filter((folder) => names.some((name) => folder.clients.includes(name)))
  }

  #maintain(): void {
    const { node, clock, log } = this.#parts
    for (const folder of node.folders) {
      const served = this.#folders.get(folder.name)
      if (served === undefined) continue
      const { hub, replica } = served
      // What stands there now may be another folder: nothing of it is touched.
      if (replica.isHalted()) continue
      hub.saveCursors()
      const cursors = hub.journal.clients().filter((client) => folder.clients.includes(client.name))
      const passed = Math.min(replica.cursor, ...cursors.map((client) => client.cursor))
      const gone = maintain(hub, { versions: folder.versions, nowMs: clock.now(), passed })
      if (gone.revisions + gone.contents > 0) log.info(`Forgot old versions of folder "${folder.name}"`, gone)
    }
    this.#maintenance = clock.after(MAINTAIN_MS, () => {
      this.#maintain()
    })
  }
}

function only(names: readonly string[]): string | undefined {
  return names.length === 1 ? names[0] : undefined
}
