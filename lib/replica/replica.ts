// A replica: keeps one folder on this machine equal to its hub, for as long as it is open.

import { mkdirSync } from 'node:fs'
import { JointSignal } from '../daemon/joint-signal.ts'
import { readMarker, writeMarker } from '../disk/marker.ts'
import { mendStaging } from '../disk/staged-file.ts'
import { ROOT } from '../model/path.ts'
import type { Problem } from '../model/problem.ts'
import type { Seq } from '../model/revision.ts'
import { Answers } from './answers.ts'
import { CatchUp } from './catch-up.ts'
import { FolderState, type Attached, type Halt, type News, type ReplicaParts } from './folder-state.ts'
import { LocalSide } from './local-side.ts'
import type { ComingPatch } from './patch-ahead.ts'
import type { Hub, StartWatch, Watch } from './ports.ts'
import type { Coming } from './prefetch.ts'
import { PullSide } from './pull-side.ts'
import { PushSide } from './push-side.ts'
import { notTheHubs, rootTrouble } from './root-guard.ts'

/** What the coordinator says of a folder: its id, which life of its numbering this is, and the newest tombstone that it has forgotten. */
export interface Agreement {
  readonly id: string
  readonly incarnation: string
  readonly pruned: Seq
}

export type FolderCondition = 'in step' | 'scanning' | 'syncing' | 'waiting' | 'held' | 'halted' | 'offline'

export interface ReplicaStatus {
  readonly name: string
  readonly path: string
  readonly state: FolderCondition
  readonly seq: Seq
  readonly pending: number
  readonly bytesPending: number
  readonly progress: {
    readonly filesDone: number
    readonly filesTotal: number
    readonly bytesDone: number
    readonly bytesTotal: number
  }
  readonly problems: readonly Problem[]
}

/** How often the hub is told how far this replica is, at most. */
const REPORT_MS = 500
/** More news than this are not kept for later: they are asked for. */
const NEWS = 16

export class Replica implements AsyncDisposable {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #push: PushSide
  readonly #pull: PullSide
  readonly #catchUp: CatchUp
  readonly #stop = new AbortController()
  readonly #loops: Promise<unknown>[] = []
  #watch: Watch | undefined
  #reported = ''
  #report: Disposable | undefined

  private constructor(parts: ReplicaParts) {
    this.#state = new FolderState(parts)
    this.#state.ask = () => {
      this.#catchUp.ask()
    }
    this.#state.lost = (id) => {
      this.#catchUp.lost(id)
    }
    this.#local = new LocalSide(this.#state, (rules) => this.#watch?.setRules(rules))
    this.#push = new PushSide(this.#state, this.#local)
    this.#pull = new PullSide(this.#state, this.#local)
    this.#catchUp = new CatchUp(this.#state, new Answers(this.#state, this.#local), this.#stop.signal)
  }

  /** Opens the folder, making it when it never was; starts to watch and to scan. The loops run until disposed. */
  static async open(parts: ReplicaParts, startWatch: (rules: readonly string[]) => StartWatch): Promise<Replica> {
    const isNew = parts.base.folderId() === undefined
    if (isNew && parts.agreed?.isMarked !== true) mkdirSync(parts.root, { recursive: true })
    const replica = new Replica(parts)
    if (!rootTrouble(replica.#state)) {
      if (!isNew) mendStaging(parts.root)
      replica.#state.leftovers.opened()
    }
    replica.#start(startWatch(replica.#local.rules))
    return replica
  }

  get name(): string {
    return this.#state.parts.name
  }

  /** The folder id of the directory, or of what was agreed; `undefined` for a folder that never met a coordinator. */
  get id(): string | undefined {
    const marker = readMarker(this.#state.parts.root)
    return this.#state.parts.base.folderId() ?? (marker.kind === 'marker' ? marker.id : undefined)
  }

  get incarnation(): string | undefined {
    return this.#state.parts.base.incarnation()
  }

  get cursor(): Seq {
    return this.#state.parts.base.cursor()
  }

  /** Calls `listener` whenever the status may have changed, until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#state.onChange(listener)
  }

  /** Joins a hub until `signal` ends. What was agreed with another life of the coordinator is forgotten: everything is compared anew. */
  attach(hub: Hub, agreement: Agreement, signal: AbortSignal): void {
    const { base, root, log, name } = this.#state.parts
    const id = this.id
    this.#state.hubId = agreement.id
    if (id !== undefined && id !== agreement.id) {
      this.#state.halted = notTheHubs(root, { id, hubId: agreement.id })
      this.#state.changed()
      return
    }
    const known = base.incarnation()
    if (known === undefined) base.setIncarnation(agreement.incarnation)
    else if (known !== agreement.incarnation) {
      log.warn(`The coordinator of folder "${name}" was set up anew: comparing everything`)
      base.forget()
      base.setIncarnation(agreement.incarnation)
      this.#state.changes.clear()
      this.#state.markTree(ROOT)
      this.#local.drained()
    }
    if (base.folderId() === undefined) {
      if (readMarker(root).kind === 'none' && this.#state.parts.agreed?.isMarked !== true)
        writeMarker(root, agreement.id)
      base.setFolderId(agreement.id)
    }
    this.#catchUp.begin(agreement.pruned)
    const attached = { hub, signal: new JointSignal(signal, this.#stop.signal).signal }
    this.#state.attached = attached
    this.#state.caughtUp = false
    this.#state.blocked.clear()
    signal.addEventListener(
      'abort',
      () => {
        this.#detach(attached)
      },
      { once: true },
    )
    this.#catchUp.ask()
    this.#state.wakeAll()
  }

  /** Takes a hint from the hub. */
  told(news: News): void {
    const { base } = this.#state.parts
    const waiting = this.#state.news
    if (!this.#state.caughtUp) {
      this.#catchUp.again()
      return
    }
    const known = Math.max(base.cursor(), waiting.at(-1)?.upTo ?? 0)
    if (news.upTo <= known) return
    if (news.prev > known || waiting.length >= NEWS) {
      this.#catchUp.ask()
      return
    }
    if (news.moved !== undefined || waiting.length > 0) this.#state.news = [...waiting, news]
    else this.#state.takeHeads(news.heads, news.upTo)
    this.#state.applyBell.ring()
    this.#state.changed()
  }

  /** There are news that are told later: until then the folder is not in step. */
  expectNews(areHeld: boolean): void {
    this.#state.newsAreHeld = areHeld
    this.#state.changed()
  }

  /** Hears of a content that is on its way to the coordinator: a hint, to fetch it meanwhile. */
  coming(news: Coming | ComingPatch): void {
    const { attached, halted, scanned, prefetches } = this.#state
    if (attached === undefined || halted !== undefined || !scanned) return
    if ('patch' in news) prefetches.hearPatch(news, attached)
    else prefetches.hear(news, attached)
  }

  /** The coordinator took over the folder's earlier id. */
  rename(id: string): void {
    const { base, root } = this.#state.parts
    writeMarker(root, id)
    base.setFolderId(id)
    this.#state.hubId = id
  }

  /** Looks at the root now: whether the folder is halted. */
  isHalted(): boolean {
    return rootTrouble(this.#state)
  }

  /** Looks at the root now: why the folder is halted; or says, whenever it is asked, whether the folder stood there without a break since. */
  enter(): Halt | (() => boolean) {
    const state = this.#state
    if (rootTrouble(state) && state.halted !== undefined) return state.halted
    return state.parts.hold?.watch() ?? (() => true)
  }

  confirm(): boolean {
    if (this.#state.held.length === 0) return false
    this.#push.confirm()
    return true
  }

  reject(): boolean {
    if (this.#state.held.length === 0) return false
    this.#push.reject()
    return true
  }

  /** Looks at everything once more, soon. */
  rescan(): void {
    this.#state.markTree(ROOT)
  }

  status(): ReplicaStatus {
    const state = this.#state
    const { base, name, root } = state.parts
    const incoming = base.incomingCount()
    const pending = state.changes.size + incoming.count
    const problems = [...state.problems.values()]
    for (const trouble of [state.hubTrouble, state.halted]) {
      if (trouble !== undefined) problems.unshift({ path: trouble.path, reason: trouble.reason, todo: trouble.todo })
    }
    if (state.held.length > 0) {
      problems.unshift({
        path: '.',
        reason: `the deletion of ${String(state.held.length)} of ${String(base.count())} paths is held, nothing of it was sent`,
        todo: `answer with "monitor confirm ${name}" to delete them everywhere, or "monitor reject ${name}" to bring them back`,
      })
    }
    return {
      name,
      path: root,
      state: this.#condition(pending),
      seq: base.cursor(),
      pending,
      bytesPending: incoming.bytes + state.bytesToPush(),
      progress: { ...state.progress },
      problems,
    }
  }

  /** Whether nothing more will happen by itself: in step, or stuck on something that `status` names. */
  isAtRest(): boolean {
    const state = this.#state
    if (state.halted !== undefined) return true
    if (state.attached === undefined || !this.#isQuiet()) return false
    if (state.hubTrouble !== undefined) return true
    const { base } = state.parts
    return state.changes.size <= state.held.length && base.incomingCount().count <= state.blocked.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('The replica is closed', 'AbortError'))
    this.#report?.[Symbol.dispose]()
    await this.#watch?.[Symbol.asyncDispose]()
    await Promise.allSettled([...this.#loops, this.#state.prefetches.ended()])
    this.#state.leftovers[Symbol.dispose]()
    this.#state.parts.base.close()
    this.#state.parts.hold?.[Symbol.dispose]()
  }

  #start(startWatch: StartWatch): void {
    const { signal } = this.#stop
    this.#loops.push(
      this.#forever('watch', async () => {
        this.#watch = await startWatch(
          {
            events: (events) => {
              this.#local.take(events)
            },
            limit: (problem) => {
              this.#state.problem(problem)
            },
          },
          signal,
        )
        this.#state.markTree(ROOT)
        await this.#forever('scan', () => this.#local.runScans(signal))
      }),
      this.#forever('look', () => this.#local.runLooks(signal)),
      this.#forever('push', () => this.#push.run(signal)),
      this.#forever('pull', () => this.#pull.run(signal)),
    )
    this.#state.onChange(() => {
      this.#reportSoon()
    })
  }

  /** Runs a loop; what it throws is told, and it starts again a second later. */
  async #forever(what: string, loop: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop
    const { clock, log, name } = this.#state.parts
    while (!signal.aborted) {
      try {
        await loop()
      } catch (error) {
        if (signal.aborted) return
        log.error(`The ${what} of folder "${name}" failed, starting it again`, {
          error: String(error),
          stack: error instanceof Error ? error.stack : undefined,
        })
        await clock.sleep(1000, signal).catch(() => undefined)
      }
    }
  }

  #detach(attached: Attached): void {
    if (this.#state.attached !== attached) return
    this.#state.attached = undefined
    this.#state.hubTrouble = undefined
    this.#state.caughtUp = false
    this.#state.leftovers.detached()
    this.#state.news = []
    this.#state.wakeAll()
  }

  #isQuiet(): boolean {
    const state = this.#state
    return (
      state.caughtUp &&
      state.scanned &&
      !state.scanning &&
      state.dirtyTrees.size === 0 &&
      state.busy.size === 0 &&
      state.news.length === 0 &&
      !state.newsAreHeld &&
      !this.#local.restless &&
      !this.#push.active &&
      !this.#pull.active &&
      !this.#catchUp.active
    )
  }

  #condition(pending: number): FolderCondition {
    const state = this.#state
    if (state.halted !== undefined) return 'halted'
    if (state.attached === undefined) return 'offline'
    if (state.held.length > 0) return 'held'
    if (!state.scanned || (state.scanning && pending === 0)) return 'scanning'
    if (this.#isQuiet() && pending === 0) {
      const { progress } = state
      progress.filesDone = progress.filesTotal = progress.bytesDone = progress.bytesTotal = 0
      return state.problems.size === 0 ? 'in step' : 'waiting'
    }
    return this.isAtRest() ? 'waiting' : 'syncing'
  }

  #reportSoon(): void {
    if (this.#report !== undefined || this.#stop.signal.aborted) return
    this.#report = this.#state.parts.clock.after(REPORT_MS, () => {
      this.#report = undefined
      const { attached } = this.#state
      if (attached === undefined) return
      const { state, pending, seq } = this.status()
      const said = `${state} ${String(pending)} ${String(seq)}`
      if (said === this.#reported) return
      this.#reported = said
      attached.hub.report({ cursor: seq, pending, state })
    })
  }
}
