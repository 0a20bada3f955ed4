// A coordinator and clients in this process, over real SSH on loopback: each with a home, a key, a state directory and a clock of its own.
import { setMaxListeners } from 'node:events'
import { appendFileSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { z } from 'zod'
import { Client } from '../../lib/client/client.ts'
import { openSession } from '../../lib/client/open-session.ts'
import { resolveNode, type NodeConfig } from '../../lib/config/node-config.ts'
import { parseConfig } from '../../lib/config/parse-config.ts'
import { systemClock, type Clock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { Refused } from '../../lib/errors.ts'
import { hostPath } from '../../lib/model/path.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import type { Replica } from '../../lib/replica/replica.ts'
import { RpcPeer } from '../../lib/rpc/peer.ts'
import { Coordinator } from '../../lib/server/coordinator.ts'
import type { FolderHub } from '../../lib/server/folder-hub.ts'
import type { SshSession } from '../../lib/ssh/client/ssh-session.ts'
import { makeHostKey } from '../../lib/ssh/server/host-key.ts'
import { ShiftedLanes, shiftedClock } from './shifted.ts'
import { differences, treeOf, type Tree } from './trees.ts'

const IN_STEP_MS = 20_000

/** Names of the clients and folders; `options` by folder, as lines; `aheadMs` by node: how far its clock is ahead. */
export interface Plan {
  readonly clients: readonly string[]
  readonly folders?: readonly string[]
  readonly options?: Readonly<Record<string, readonly string[]>>
  readonly aheadMs?: Readonly<Record<string, number>>
}

/** What a bare peer gets for an answer. */
export interface Answer {
  readonly result?: unknown
  readonly status?: number
  readonly code?: number
  readonly text?: string
}

/** One node's folders on this machine. */
export class Place {
  readonly name: string
  readonly home: string

  constructor(name: string, home: string) {
    this.name = name
    this.home = home
  }

  at(path = '', folder = 'docs'): string {
    return path === '' ? join(this.home, folder) : join(this.home, folder, path)
  }

  put(path: string, body: string | Uint8Array, folder = 'docs'): void {
    mkdirSync(dirname(this.at(path, folder)), { recursive: true })
    writeFileSync(this.at(path, folder), body)
  }

  remove(path: string, folder = 'docs'): void {
    rmSync(this.at(path, folder), { recursive: true })
  }

  read(path: string, folder = 'docs'): string {
    return readFileSync(this.at(path, folder), 'utf8')
  }

  bytes(path: string, folder = 'docs'): Buffer {
    return readFileSync(this.at(path, folder))
  }

  has(path: string, folder = 'docs'): boolean {
    return lstatSync(this.at(path, folder), { throwIfNoEntry: false }) !== undefined
  }

  tree(folder = 'docs'): Tree {
    return treeOf(this.at('', folder))
  }
}

class HeldLanes extends DiskLanes {
  readonly #before: () => Promise<'fail' | undefined>

  constructor(before: () => Promise<'fail' | undefined>) {
    super()
    this.#before = before
  }

  override async assemble(...job: Parameters<DiskLanes['assemble']>): Promise<boolean> {
    return (await this.#before()) !== 'fail' && (await super.assemble(...job))
  }
}

export class InProcess {
  readonly dir: string
  readonly server: Place
  readonly #plan: Plan
  readonly #folders: readonly string[]
  readonly #places = new Map<string, Place>()
  readonly #lanes = new Map<string, DiskLanes>()
  readonly #clients = new Map<string, Client>()
  readonly #stop = new AbortController()
  readonly #closing: (() => Promise<void>)[] = []
  #coordinator: Coordinator | undefined
  #port = 0
  /** May be changed: is waited for before the coordinator makes a content by a patch; when it says so, that fails. */
  beforeAssembly: () => Promise<'fail' | undefined> = () => Promise.resolve(undefined)
  /** By which port clients that start from now on reach the coordinator; `undefined`: by its own. */
  way: number | undefined

  /** Makes homes and keys, and authorises every client; starts nothing. All is closed and removed when `t` ends. */
  static open(t: Test, plan: Plan): InProcess {
    const made = new InProcess(mkdtempSync(join(tmpdir(), 'ssp-')), plan)
    t.teardown(() => made.#close())
    return made
  }

  private constructor(dir: string, plan: Plan) {
    setMaxListeners(0, this.#stop.signal)
    this.dir = dir
    this.#plan = plan
    this.#folders = plan.folders ?? ['docs']
    for (const name of ['server', ...plan.clients]) this.#furnish(name)
    this.server = this.place('server')
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  get coordinator(): Coordinator {
    if (this.#coordinator === undefined) throw new Error('the coordinator does not run')
    return this.#coordinator
  }

  hub(folder = 'docs'): FolderHub {
    const hub = this.coordinator.hub(folder)
    if (hub === undefined) throw new Error(`no folder ${folder}`)
    return hub
  }

  place(name: string): Place {
    const place = this.#places.get(name)
    if (place === undefined) throw new Error(`no node ${name}`)
    return place
  }

  /** The replica of a running node. */
  replica(name: string, folder = 'docs'): Replica {
    const replica =
      name === 'server' ? this.#coordinator?.folder(folder)?.replica : this.#clients.get(name)?.replica(folder)
    if (replica === undefined) throw new Error(`${name} does not run`)
    return replica
  }

  client(name: string): Client {
    const client = this.#clients.get(name)
    if (client === undefined) throw new Error(`${name} does not run`)
    return client
  }

  /** How the node reads the configuration; the coordinator on a port of its own choice until it has one. */
  node(name: string): NodeConfig {
    const { home } = this.place(name)
    const user = userInfo().username
    const role = name === 'server' ? 'server' : 'client'
    const node = resolveNode(
      parseConfig(this.#configText(), 'in-process.cfg'),
      { role, uname: user, ip: '127.0.0.1', port: this.#portOf(name), state: join(home, 'state') },
      {
        users: { running: user, home, passwdHome: () => home },
        cwd: home,
        xdgStateHome: undefined,
        addresses: ['127.0.0.1'],
      },
    )
    return name === 'server'
      ? { ...node, port: this.#port }
      : { ...node, coordinator: { ...node.coordinator, port: this.way ?? this.#port } }
  }

  async startServer(): Promise<void> {
    this.#coordinator = await Coordinator.open(this.#parts('server'), this.#stop.signal)
    this.#port = this.#coordinator.port()
  }

  async stopServer(): Promise<void> {
    await this.#coordinator?.[Symbol.asyncDispose]()
    this.#coordinator = undefined
  }

  async startClient(name: string): Promise<void> {
    const client = await Client.open(this.#parts(name))
    this.#clients.set(name, client)
    await Promise.race([client.firstContact, client.hopeless])
  }

  async stopClient(name: string): Promise<void> {
    await this.#clients.get(name)?.[Symbol.asyncDispose]()
    this.#clients.delete(name)
  }

  /** Starts the coordinator, then all clients. */
  async start(): Promise<void> {
    await this.startServer()
    for (const name of this.#plan.clients) await this.startClient(name)
  }

  /** Waits until the folder is equal on `names` (default: all that run), and each says that it is in step. */
  async inStep(names = ['server', ...this.#clients.keys()], folder = 'docs'): Promise<void> {
    await this.eventually(() => {
      const [first, ...others] = names.map((name) => this.place(name).tree(folder))
      const states = names.map((name) => `${name}: ${this.replica(name, folder).status().state}`)
      const lines = others.flatMap((tree) => differences(first ?? new Map(), tree))
      const late = states.filter((state) => !state.endsWith(': in step'))
      return lines.length + late.length === 0 ? undefined : [...lines, ...late].join('\n')
    })
  }

  /** Waits until `lacking` says nothing, or `true`. Throws with what it said last. */
  async eventually(lacking: () => string | boolean | undefined | Promise<string | boolean | undefined>): Promise<void> {
    const deadline = performance.now() + IN_STEP_MS
    for (;;) {
      const answer = await lacking()
      if (answer === undefined || answer === true) return
      if (performance.now() > deadline) throw new Error(`it never came: ${String(answer)}`)
      await pause(20)
    }
  }

  /** Makes a key that the coordinator knows, in a home of its own. */
  stranger(name: string): void {
    this.#furnish(name)
  }

  /** An SSH connection with the key of `name`, and nothing said on it yet. */
  async session(name: string): Promise<SshSession> {
    const asked = this.#plan.clients[0] ?? name
    const { home } = this.place(name)
    const node = this.node(asked)
    const session = await openSession(
      { ...node, ssh: { ...node.ssh, home: hostPath(home), knownHosts: hostPath(join(home, '.ssh/known_hosts')) } },
      silentLog,
      this.#stop.signal,
    )
    this.#closing.push(() => session[Symbol.asyncDispose]())
    return session
  }

  /** An RPC peer that checks nothing of what it says, with the key of `name`. */
  async bare(name: string): Promise<{ readonly session: SshSession; readonly peer: RpcPeer }> {
    const session = await this.session(name)
    const peer = new RpcPeer(await session.subsystem('systemsync-rpc'), { methods: {}, log: silentLog })
    return { session, peer }
  }

  /** Calls without any check; a refusal is an answer too. */
  async ask(peer: RpcPeer, method: string, params: unknown): Promise<Answer> {
    try {
      return { result: await peer.call(method, params, z.unknown(), this.#stop.signal) }
    } catch (error) {
      if (error instanceof Refused) return { status: error.status, text: `${error.message} ${error.hint ?? ''}` }
      if (!(error instanceof Error)) throw error
      const code = /\((-\d+)\)$/.exec(error.message)?.[1]
      return { ...(code === undefined ? {} : { code: Number(code) }), text: error.message }
    }
  }

  #parts(name: string) {
    const node = this.node(name)
    mkdirSync(node.stateDir, { recursive: true })
    const aheadMs = this.#plan.aheadMs?.[name] ?? 0
    const clock: Clock = aheadMs === 0 ? systemClock : shiftedClock(aheadMs)
    let lanes = this.#lanes.get(name)
    if (lanes === undefined) {
      lanes = aheadMs === 0 ? new HeldLanes(() => this.beforeAssembly()) : new ShiftedLanes(aheadMs)
      this.#lanes.set(name, lanes)
    }
    return { node, lanes, clock, log: silentLog, messageLog: { note: () => undefined } }
  }

  #portOf(name: string): number {
    return name === 'server' ? 20_000 : 20_001 + this.#plan.clients.indexOf(name)
  }

  #configText(): string {
    const user = userInfo().username
    const line = (name: string) => `${name} = ${user}, 127.0.0.1, ${String(this.#portOf(name))}`
    const options = this.#folders.flatMap((folder) => [
      `[systemsync.dir.${folder}]`,
      ...['server', ...this.#plan.clients].map((name) => `path.${name} = ${this.place(name).at('', folder)}`),
      ...(this.#plan.options?.[folder] ?? []),
    ])
    return [
      ...['[systemsync.server]', line('server'), '[systemsync.clients]', ...this.#plan.clients.map(line)],
      ...['[systemsync.dirs]', ...this.#folders.map((folder) => `${folder} = ${this.place('server').at('', folder)}`)],
      ...options,
      '',
    ].join('\n')
  }

  #furnish(name: string): void {
    const place = new Place(name, join(this.dir, name))
    this.#places.set(name, place)
    mkdirSync(join(place.home, '.ssh'), { recursive: true, mode: 0o700 })
    for (const folder of this.#folders) mkdirSync(place.at('', folder))
    const { privateText, publicText } = makeHostKey()
    writeFileSync(join(place.home, '.ssh/id_ed25519'), privateText, { mode: 0o600 })
    if (name === 'server') return
    appendFileSync(join(this.dir, 'server/.ssh/authorized_keys'), `${publicText} ${name}\n`, { mode: 0o600 })
  }

  async #close(): Promise<void> {
    for (const close of this.#closing) await close()
    for (const name of [...this.#clients.keys()]) await this.stopClient(name)
    await this.stopServer()
    this.#stop.abort(new DOMException('The test is over', 'AbortError'))
    for (const lanes of this.#lanes.values()) await lanes[Symbol.asyncDispose]()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Waits so many milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}
