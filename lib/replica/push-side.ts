// The push side of a replica: from changes to proposals, with their bodies, and from outcomes back to the base.

import { Unreachable } from '../errors.ts'
import { PACK_BODIES, PACK_BYTES, type Source, type SourcedProposal } from '../model/content.ts'
import type { FileEntry } from '../model/entry.ts'
import { parentOf, ROOT, type RelPath } from '../model/path.ts'
import type { Change } from '../model/snapshot.ts'
import { Deletes } from './deletes.ts'
import type { Attached, FolderState } from './folder-state.ts'
import { keepRecipes } from './keep-recipes.ts'
import type { LocalSide } from './local-side.ts'
import { Outcomes } from './outcomes.ts'
import type { Hub } from './ports.ts'
import { isLarge, wordsOf, type Gone, type Put, type Ready } from './push-change.ts'
import { pushLarge } from './push-large.ts'
import { PutReader } from './read-puts.ts'

/** Packs on their way at once: while one is committed the next is read. */
const LANES = 2
const LARGE_LANES = 2
/** A batch's words must fit one message. Bytes. */
const MESSAGE_BYTES = 600 * 1024
/** A link that lives but cannot be used is tried again after this. */
const UNREACHABLE_MS = 500
/** Bodies of more than this in one batch are worth asking whether the coordinator holds them. Bytes. */
const ASK_ABOVE = 256 * 1024

export class PushSide {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #deletes: Deletes
  readonly #reader: PutReader
  readonly #outcomes: Outcomes
  readonly #tasks = new Set<Promise<void>>()
  #lanes = 0
  #largeLanes = 0
  #names = 0
  /** Set when the link said that it cannot move contents, though it lives. */
  #pause: { readonly of: Attached; readonly untilMs: number } | undefined

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
    this.#deletes = new Deletes(state, local)
    this.#reader = new PutReader(state, local, this.#deletes)
    this.#outcomes = new Outcomes(state, local, this.#deletes)
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
        const waitMs = this.#start(signal)
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
  #start(signal: AbortSignal): number | undefined {
    const { attached, caughtUp, halted } = this.#state
    if (attached === undefined || !caughtUp || halted !== undefined) return undefined
    const pauseMs = this.#pause?.of === attached ? this.#pause.untilMs - this.#state.parts.clock.monotonic() : 0
    if (pauseMs > 0) return pauseMs
    const until = AbortSignal.any([signal, attached.signal])
    const { deletable, waitMs } = this.#deletes.deletable()
    while (this.#lanes < LANES) {
      const batch = this.#takeSmall(deletable)
      if (batch.length === 0) break
      this.#lanes++
      this.#task(batch, this.#pushBatch(batch, attached, until), () => this.#lanes--)
    }
    for (const change of this.#takeLarge()) {
      this.#largeLanes++
      const from = this.#deletes.movedFrom(change)
      const batch = from === undefined ? [change] : [change, from]
      const side = { state: this.#state, deletes: this.#deletes, reader: this.#reader, outcomes: this.#outcomes }
      const push = pushLarge(side, { change, from }, { attached, signal: until })
      this.#task(batch, push, () => this.#largeLanes--)
    }
    return waitMs
  }

  #task(batch: readonly Change[], work: Promise<void>, after: () => void): void {
    for (const change of batch) this.#state.busy.add(change.path)
    const task = work
      .catch((error: unknown) => {
        this.#failed(batch, error)
      })
      .finally(() => {
        after()
        for (const change of batch) this.#state.busy.delete(change.path)
        this.#tasks.delete(task)
        this.#local.drained()
        this.#state.pushBell.ring()
        this.#state.applyBell.ring()
        this.#state.changed()
      })
    this.#tasks.add(task)
  }

  #failed(batch: readonly Change[], error: unknown): void {
    const { attached, parts } = this.#state
    if (attached?.signal.aborted !== false) return
    if (error instanceof Unreachable) {
      this.#pause = { of: attached, untilMs: parts.clock.monotonic() + UNREACHABLE_MS }
      return
    }
    if (error instanceof Error && error.name === 'AbortError') return
    this.#outcomes.failed(batch, error)
  }

  #takeSmall(deletable: Gone[]): Change[] {
    const state = this.#state
    const batch: Change[] = []
    let bytes = 0
    let words = 0
    const leaving = new Set<RelPath>()
    for (const change of state.changes.values()) {
      if (change.kind === 'gone' || state.busy.has(change.path) || isLarge(change) || this.#mustWait(change)) continue
      if (change.print.kind === 'file') bytes += change.print.size
      words += wordsOf(change)
      if (batch.length > 0 && (bytes > PACK_BYTES || words > MESSAGE_BYTES)) break
      batch.push(change)
      if (batch.length >= PACK_BODIES) break
    }
    while (deletable.length > 0 && batch.length < 2 * PACK_BODIES && words < MESSAGE_BYTES) {
      const gone = deletable.shift()
      if (gone === undefined || state.busy.has(gone.path) || !this.#isLast(gone, leaving)) continue
      leaving.add(gone.path)
      words += wordsOf(gone)
      batch.push(gone)
    }
    for (const change of batch) state.busy.add(change.path)
    return batch
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

  /** A type change waits for what it replaces: a file until nothing is left below, a child until its parent is a directory. */
  #mustWait(change: Put): boolean {
    const { base } = this.#state.parts
    if (change.base?.entry.kind === 'dir' && change.print.kind !== 'dir' && base.hasBelow(change.path)) return true
    const parent = parentOf(change.path)
    if (parent === ROOT) return false
    const above = base.row(parent)
    return above !== undefined && above.entry.kind !== 'dir'
  }

  async #pushBatch(batch: readonly Change[], { hub }: Attached, signal: AbortSignal): Promise<void> {
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
    if (pack !== undefined) await hub.depot.putPack(name, pack, signal)
    const sourced = ready.map((item): SourcedProposal => {
      const offset = offsets.get(item)
      const source: Source = offset === undefined ? { kind: 'held' } : { kind: 'pack', pack: name, offset }
      return { proposal: item.proposal, source }
    })
    const reply = await hub.propose(sourced, signal)
    this.#outcomes.settle(ready, reply)
    this.#deletes.sent(gone.length)
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
