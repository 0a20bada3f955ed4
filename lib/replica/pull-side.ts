// The pull side of a replica: heads that wait are planned, their bodies fetched, the folder changed, the base told.

import { planApply } from '../core/apply-plan.ts'
import type { ApplyItem, ApplyStep } from '../core/apply-step.ts'
import { Unreachable } from '../errors.ts'
import { PACK_BODIES, PACKED_MAX, type PlacedHead } from '../model/content.ts'
import type { Entry, Fingerprint } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import type { Head } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'
import type { Body, WriteStep } from '../model/write-step.ts'
import { chunksOf, Fetcher, type Write } from './fetch-small.ts'
import { RETRY_MS, type Attached, type FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'
import { LargePulls } from './pull-large.ts'
import { pullTree } from './pull-tree.ts'
import { AppliedRecord, RETRY_SOON_MS } from './record-applied.ts'
import { rootTrouble } from './root-guard.ts'

/** Heads planned at once: enough for a large moved directory to be seen whole. */
const PLAN_ITEMS = 20_000
const SEARCH_FREE_MS = 5
const SEARCH_MOST_MS = 1000

/** A step on its way to the disk. */
interface Doing {
  readonly step: ApplyStep
  readonly write: WriteStep
}

export class PullSide {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #fetcher: Fetcher
  readonly #large: LargePulls
  readonly #record: AppliedRecord
  #nextSearchMs = 0
  #isWorking = false

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
    this.#fetcher = new Fetcher(state)
    this.#record = new AppliedRecord(state, local)
    this.#large = new LargePulls(state, this.#fetcher, (step, body, signal) =>
      this.#write([{ step, write: this.#writeStep(step, body) }], signal),
    )
  }

  get active(): boolean {
    return this.#isWorking || this.#large.active
  }

  /** Brings heads to the disk, for ever. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#state.parts
    this.#state.onHeads = (heads) => {
      const { attached } = this.#state
      if (attached === undefined || !this.#isWorking) return
      this.#fetcher.ahead(heads, attached, attached.signal)
    }
    try {
      for (;;) {
        const { attached } = this.#state
        // Before the first scan is done it is not known what stands on the disk: it may be equal, and cost nothing.
        const isReady = attached !== undefined && this.#state.halted === undefined && this.#state.scanned
        const items = isReady && !this.#state.isCut ? this.#takeItems() : []
        // What was told before a move comes first: it may be in the directory that is moved.
        if (isReady && items.length === 0 && (await this.#takeNews())) continue
        if (attached === undefined || items.length === 0) {
          this.#state.leftovers.tidy()
          this.#fetcher.forgetAhead()
          const waitMs = this.#nextRetryMs()
          await this.#state.applyBell.wait(
            signal,
            waitMs === undefined ? undefined : (until) => clock.sleep(waitMs, until),
          )
          continue
        }
        if (rootTrouble(this.#state)) continue
        this.#isWorking = true
        try {
          await this.#applyItems(items, attached, attached.signal)
        } catch (error) {
          signal.throwIfAborted()
          await this.#recover(error, items, signal)
        } finally {
          this.#isWorking = false
          for (const { head } of items) if (!this.#large.has(head.path)) this.#state.busy.delete(head.path)
          this.#state.pushBell.ring()
          this.#state.changed()
        }
      }
    } finally {
      this.#state.onHeads = () => undefined
      await this.#large.ended()
    }
  }

  /** Takes in the first of the news that wait for each other; `false` when there are none. */
  async #takeNews(): Promise<boolean> {
    const [first] = this.#state.news
    if (first === undefined) return false
    if (rootTrouble(this.#state)) return true
    this.#isWorking = true
    try {
      const side = { state: this.#state, local: this.#local, record: this.#record }
      const { moved } = first
      if (moved === undefined) this.#state.takeHeads(first.heads, first.upTo)
      else if ((await pullTree(side, { ...first, moved })) === 'unknown') this.#state.ask()
    } catch (error) {
      const { log, name } = this.#state.parts
      log.warn(`Cannot take in the move of a directory, asking for what it moved: ${String(error)}`, { folder: name })
      this.#state.ask()
    } finally {
      this.#isWorking = false
      if (this.#state.news[0] === first) this.#state.news = this.#state.news.slice(1)
      this.#state.pushBell.ring()
      this.#state.changed()
    }
    return true
  }

  async #recover(error: unknown, items: readonly ApplyItem[], signal: AbortSignal): Promise<void> {
    if (error instanceof Unreachable || this.#state.attached?.signal.aborted !== false) {
      await this.#state.parts.clock.sleep(20, signal)
      return
    }
    const reason = error instanceof Error ? error.message : String(error)
    this.#state.parts.log.warn(`Cannot apply changes: ${reason}`, { folder: this.#state.parts.name })
    for (const { head } of items) this.#state.block(head.path, RETRY_MS)
    this.#state.problem({ path: items[0]?.head.path ?? '.', reason, todo: 'it is tried again in half a minute' })
  }

  /** Heads that can be applied now; they are marked busy. Heads that are no news any more are dropped. */
  #takeItems(): ApplyItem[] {
    const { base, clock } = this.#state.parts
    const now = clock.monotonic()
    const items: ApplyItem[] = []
    const stale: Head[] = []
    const take = (page: Iterable<PlacedHead>): void => {
      const open = [...page].filter(({ head }) => this.#isOpen(head, now))
      const rows = base.rows(open.map(({ head }) => head.path))
      for (const { head, place } of open) {
        const row = rows.get(head.path)
        const isOld = row !== undefined && row.seq >= head.seq
        if (isOld || this.#local.isIgnored(head.path, (head.entry ?? row?.entry)?.kind === 'dir')) stale.push(head)
        else {
          items.push({ head, base: row })
          this.#fetcher.note({ head, place })
        }
      }
    }
    const { fresh } = this.#state
    if (fresh !== 'all') take(base.incomings(fresh).values())
    if (items.length === 0 && (fresh === 'all' || now >= this.#nextSearchMs)) this.#search(take, items)
    this.#state.fresh = new Set()
    base.dropIncomings(stale)
    for (const { head } of items) {
      this.#state.busy.add(head.path)
      this.#state.blocked.delete(head.path)
    }
    if (stale.length > 0) this.#state.changed()
    return items
  }

  /** Whether nobody else has the path in hand, or wants something else of it. */
  #isOpen({ path }: Head, now: number): boolean {
    const { busy, changes, blocked } = this.#state
    return !busy.has(path) && !changes.has(path) && !this.#state.isMoving(path) && (blocked.get(path) ?? 0) <= now
  }

  /** Searches all that waits. A search in vain is not repeated before it has paid for itself: there may be very many. */
  #search(take: (page: Iterable<PlacedHead>) => void, items: readonly ApplyItem[]): void {
    const { base, clock } = this.#state.parts
    const startMs = clock.monotonic()
    for (let after: RelPath | undefined; items.length === 0;) {
      const page = base.incomingAfter(after, PLAN_ITEMS)
      take(page)
      after = page.at(-1)?.head.path
      if (page.length < PLAN_ITEMS) break
    }
    const tookMs = clock.monotonic() - startMs
    const isInVain = items.length === 0 && tookMs > SEARCH_FREE_MS
    this.#nextSearchMs = isInVain ? clock.monotonic() + Math.min(SEARCH_MOST_MS, 20 * tookMs) : 0
  }

  async #applyItems(items: readonly ApplyItem[], attached: Attached, signal: AbortSignal): Promise<void> {
    const { base } = this.#state.parts
    const digests = items.flatMap(({ head }) => (head.entry?.kind === 'file' ? [head.entry.sha256] : []))
    const held = base.heldAmong(digests)
    const plan = planApply(items, {
      heldBy: (sha256) =>
        held.has(sha256) ? base.holding(sha256, 8).filter((row) => !this.#state.changes.has(row.path)) : [],
      countBelow: (dir) => countBelow(base.below(dir)),
    })
    this.#record.begin()
    this.#state.progress.filesTotal += items.length
    for (const stage of plan.stages) await this.#runStage(stage, attached, signal)
    this.#state.progress.filesDone += items.length
  }

  async #runStage(stage: readonly ApplyStep[], attached: Attached, signal: AbortSignal): Promise<void> {
    const small: Write[] = []
    const plain: Doing[] = []
    for (const step of stage) {
      if (step.do === 'forget') this.#record.drop([step.head])
      else if (step.do !== 'write' || step.content.from !== 'fetch') plain.push({ step, write: this.#writeStep(step) })
      else if (step.entry.size <= PACKED_MAX) small.push(step)
      else this.#large.start(step, attached, signal)
    }
    for (let from = 0; from < plain.length; from += PACK_BODIES) {
      await this.#write(plain.slice(from, from + PACK_BODIES), signal)
    }
    const chunks = chunksOf(small)
    let next = chunks[0] === undefined ? undefined : this.#fetch(chunks[0], attached, signal)
    for (let index = 0; next !== undefined; index++) {
      const doing = await next
      const chunk = chunks[index + 1]
      next = chunk === undefined ? undefined : this.#fetch(chunk, attached, signal)
      next?.catch(() => undefined)
      await this.#write(doing, signal)
    }
  }

  /** Those that cannot be had are blocked: a newer head must be on its way. */
  async #fetch(chunk: readonly Write[], attached: Attached, signal: AbortSignal): Promise<Doing[]> {
    const fetched = await this.#fetcher.fetch(chunk, attached, signal)
    return fetched.flatMap(({ step, bytes }): Doing[] => {
      if (bytes !== undefined) return [{ step, write: this.#writeStep(step, { kind: 'bytes', bytes }) }]
      this.#state.block(step.head.path, RETRY_SOON_MS)
      return []
    })
  }

  #writeStep(step: Exclude<ApplyStep, { do: 'forget' }>, fetched?: Body): WriteStep {
    const { path } = step.head
    switch (step.do) {
      case 'remove':
        return { do: 'remove', path, expect: step.base.print }
      case 'make-dir':
        return { do: 'make-dir', path, entry: step.entry, expect: undefined }
      case 'write':
        return { do: 'place-file', path, entry: step.entry, expect: step.base?.print, body: fetched ?? localBody(step) }
      case 'link':
        return { do: 'make-link', path, entry: step.entry, expect: step.base?.print }
      case 'meta':
        return {
          do: 'set-meta',
          path,
          entry: step.entry,
          expect: step.base?.print ?? this.#record.made(path) ?? guess(step.entry),
        }
      case 'move':
      case 'move-dir':
        return { do: 'move', from: step.base.path, path, expectFrom: step.base.print, entry: step.entry }
    }
  }

  async #write(doing: readonly Doing[], signal: AbortSignal): Promise<void> {
    if (doing.length === 0) return
    // Once begun it is not abandoned: what stands on the disk and the base does not know would pass for the person's own edit.
    signal.throwIfAborted()
    const results = await this.#state.parts.disk.apply(
      doing.map(({ write }) => write),
      new AbortController().signal,
    )
    this.#record.record(doing.map(({ step }, index) => ({ step, result: results[index] })))
  }

  #nextRetryMs(): number | undefined {
    let next = Infinity
    for (const at of this.#state.blocked.values()) next = Math.min(next, at)
    if (this.#nextSearchMs > 0) next = Math.min(Math.max(next, 0), this.#nextSearchMs)
    return next === Infinity ? undefined : Math.max(5, next - this.#state.parts.clock.monotonic())
  }
}

function localBody(step: Write): Body {
  if (step.content.from === 'copy')
    return { kind: 'copy', from: step.content.row.path, expectFrom: step.content.row.print }
  return { kind: 'bytes', bytes: new Uint8Array(0) }
}

/** What is expected of a directory that an earlier step made when its print was not kept. */
function guess(entry: Entry): Fingerprint {
  return {
    kind: entry.kind,
    size: 0,
    mtimeNs: '0',
    ctimeNs: '0',
    ino: '0',
    mode: entry.kind === 'dir' ? entry.mode | 0o300 : 0,
  }
}

function countBelow(rows: Iterable<BaseRow>): number {
  let count = 0
  for (const row of rows) if (row.seq >= 0) count++
  return count
}
