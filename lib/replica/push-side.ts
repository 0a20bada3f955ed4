// The push side of a replica: from changes to proposals, with their bodies, and from outcomes back to the base.

import { Refused, Unreachable } from '../errors.ts'
import { PACK_BODIES, PACK_BYTES, type Source, type SourcedProposal } from '../model/content.ts'
import type { FileEntry } from '../model/entry.ts'
import { parentOf, ROOT, type RelPath } from '../model/path.ts'
import type { BaseRow, Change } from '../model/snapshot.ts'
import { Deletes, type Leaving } from './deletes.ts'
import type { Attached, FolderState } from './folder-state.ts'
import { keepRecipes } from './keep-recipes.ts'
import type { LocalSide } from './local-side.ts'
import { Outcomes } from './outcomes.ts'
import type { Hub } from './ports.ts'
import { isLarge, wordsOf, type Gone, type Put, type Ready } from './push-change.ts'
import { pushLarge } from './push-large.ts'
import { TreePushes } from './push-trees.ts'
import { PutReader } from './read-puts.ts'

/** Packs on their way at once: while one is committed the next is on the wire, and the one after that is read. */
const LANES = 3
/** Packs up to this size need not wait for the one before them to be on the wire. Bytes. */
const SMALL_PACK = 64 * 1024
const LARGE_LANES = 2
/** A batch's words must fit one message. Bytes. */
const MESSAGE_BYTES = 600 * 1024
/** A link that lives but cannot be used is tried again after this. */
const UNREACHABLE_MS = 500
/** The status of a hub that takes no changes. */
const HALTED = 423
/** A hub that takes no changes now is asked again after this. */
const HUB_TROUBLE_MS = 5000
/** Bodies of more than this in one batch are worth asking whether the coordinator holds them. Bytes. */
const ASK_ABOVE = 256 * 1024

export class PushSide {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #deletes: Deletes
  readonly #reader: PutReader
  readonly #outcomes: Outcomes
  readonly #trees: TreePushes
  readonly #tasks = new Set<Promise<void>>()
  #lanes = 0
  #largeLanes = 0
  #names = 0
  /** Ends when the last pack that was begun is on the coordinator. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Rows of directories that something is put in, as long as one look for work takes. */
  readonly #above = new Map<RelPath, BaseRow | undefined>()
  /** Set when the link said that it cannot move contents, though it lives. */
  #pause: { readonly of: Attached; readonly untilMs: number } | undefined

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
    this.#deletes = new Deletes(state, local)
    this.#reader = new PutReader(state, local, this.#deletes)
    this.#outcomes = new Outcomes(state, local, this.#deletes)
    this.#trees = new TreePushes(state, local, this.#deletes)
  }

  get active(): boolean {
    return this.#tasks.size > 0
  }

  /** The person confirmed: the held deletes may go. */
  confirm(): void {
    this.#deletes.confirm()
  }

  /** The person rejected: the held deletes are undone. */
  reject(): void {
    this.#deletes.reject()
  }

  /** Pushes what differs, for ever. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#state.parts
    const keeping = keepRecipes(this.#state, signal)
    try {
      for (;;) {
        const waitMs = this.#start()
        await this.#state.pushBell.wait(
          signal,
          waitMs === undefined ? undefined : (until) => clock.sleep(waitMs, until),
        )
      }
    } finally {
      this.#outcomes[Symbol.dispose]()
      await Promise.allSettled([...this.#tasks, keeping])
    }
  }

  /** Starts whatever can start now; returns in how many ms to look again, if time alone may change the answer. */
  #start(): number | undefined {
    const { attached, caughtUp, halted, changes } = this.#state
    if (changes.size === 0) this.#state.hubTrouble = undefined
    if (attached === undefined || !caughtUp || halted !== undefined) return undefined
    const pauseMs = this.#pause?.of === attached ? this.#pause.untilMs - this.#state.parts.clock.monotonic() : 0
    if (pauseMs > 0) return pauseMs
    this.#above.clear()
    const { deletable, waitMs } = this.#startTrees(attached)
    while (this.#lanes < LANES) {
      const batch = this.#takeSmall(deletable)
      if (batch.length === 0) break
      this.#lanes++
      this.#task(batch, this.#pushBatch(batch, attached), { after: () => this.#lanes-- })
    }
    for (const change of this.#takeLarge()) {
      this.#largeLanes++
      const from = this.#deletes.movedFrom(change)
      const batch = from === undefined ? [change] : [change, from]
      const side = { state: this.#state, deletes: this.#deletes, reader: this.#reader, outcomes: this.#outcomes }
      const push = pushLarge(side, { change, from }, attached)
      this.#task(batch, push, { after: () => this.#largeLanes-- })
    }
    return waitMs
  }

  /** Moves of directories go first, what else changed in them after that. Says which deletes may go beside them. */
  #startTrees(attached: Attached): Leaving {
    for (;;) {
      const leaving = this.#deletes.deletable()
      const trees = this.#trees.take(leaving.trees)
      if (trees === 'refused') continue
      if (trees.length > 0) {
        const batch = trees.flatMap(({ put, gone, untouched }) => [put, ...gone, ...untouched])
        this.#task(batch, this.#trees.push(trees, attached, attached.signal), {
          failed: (error) => {
            this.#trees.failed(trees, error)
          },
        })
      }
      return leaving
    }
  }

  #task(
    batch: readonly Change[],
    work: Promise<void>,
    on: { after?: () => void; failed?: (error: unknown) => void },
  ): void {
    for (const change of batch) this.#state.busy.add(change.path)
    const task = work
      .then(() => {
        this.#state.hubTrouble = undefined
      })
      .catch((error: unknown) => {
        if (this.#isOurs(error)) (on.failed ?? ((why) => this.#outcomes.failed(batch, why)))(error)
      })
      .finally(() => {
        on.after?.()
        for (const change of batch) this.#state.busy.delete(change.path)
        this.#tasks.delete(task)
        this.#local.drained()
        this.#state.pushBell.ring()
        this.#state.applyBell.ring()
        this.#state.changed()
      })
    this.#tasks.add(task)
  }

  /** Whether a batch failed by itself, not with the link. */
  #isOurs(error: unknown): boolean {
    const { attached, parts } = this.#state
    if (attached?.signal.aborted !== false) return false
    if (error instanceof Unreachable) {
      this.#pause = { of: attached, untilMs: parts.clock.monotonic() + UNREACHABLE_MS }
      return false
    }
    if (error instanceof Refused && error.status === HALTED) {
      this.#waitForHub(attached, error)
      return false
    }
    return !(error instanceof Error && error.name === 'AbortError')
  }

  /** The hub takes nothing at all now: that is told once, and all that differs waits until it does. */
  #waitForHub(attached: Attached, { message, hint }: Refused): void {
    const { clock, log, name } = this.#state.parts
    this.#pause = { of: attached, untilMs: clock.monotonic() + HUB_TROUBLE_MS }
    if (this.#state.hubTrouble?.reason !== message) log.warn(message, { folder: name })
    const todo = hint === undefined ? '' : `${hint}; `
    this.#state.hubTrouble = { path: '.', reason: message, todo: `${todo}it is tried again every few seconds` }
  }

  #takeSmall(deletable: Map<RelPath, Gone>): Change[] {
    const state = this.#state
    const batch = new Batch()
    for (const change of state.changes.values()) {
      if (change.kind === 'gone' || state.busy.has(change.path) || isLarge(change) || this.#mustWait(change)) continue
      // Both halves of a move together: then others see it as one too.
      const from = deletable.get(this.#deletes.moveTo(change.path)?.from ?? change.path)
      const isMove = from !== undefined && from.base.entry.kind !== 'dir'
      if (!batch.hasRoomFor(change)) break
      batch.add(change)
      if (isMove && deletable.delete(from.path)) batch.add(from)
      if (batch.puts >= PACK_BODIES) break
    }
    for (const gone of deletable.values()) {
      if (batch.isFull) break
      if (this.#goesWithPut(gone)) continue
      deletable.delete(gone.path)
      if (!state.busy.has(gone.path) && this.#isLast(gone, batch.leaving)) batch.add(gone)
    }
    for (const change of batch.changes) state.busy.add(change.path)
    return batch.changes
  }

  /** Whether the delete is a half of a move whose other half goes with a later batch. */
  #goesWithPut(gone: Gone): boolean {
    const put = gone.base.entry.kind === 'dir' ? undefined : this.#deletes.moveFrom(gone.path)
    return put !== undefined && !this.#state.busy.has(put.path) && !this.#mustWait(put)
  }

  /** A directory goes last: when all that the base knows below it goes with it. */
  #isLast(gone: Gone, leaving: ReadonlySet<RelPath>): boolean {
    if (gone.base.entry.kind !== 'dir') return true
    for (const row of this.#state.parts.base.below(gone.path)) if (!leaving.has(row.path)) return false
    return true
  }

  #takeLarge(): Put[] {
    const taken: Put[] = []
    if (this.#largeLanes >= LARGE_LANES) return taken
    for (const change of this.#state.changes.values()) {
      if (change.kind !== 'put' || !isLarge(change) || this.#state.busy.has(change.path) || this.#mustWait(change))
        continue
      taken.push(change)
      if (this.#largeLanes + taken.length >= LARGE_LANES) break
    }
    return taken
  }

  /**
   * What is in a directory that moved waits for its move. A type change waits for what it replaces: a file until nothing is left below, a child
   * until its parent is a directory.
   */
  #mustWait(change: Put): boolean {
    const { path, print } = change
    if (this.#deletes.isInTree(path) || this.#state.isMoving(path)) return true
    const { base } = this.#state.parts
    if (change.base?.entry.kind === 'dir' && print.kind !== 'dir' && base.hasBelow(path)) return true
    const parent = parentOf(path)
    const above = parent === ROOT ? undefined : this.#rowAbove(parent)
    if (above !== undefined && above.entry.kind !== 'dir') return true
    const isNew = parent === ROOT || above !== undefined ? print.kind === 'dir' && change.base === undefined : true
    return isNew && this.#deletes.awaitsMove
  }

  #rowAbove(dir: RelPath): BaseRow | undefined {
    if (!this.#above.has(dir)) this.#above.set(dir, this.#state.parts.base.row(dir))
    return this.#above.get(dir)
  }

  async #pushBatch(batch: readonly Change[], { hub, signal }: Attached): Promise<void> {
    const state = this.#state
    const puts = await this.#reader.read(
      batch.filter((change) => change.kind === 'put'),
      hub,
      signal,
    )
    const gone = await this.#deletes.confirmGone(
      batch.filter((change) => change.kind === 'gone'),
      hub,
      signal,
    )
    // Deletes first: what takes their place may then be told as a move.
    const ready = [...gone, ...puts]
    if (ready.length === 0) return
    const lacking = await this.#lacking(ready, hub, signal)
    const { pack, offsets } = concatenate(lacking)
    const name = `p-${state.parts.clock.now().toString(36)}-${(this.#names++).toString(36)}`
    const staged = pack === undefined ? name : await this.#inTurn(pack, () => hub.depot.putPack(name, pack, signal))
    const sourced = ready.map((item): SourcedProposal => {
      const offset = offsets.get(item)
      const source: Source = offset === undefined ? { kind: 'held' } : { kind: 'pack', pack: staged, offset }
      return { proposal: item.proposal, source }
    })
    await this.#outcomes.propose(ready, () => hub.propose(sourced, signal), signal)
    this.#deletes.sent(gone.length)
  }

  /** Large packs go one after the other: two at once would both come late, and the link rest while both are committed. */
  async #inTurn<T>(pack: Uint8Array, put: () => Promise<T>): Promise<T> {
    if (pack.length <= SMALL_PACK) return await put()
    const turn = this.#turn.then(put)
    this.#turn = turn.catch(() => undefined)
    return await turn
  }

  /** Those whose bodies the coordinator lacks. */
  async #lacking(ready: readonly Ready[], hub: Hub, signal: AbortSignal): Promise<Ready[]> {
    const { base } = this.#state.parts
    const seen = new Set<string>()
    const unknown = ready.filter((item) => {
      if (item.body === undefined || item.body.length === 0 || item.entry?.kind !== 'file') return false
      if (this.#outcomes.mustSend(item.change.path)) return true
      return !base.holds(item.entry.sha256) && !seen.has(item.entry.sha256) && seen.add(item.entry.sha256) !== undefined
    })
    const bytes = unknown.reduce((sum, item) => sum + (item.body?.length ?? 0), 0)
    if (bytes <= ASK_ABOVE) return unknown
    const contents = unknown.map((item) => ({
      sha256: (item.entry as FileEntry).sha256,
      size: (item.entry as FileEntry).size,
    }))
    const holdings = await hub.holdings(contents, signal)
    return unknown.filter((_, index) => holdings[index]?.kind !== 'have')
  }
}

/** Changes that go together, within what fits one pack and one message. */
class Batch {
  readonly changes: Change[] = []
  readonly leaving = new Set<RelPath>()
  puts = 0
  #bytes = 0
  #words = 0

  get isFull(): boolean {
    return this.leaving.size >= 2 * PACK_BODIES || this.#words >= MESSAGE_BYTES
  }

  hasRoomFor(put: Put): boolean {
    const bytes = this.#bytes + (put.print.kind === 'file' ? put.print.size : 0)
    return this.puts === 0 || (bytes <= PACK_BYTES && this.#words + wordsOf(put) <= MESSAGE_BYTES)
  }

  add(change: Change): void {
    this.changes.push(change)
    this.#words += wordsOf(change)
    if (change.kind === 'gone') this.leaving.add(change.path)
    else {
      this.puts += 1
      if (change.print.kind === 'file') this.#bytes += change.print.size
    }
  }
}

/** One buffer of all bodies in order, and where each lies in it. */
function concatenate(items: readonly Ready[]): { pack: Uint8Array | undefined; offsets: Map<Ready, number> } {
  const offsets = new Map<Ready, number>()
  let length = 0
  for (const item of items) {
    offsets.set(item, length)
    length += item.body?.length ?? 0
  }
  if (items.length === 0) return { pack: undefined, offsets }
  const pack = new Uint8Array(length)
  for (const item of items) if (item.body !== undefined) pack.set(item.body, offsets.get(item) ?? 0)
  return { pack, offsets }
}
