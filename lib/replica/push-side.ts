// The push side of a replica: from changes to proposals, with their bodies, and from outcomes back to the base.

import { guardDeletes, quietMs } from '../core/guard.ts'
import { findMoves, type Move } from '../core/move-detection.ts'
import { Recipe } from '../core/recipe.ts'
import { reconcile } from '../core/reconcile.ts'
import { SyncError, Unreachable } from '../errors.ts'
import { PACK_BODIES, PACK_BYTES, PACKED_MAX, type Source, type SourcedProposal } from '../model/content.ts'
import { samePrint, type Entry, type FileEntry } from '../model/entry.ts'
import { depthOf, parentOf, ROOT, type RelPath } from '../model/path.ts'
import type { Outcome, Proposal } from '../model/revision.ts'
import type { Change } from '../model/snapshot.ts'
import type { Attached, FolderState } from './folder-state.ts'
import { keepRecipes } from './keep-recipes.ts'
import type { LocalSide } from './local-side.ts'
import { sendLarge } from './patch-push.ts'
import type { CommitReply, Hub } from './ports.ts'
import { rootTrouble } from './root-guard.ts'

type Put = Change & { readonly kind: 'put' }
type Gone = Change & { readonly kind: 'gone' }

/** A change whose entry is known, ready to be proposed. `body`: its bytes, when they have to be sent along. */
interface Ready {
  readonly change: Change
  readonly entry: Entry | undefined
  readonly proposal: Proposal
  readonly body?: Uint8Array
}

/** Packs on their way at once: while one is committed the next is read. */
const LANES = 2
const LARGE_LANES = 2
const RETRY_MS = 30_000
/** A batch's words must fit one message. Bytes. */
const MESSAGE_BYTES = 600 * 1024
/** Of more changes than this at once the log tells the number; each is told at level debug. */
const BULK = 50
/** Deletes sent within this time count towards the guard's share. */
const RECENT_MS = 10_000
/** A link that lives but cannot be used is tried again after this. */
const UNREACHABLE_MS = 500
/** Bodies of more than this in one batch are worth asking whether the coordinator holds them. Bytes. */
const ASK_ABOVE = 256 * 1024

export class PushSide {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #tasks = new Set<Promise<void>>()
  readonly #mustSend = new Set<RelPath>()
  readonly #confirmed = new Set<RelPath>()
  readonly #failing = new Set<RelPath>()
  #retry: Disposable | undefined
  readonly #moves = new Map<RelPath, Move>()
  #level: 'info' | 'debug' = 'info'
  #lanes = 0
  #largeLanes = 0
  #lastGoneMs = 0
  #goneSeen = 0
  #recentDeletes: { atMs: number; count: number }[] = []
  #names = 0
  /** Set when the link said that it cannot move contents, though it lives. */
  #pause: { readonly of: Attached; readonly untilMs: number } | undefined

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
  }

  get active(): boolean {
    return this.#tasks.size > 0
  }

  /** The person confirmed: the held deletes may go. */
  confirm(): void {
    for (const path of this.#state.held) this.#confirmed.add(path)
    this.#state.held = []
    this.#state.pushBell.ring()
    this.#state.changed()
  }

  /** The person rejected: the held deletes are undone by applying what was agreed anew. */
  reject(): void {
    const { base } = this.#state.parts
    const rows = this.#state.held.flatMap((path) => base.row(path) ?? [])
    base.transaction(() => {
      base.remove(rows.map((row) => row.path))
      base.takeIncoming(
        rows.map((row) => ({ head: { path: row.path, seq: row.seq, entry: row.entry }, place: undefined })),
        base.cursor(),
      )
    })
    for (const path of this.#state.held) this.#state.changes.delete(path)
    this.#state.held = []
    this.#state.wakeAll()
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
      this.#retry?.[Symbol.dispose]()
      this.#retry = undefined
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
    const { deletable, waitMs } = this.#deletable()
    while (this.#lanes < LANES) {
      const batch = this.#takeSmall(deletable)
      if (batch.length === 0) break
      this.#lanes++
      this.#task(batch, this.#pushBatch(batch, attached, until), () => this.#lanes--)
    }
    for (const change of this.#takeLarge()) {
      this.#largeLanes++
      const from = this.#movedFrom(change)
      const batch = from === undefined ? [change] : [change, from]
      this.#task(batch, this.#pushLarge(change, from, { attached, signal: until }), () => this.#largeLanes--)
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
    const isChanged = error instanceof SyncError && error.code === 'LOCAL_CHANGED'
    const reason = error instanceof Error ? error.message : String(error)
    for (const change of batch) {
      this.#state.changes.delete(change.path)
      if (isChanged) {
        this.#local.lookLater(change.path)
        continue
      }
      this.#state.problem({
        path: change.path,
        reason,
        todo: 'it is tried again in half a minute',
      })
      this.#tryAgain(change.path)
    }
  }

  /** Looks at a path once more in half a minute; one timer for all that failed meanwhile. */
  #tryAgain(path: RelPath): void {
    this.#failing.add(path)
    this.#retry ??= this.#state.parts.clock.after(RETRY_MS, () => {
      this.#retry = undefined
      for (const failed of this.#failing) this.#local.lookAgain(failed)
      this.#failing.clear()
    })
  }

  /** Which deletes may go now: those that are moves, confirmed, or few enough and quiet. */
  #deletable(): { deletable: Gone[]; waitMs: number | undefined } {
    const state = this.#state
    const now = state.parts.clock.monotonic()
    const gone: Gone[] = []
    const puts: Put[] = []
    for (const change of state.changes.values()) {
      if (state.busy.has(change.path)) continue
      if (change.kind === 'put') puts.push(change)
      else if (state.isNews(change)) gone.push(change)
      else state.changes.delete(change.path)
    }
    if (gone.length !== this.#goneSeen) {
      this.#goneSeen = gone.length
      this.#lastGoneMs = now
    }
    if (gone.length === 0) {
      this.#release()
      return { deletable: [], waitMs: undefined }
    }
    if (state.scanning || state.dirtyTrees.size > 0) return { deletable: [], waitMs: undefined }
    const moved = this.#findMoves(gone, puts)
    const deepestFirst = (list: Gone[]): Gone[] => list.sort((a, b) => depthOf(b.path) - depthOf(a.path))
    const plain = gone.filter((change) => !moved.has(change.path) && !this.#confirmed.has(change.path))
    const free = gone.filter(
      (change) => (moved.has(change.path) || this.#confirmed.has(change.path)) && !this.#goesWithLarge(change.path),
    )
    if (plain.length === 0) {
      this.#release()
      return { deletable: deepestFirst(free), waitMs: undefined }
    }
    const waitMs = this.#lastGoneMs + quietMs(plain.length) - now
    if (waitMs > 0) return { deletable: deepestFirst(free), waitMs }
    this.#recentDeletes = this.#recentDeletes.filter((sent) => now - sent.atMs < RECENT_MS)
    const recent = this.#recentDeletes.reduce((sum, sent) => sum + sent.count, 0)
    const verdict = guardDeletes({
      gone: plain.length,
      recent,
      total: state.parts.base.count() + recent,
      maxDelete: state.parts.maxDelete,
    })
    if (verdict === 'hold') {
      if (state.held.length !== plain.length) {
        state.held = plain.map((change) => change.path)
        state.parts.log.warn(
          `Held the deletion of ${String(plain.length)} of ${String(state.parts.base.count())} paths in folder "${state.parts.name}": answer with "monitor confirm ${state.parts.name}" or "monitor reject ${state.parts.name}"`,
        )
        state.changed()
      }
      return { deletable: deepestFirst(free), waitMs: undefined }
    }
    this.#release()
    return { deletable: deepestFirst([...free, ...plain]), waitMs: undefined }
  }

  /** Recognises moves; returns the paths that are gone because they moved. */
  #findMoves(gone: readonly Gone[], puts: readonly Put[]): Set<RelPath> {
    this.#moves.clear()
    if (puts.length === 0) return new Set()
    const { moves, dirMoves } = findMoves(gone, puts)
    for (const move of [...moves, ...dirMoves, ...dirMoves.flatMap((dir) => dir.members)])
      this.#moves.set(move.to, move)
    return new Set([...this.#moves.values()].map((move) => move.from))
  }

  #release(): void {
    if (this.#state.held.length === 0) return
    this.#state.held = []
    this.#state.changed()
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
    const puts = await this.#readPuts(
      batch.filter((change) => change.kind === 'put'),
      hub,
      signal,
    )
    const gone = await this.#confirmGone(
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
    this.#settle(ready, reply)
    if (gone.length > 0) this.#recentDeletes.push({ atMs: state.parts.clock.monotonic(), count: gone.length })
  }

  /** Where a large file was moved from: told together, the receivers move it too. */
  #movedFrom(change: Put): Gone | undefined {
    const from = this.#moves.get(change.path)?.from
    const gone = from === undefined ? undefined : this.#state.changes.get(from)
    return gone?.kind === 'gone' && !this.#state.busy.has(gone.path) ? gone : undefined
  }

  #goesWithLarge(path: RelPath): boolean {
    for (const move of this.#moves.values()) {
      if (move.from !== path) continue
      const put = this.#state.changes.get(move.to)
      return put !== undefined && isLarge(put)
    }
    return false
  }

  async #pushLarge(
    change: Put,
    from: Gone | undefined,
    { attached: { hub }, signal }: { attached: Attached; signal: AbortSignal },
  ): Promise<void> {
    const state = this.#state
    const { base, disk } = state.parts
    const { progress } = state
    progress.filesTotal++
    progress.bytesTotal += change.print.size
    const file = { path: change.path, print: change.print }
    const before = change.base?.entry
    const hashed = await disk.hash({ ...file, like: before?.kind === 'file' ? before.sha256 : undefined }, signal)
    if (hashed.kind !== 'read') {
      this.#unread(change, hashed)
      return
    }
    const ready = this.#decide(change, fileEntry(change, hashed.sha256), hub)
    if (ready === undefined) return
    const content = { sha256: hashed.sha256, size: change.print.size }
    const [holding] = await hub.holdings([content], signal)
    let source: Source = { kind: 'held' }
    if (holding?.kind === 'go') {
      const patch = this.#mustSend.has(change.path) ? undefined : hashed.patch
      const onBytes = (bytes: number): void => {
        progress.bytesDone += bytes
        state.changed()
      }
      const large = { ...content, file, staged: holding.staged, patch }
      const sent = await sendLarge(large, { hub, parts: state.parts }, onBytes, signal)
      if (sent === undefined) {
        this.#unread(change, { kind: 'changed' })
        return
      }
      source = sent
    }
    const gone = from === undefined ? [] : await this.#confirmGone([from], hub, signal)
    const batch = gone.map((item): SourcedProposal => ({ proposal: item.proposal, source: { kind: 'held' } }))
    const reply = await hub.propose([...batch, { proposal: ready.proposal, source }], signal)
    this.#settle([...gone, ready], reply)
    if (hashed.recipe !== undefined) base.putRecipe(hashed.sha256, new Recipe(hashed.recipe))
    progress.filesDone++
  }

  async #readPuts(puts: readonly Put[], hub: Hub, signal: AbortSignal): Promise<Ready[]> {
    const ready: Ready[] = []
    const toRead: Put[] = []
    for (const put of puts) {
      const known = this.#knownEntry(put)
      if (known === undefined) toRead.push(put)
      else push(ready, this.#decide(put, known, hub))
    }
    if (toRead.length === 0) return ready
    const { bytes, results } = await this.#state.parts.disk.read(
      toRead.map((put) => ({ path: put.path, print: put.print })),
      signal,
    )
    toRead.forEach((put, index) => {
      const result = results[index]
      if (result?.kind !== 'read') {
        this.#unread(put, result ?? { kind: 'changed' })
        return
      }
      const body = bytes.subarray(result.offset, result.offset + result.size)
      push(ready, this.#decide(put, fileEntry(put, result.sha256), hub, body))
    })
    return ready
  }

  /** The entry of a put that need not be read: a directory, a link, or a file that was only moved. */
  #knownEntry(put: Put): Entry | undefined {
    const { print } = put
    if (print.kind === 'dir') return { kind: 'dir', mode: print.mode }
    if (print.kind === 'link') return { kind: 'link', target: put.target ?? '' }
    const move = this.#moves.get(put.path)
    if (move === undefined || !samePrint(move.base.print, print)) return undefined
    return move.base.entry.kind === 'file' ? fileEntry(put, move.base.entry.sha256) : undefined
  }

  #unread(
    put: Put,
    result: { kind: 'changed' } | { kind: 'problem'; problem: { path: string; reason: string; todo: string } },
  ): void {
    const { changes } = this.#state
    if (changes.get(put.path) === put) changes.delete(put.path)
    if (result.kind === 'problem') this.#state.problem(result.problem)
    else this.#local.lookLater(put.path)
  }

  /** Three ways: what is to be done about a path whose local entry is known now. `undefined`: nothing to propose. */
  #decide(put: Put, entry: Entry, hub: Hub, body?: Uint8Array): Ready | undefined {
    const { base } = this.#state.parts
    const row = base.row(put.path)
    const head = base.incoming(put.path)?.head
    const decision = reconcile(row, { kind: 'put', entry }, head)
    switch (decision.do) {
      case 'propose': {
        const writtenAtMs = Number(put.print.ctimeNs) / 1e6 + hub.clockOffsetMs()
        const proposal: Proposal = { path: put.path, base: decision.base, entry, writtenAtMs }
        return { change: put, entry, proposal, ...(body === undefined ? {} : { body }) }
      }
      case 'adopt':
        base.transaction(() => {
          base.put([{ path: put.path, seq: decision.seq, entry, print: put.print }])
          base.dropIncoming(put.path, decision.seq)
        })
        break
      case 'apply':
        base.put([{ path: put.path, seq: 0, entry, print: put.print }])
        this.#state.applyBell.ring()
        break
      case 'nothing':
      case 'forget':
        if (row !== undefined) base.put([{ ...row, print: put.print }])
        break
    }
    this.#done(put)
    return undefined
  }

  async #confirmGone(gone: readonly Gone[], hub: Hub, signal: AbortSignal): Promise<Ready[]> {
    if (gone.length === 0) return []
    const { base, disk, clock } = this.#state.parts
    const looks = await disk.look(
      gone.map((change) => change.path),
      signal,
    )
    if (rootTrouble(this.#state)) return []
    const ready: Ready[] = []
    gone.forEach((change, index) => {
      const look = looks[index]
      const row = base.row(change.path)
      if (look?.state !== 'missing') {
        this.#local.lookAgain(change.path)
        this.#done(change)
        return
      }
      const decision = reconcile(row, { kind: 'gone' }, base.incoming(change.path)?.head)
      if (decision.do === 'propose') {
        const writtenAtMs = clock.now() + hub.clockOffsetMs()
        ready.push({
          change,
          entry: undefined,
          proposal: { path: change.path, base: decision.base, entry: undefined, writtenAtMs },
        })
        return
      }
      if (decision.do !== 'nothing') base.remove([change.path])
      if (decision.do === 'forget' || decision.do === 'adopt') {
        const head = base.incoming(change.path)?.head
        if (head !== undefined && head.entry === undefined) base.dropIncoming(change.path, head.seq)
      }
      this.#state.applyBell.ring()
      this.#done(change)
    })
    return ready
  }

  /** Those whose bodies the coordinator lacks. */
  async #lacking(ready: readonly Ready[], hub: Hub, signal: AbortSignal): Promise<Ready[]> {
    const { base } = this.#state.parts
    const seen = new Set<string>()
    const unknown = ready.filter((item) => {
      if (item.body === undefined || item.body.length === 0 || item.entry?.kind !== 'file') return false
      if (this.#mustSend.has(item.change.path)) return true
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

  #settle(ready: readonly Ready[], reply: CommitReply): void {
    const { base, log, name } = this.#state.parts
    this.#level = ready.length > BULK ? 'debug' : 'info'
    base.transaction(() => {
      ready.forEach((item, index) => {
        const outcome = reply.outcomes[index]
        if (outcome !== undefined) this.#settleOne(item, outcome)
      })
      this.#state.takeHeads(reply.heads, base.cursor())
      if (reply.prev === base.cursor()) base.setCursor(reply.upTo)
    })
    if (ready.length > BULK) log.info(`Pushed ${String(ready.length)} changes`, { folder: name })
    this.#state.applyBell.ring()
  }

  #settleOne(item: Ready, outcome: Outcome): void {
    const { base, log, name } = this.#state.parts
    const { change, entry } = item
    const { path } = change
    switch (outcome.kind) {
      case 'need':
        this.#mustSend.add(path)
        return
      case 'refused':
        this.#done(change)
        if (outcome.status === 409) this.#local.lookLater(path)
        else
          this.#state.problem({
            path,
            reason: `the coordinator refused it: ${outcome.reason}`,
            todo: 'it is tried again in half a minute',
          })
        if (outcome.status !== 409) this.#tryAgain(path)
        return
      case 'accepted':
      case 'duplicate':
      case 'superseded':
        if (change.kind === 'put' && entry !== undefined) {
          base.put([{ path, seq: outcome.kind === 'superseded' ? 0 : outcome.seq, entry, print: change.print }])
        } else base.remove([path])
        if (outcome.kind === 'accepted') base.dropIncoming(path, outcome.seq)
        log[this.#level](`${change.kind === 'put' ? 'Pushed' : 'Deleted'} ${path}`, {
          folder: name,
          outcome: outcome.kind,
          seq: outcome.seq,
        })
        this.#mustSend.delete(path)
        this.#confirmed.delete(path)
        this.#state.solved(path)
        this.#done(change)
    }
  }

  #done(change: Change): void {
    if (this.#state.changes.get(change.path) === change) this.#state.changes.delete(change.path)
  }
}

/** About how long a change is in a message. Bytes: a name in UTF-8 and JSON is at most six for each UTF-16 unit. */
function wordsOf(change: Change): number {
  const target = change.kind === 'put' ? (change.target?.length ?? 0) : 0
  return 160 + 3 * (change.path.length + target)
}

function isLarge(change: Change): boolean {
  return change.kind === 'put' && change.print.kind === 'file' && change.print.size > PACKED_MAX
}

function fileEntry(put: Put, sha256: FileEntry['sha256']): FileEntry {
  const { size, mtimeNs, mode } = put.print
  return { kind: 'file', size, mtimeNs, mode, sha256 }
}

function push<T>(list: T[], item: T | undefined): void {
  if (item !== undefined) list.push(item)
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
