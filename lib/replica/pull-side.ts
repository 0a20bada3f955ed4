// The pull side of a replica: heads that wait are planned, their bodies fetched, the folder changed, the base told.

import { planApply } from '../core/apply-plan.ts'
import type { ApplyItem, ApplyStep } from '../core/apply-step.ts'
import { Refused, Unreachable } from '../errors.ts'
import { PACK_BODIES, PACK_BYTES, PACKED_MAX, type ContentPlace, type PlacedHead } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { Entry, Fingerprint } from '../model/entry.ts'
import { ancestorsOf, type RelPath } from '../model/path.ts'
import type { Head } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'
import type { Body, WriteResult, WriteStep } from '../model/write-step.ts'
import { fetchLarge } from './fetch-large.ts'
import type { Attached, FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'
import type { PlacedContent } from './ports.ts'
import { rootTrouble } from './root-guard.ts'

/** Heads planned at once: enough for a large moved directory to be seen whole. */
const PLAN_ITEMS = 20_000
const LARGE_LANES = 3
const RETRY_MS = 30_000
const SEARCH_FREE_MS = 5
const SEARCH_MOST_MS = 1000
/** Of more paths than this at once the log tells the number; each is told at level debug. */
const BULK = 50
const RETRY_SOON_MS = 250

type Write = Extract<ApplyStep, { do: 'write' }>

/** A step on its way to the disk. `also`: other paths that it is about. */
interface Doing {
  readonly step: ApplyStep
  readonly write: WriteStep
}

export class PullSide {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #tasks = new Set<Promise<void>>()
  readonly #fetching = new Set<Digest>()
  /** Directories made in this plan with a mode that is still to be set. */
  readonly #made = new Map<RelPath, Fingerprint>()
  /** Where the coordinator said that a head's content can be read. */
  readonly #places = new WeakMap<Head, ContentPlace>()
  #nextSearchMs = 0
  #isWorking = false
  #level: 'info' | 'debug' = 'info'

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
  }

  get active(): boolean {
    return this.#isWorking || this.#tasks.size > 0
  }

  /** Brings heads to the disk, for ever. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#state.parts
    try {
      for (;;) {
        const attached = this.#state.attached
        // Before the first scan is done it is not known what stands on the disk: it may be equal, and cost nothing.
        const isReady = attached !== undefined && this.#state.halted === undefined && this.#state.scanned
        const items = isReady ? this.#takeItems() : []
        if (attached === undefined || items.length === 0) {
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
          await this.#applyItems(items, attached, AbortSignal.any([signal, attached.signal]))
        } catch (error) {
          signal.throwIfAborted()
          await this.#recover(error, items, signal)
        } finally {
          this.#isWorking = false
          for (const { head } of items) if (!this.#isLargeTask(head.path)) this.#state.busy.delete(head.path)
          this.#state.pushBell.ring()
          this.#state.changed()
        }
      }
    } finally {
      await Promise.allSettled(this.#tasks)
    }
  }

  readonly #largePaths = new Set<RelPath>()

  #isLargeTask(path: RelPath): boolean {
    return this.#largePaths.has(path)
  }

  async #recover(error: unknown, items: readonly ApplyItem[], signal: AbortSignal): Promise<void> {
    if (error instanceof Unreachable || this.#state.attached?.signal.aborted !== false) {
      await this.#state.parts.clock.sleep(20, signal)
      return
    }
    const reason = error instanceof Error ? error.message : String(error)
    this.#state.parts.log.warn(`Cannot apply changes: ${reason}`, { folder: this.#state.parts.name })
    for (const { head } of items) this.#block(head.path, RETRY_MS)
    this.#state.problem({ path: items[0]?.head.path ?? '.', reason, todo: 'it is tried again in half a minute' })
  }

  /** Heads that can be applied now; they are marked busy. Heads that are no news any more are dropped. */
  #takeItems(): ApplyItem[] {
    const { base, clock } = this.#state.parts
    const now = clock.monotonic()
    const items: ApplyItem[] = []
    const stale: Head[] = []
    const take = (page: readonly PlacedHead[]): void => {
      for (const { head, place } of page) {
        if (this.#state.busy.has(head.path) || this.#state.changes.has(head.path)) continue
        const retryMs = this.#state.blocked.get(head.path)
        if (retryMs !== undefined && retryMs > now) continue
        const row = base.row(head.path)
        const isOld = row !== undefined && row.seq >= head.seq
        if (isOld || this.#local.isIgnored(head.path, (head.entry ?? row?.entry)?.kind === 'dir')) stale.push(head)
        else {
          items.push({ head, base: row })
          if (place !== undefined) this.#places.set(head, place)
        }
      }
    }
    const { fresh } = this.#state
    if (fresh !== 'all') take([...fresh].flatMap((path) => base.incoming(path) ?? []))
    if (items.length === 0 && (fresh === 'all' || now >= this.#nextSearchMs)) this.#search(take, items)
    this.#state.fresh = new Set()
    if (stale.length > 0)
      base.transaction(() => {
        for (const head of stale) base.dropIncoming(head.path, head.seq)
      })
    for (const { head } of items) {
      this.#state.busy.add(head.path)
      this.#state.blocked.delete(head.path)
    }
    if (stale.length > 0) this.#state.changed()
    return items
  }

  /** Searches all that waits. A search in vain is not repeated before it has paid for itself: there may be very many. */
  #search(take: (page: readonly PlacedHead[]) => void, items: readonly ApplyItem[]): void {
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
    this.#made.clear()
    this.#state.progress.filesTotal += items.length
    for (const stage of plan.stages) await this.#runStage(stage, attached, signal)
    this.#state.progress.filesDone += items.length
  }

  async #runStage(stage: readonly ApplyStep[], attached: Attached, signal: AbortSignal): Promise<void> {
    const small: Write[] = []
    const plain: Doing[] = []
    for (const step of stage) {
      if (step.do === 'forget') this.#drop([step.head])
      else if (step.do !== 'write' || step.content.from !== 'fetch') plain.push({ step, write: this.#writeStep(step) })
      else if (step.entry.size <= PACKED_MAX) small.push(step)
      else this.#startLarge(step, attached, signal)
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

  /** Fetches the bodies of one chunk. Those that cannot be had are blocked: a newer head must be on its way. */
  async #fetch(chunk: readonly Write[], { hub }: Attached, signal: AbortSignal): Promise<Doing[]> {
    const { progress } = this.#state
    progress.bytesTotal += chunk.reduce((sum, step) => sum + step.entry.size, 0)
    const onBytes = (bytes: number): void => {
      progress.bytesDone += bytes
      this.#state.changed()
    }
    const unique = new Map<Digest, Write>()
    for (const step of chunk) unique.set(step.entry.sha256, step)
    let placed = await this.#place([...unique.values()], hub, signal, 'known')
    let bodies: readonly Uint8Array[]
    try {
      bodies = await hub.depot.read(placed, onBytes, signal)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      placed = await this.#place([...unique.values()], hub, signal, 'ask')
      bodies = await hub.depot.read(placed, onBytes, signal)
    }
    const byDigest = new Map(placed.map((content, index) => [content.sha256, bodies[index]]))
    const used = new Set<Digest>()
    return chunk.flatMap((step): Doing[] => {
      const found = byDigest.get(step.entry.sha256)
      if (found === undefined) {
        this.#block(step.head.path, RETRY_SOON_MS)
        return []
      }
      const bytes = used.has(step.entry.sha256) ? found.slice() : found
      used.add(step.entry.sha256)
      return [{ step, write: this.#writeStep(step, { kind: 'bytes', bytes }) }]
    })
  }

  async #place(
    steps: readonly Write[],
    hub: Attached['hub'],
    signal: AbortSignal,
    how: 'known' | 'ask',
  ): Promise<PlacedContent[]> {
    const known = steps.map((step) => (how === 'known' ? this.#places.get(step.head) : undefined))
    const missing = steps.filter((_, index) => known[index] === undefined)
    const asked =
      missing.length === 0
        ? []
        : await hub.places(
            missing.map((step) => step.entry.sha256),
            signal,
          )
    return steps.flatMap((step, index): PlacedContent[] => {
      const place = known[index] ?? asked[missing.indexOf(step)]
      return place === undefined ? [] : [{ sha256: step.entry.sha256, size: step.entry.size, place }]
    })
  }

  #startLarge(step: Write, attached: Attached, signal: AbortSignal): void {
    const { path } = step.head
    if (this.#tasks.size >= LARGE_LANES || this.#fetching.has(step.entry.sha256)) {
      this.#block(path, RETRY_SOON_MS)
      return
    }
    this.#largePaths.add(path)
    this.#fetching.add(step.entry.sha256)
    const task = this.#pullLarge(step, attached, signal)
      .catch(async (error: unknown) => {
        if (signal.aborted || error instanceof Unreachable) return
        const reason = error instanceof Error ? error.message : String(error)
        this.#block(path, RETRY_MS)
        this.#state.problem({ path, reason, todo: 'it is tried again in half a minute' })
      })
      .finally(() => {
        this.#tasks.delete(task)
        this.#fetching.delete(step.entry.sha256)
        this.#largePaths.delete(path)
        this.#state.busy.delete(path)
        for (const [blocked, at] of this.#state.blocked) {
          if (at - this.#state.parts.clock.monotonic() <= RETRY_SOON_MS) this.#state.blocked.delete(blocked)
        }
        this.#state.applyBell.ring()
        this.#state.pushBell.ring()
        this.#state.changed()
      })
    this.#tasks.add(task)
  }

  async #pullLarge(step: Write, { hub }: Attached, signal: AbortSignal): Promise<void> {
    const { progress } = this.#state
    progress.bytesTotal += step.entry.size
    const [content] = await this.#place([step], hub, signal, 'ask')
    if (content === undefined) {
      this.#block(step.head.path, RETRY_SOON_MS)
      return
    }
    const place = await fetchLarge(
      { content, hub, parts: this.#state.parts },
      (bytes) => {
        progress.bytesDone += bytes
        this.#state.changed()
      },
      signal,
    )
    await this.#write([{ step, write: this.#writeStep(step, { kind: 'staged', place }) }], signal)
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
          expect: step.base?.print ?? this.#made.get(path) ?? guess(step.entry),
        }
      case 'move':
      case 'move-dir':
        return { do: 'move', from: step.base.path, path, expectFrom: step.base.print, entry: step.entry }
    }
  }

  async #write(doing: readonly Doing[], signal: AbortSignal): Promise<void> {
    if (doing.length === 0) return
    const { base, disk, log, name } = this.#state.parts
    // Once begun it is not abandoned: what stands on the disk and the base does not know would pass for the person's own edit.
    signal.throwIfAborted()
    const results = await disk.apply(
      doing.map(({ write }) => write),
      new AbortController().signal,
    )
    this.#level = doing.length > BULK ? 'debug' : 'info'
    base.transaction(() => {
      doing.forEach(({ step }, index) => {
        const result = results[index]
        if (result !== undefined) this.#record(step, result)
      })
    })
    for (const { step } of doing) for (const path of pathsOf(step)) this.#state.agreed(path)
    if (doing.length > BULK) log.info(`Pulled ${String(doing.length)} paths`, { folder: name })
    this.#state.changed()
  }

  #record(step: ApplyStep, result: WriteResult): void {
    const { path } = step.head
    switch (result.kind) {
      case 'done':
        this.#recordDone(step, result.print)
        return
      case 'differs':
        this.#local.lookAgain(path)
        if (step.do === 'move' || step.do === 'move-dir') this.#local.lookAgain(step.base.path)
        if (step.do === 'write' && step.content.from === 'copy') this.#local.lookAgain(step.content.row.path)
        this.#block(path, RETRY_SOON_MS)
        return
      case 'not-empty':
        // What the base still knows below is on its way out, and lets the directory go when it is gone.
        this.#block(path, RETRY_MS)
        if (this.#state.parts.base.hasBelow(path)) return
        this.#state.problem({
          path,
          reason: 'the directory was deleted elsewhere, but here it still holds files that are ignored or new',
          todo: 'remove them or move them away; the directory then goes too',
        })
        return
      case 'problem':
        this.#block(path, RETRY_MS)
        this.#state.problem(result.problem)
    }
  }

  #recordDone(step: ApplyStep, print: Fingerprint | undefined): void {
    const { base, log, name } = this.#state.parts
    const { head } = step
    this.#state.solved(head.path)
    switch (step.do) {
      case 'forget':
        return
      case 'remove':
        base.remove([head.path])
        this.#vacated(head.path)
        if (head.entry !== undefined) return
        this.#drop([head])
        log[this.#level](`Removed ${head.path}`, { folder: name, seq: head.seq })
        return
      case 'move':
      case 'move-dir': {
        const members = step.do === 'move-dir' ? step.members : []
        const rows: BaseRow[] = members.flatMap((member) =>
          member.head.entry === undefined
            ? []
            : [{ path: member.head.path, seq: member.head.seq, entry: member.head.entry, print: member.base.print }],
        )
        base.remove([step.base.path, ...members.map((member) => member.base.path)])
        this.#vacated(step.base.path)
        if (print !== undefined) base.put([{ path: head.path, seq: head.seq, entry: step.entry, print }, ...rows])
        this.#drop([step.gone, ...members.flatMap((member) => [member.head, member.gone])])
        if (step.do === 'move' || sameMode(step.entry, head.entry)) this.#drop([head])
        else if (print !== undefined) this.#made.set(head.path, print)
        log[this.#level](`Moved ${step.base.path} to ${head.path}`, {
          folder: name,
          seq: head.seq,
          with: members.length,
        })
        return
      }
      case 'make-dir':
      case 'write':
      case 'link':
      case 'meta': {
        if (print === undefined) return
        base.put([{ path: head.path, seq: head.seq, entry: step.entry, print }])
        if (step.do === 'make-dir' && !sameMode(step.entry, head.entry)) {
          this.#made.set(head.path, print)
          return
        }
        this.#drop([head])
        const copied = step.do === 'write' && step.content.from === 'copy' ? { copiedFrom: step.content.row.path } : {}
        log[this.#level](`Pulled ${head.path}`, { folder: name, seq: head.seq, ...copied })
      }
    }
  }

  #drop(heads: readonly Head[]): void {
    for (const head of heads) this.#state.parts.base.dropIncoming(head.path, head.seq)
  }

  #block(path: RelPath, forMs: number): void {
    this.#state.blocked.set(path, this.#state.parts.clock.monotonic() + forMs)
  }

  /** Something is gone from `path`: a directory above that could not go yet is tried again. */
  #vacated(path: RelPath): void {
    const { blocked, fresh } = this.#state
    if (blocked.size === 0) return
    for (const dir of ancestorsOf(path)) if (blocked.delete(dir) && fresh !== 'all') fresh.add(dir)
  }

  #nextRetryMs(): number | undefined {
    let next = Infinity
    for (const at of this.#state.blocked.values()) next = Math.min(next, at)
    if (this.#nextSearchMs > 0) next = Math.min(Math.max(next, 0), this.#nextSearchMs)
    return next === Infinity ? undefined : Math.max(5, next - this.#state.parts.clock.monotonic())
  }
}

/** Every path that a step changes. */
function pathsOf(step: ApplyStep): RelPath[] {
  if (step.do !== 'move' && step.do !== 'move-dir') return [step.head.path]
  const members = step.do === 'move-dir' ? step.members : []
  return [step, ...members].flatMap((moved) => [moved.head.path, moved.gone.path])
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

function sameMode(a: Entry, b: Entry | undefined): boolean {
  return a.kind === 'dir' && b?.kind === 'dir' && a.mode === b.mode
}

function countBelow(rows: Iterable<BaseRow>): number {
  let count = 0
  for (const row of rows) if (row.seq >= 0) count++
  return count
}

/** Cuts writes into chunks of bounded size, in order. */
function chunksOf(steps: readonly Write[]): Write[][] {
  const chunks: Write[][] = []
  let chunk: Write[] = []
  let bytes = 0
  for (const step of steps) {
    if (chunk.length > 0 && (chunk.length >= PACK_BODIES || bytes + step.entry.size > PACK_BYTES)) {
      chunks.push(chunk)
      chunk = []
      bytes = 0
    }
    chunk.push(step)
    bytes += step.entry.size
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}
