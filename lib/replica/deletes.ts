// Deletes: which of them may go now, those that are moves first of all; and the held ones that wait for a person's word.

import { guardDeletes, quietMs } from '../core/guard.ts'
import { findMovedDirs, findMoves, type Move, type MovedDir } from '../core/move-detection.ts'
import { reconcile } from '../core/reconcile.ts'
import { ancestorsOf, depthOf, type RelPath } from '../model/path.ts'
import type { FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'
import type { Hub } from './ports.ts'
import { isLarge, type Gone, type Put, type Ready } from './push-change.ts'
import { rootTrouble } from './root-guard.ts'

/** What may go now. `waitMs`: in how many ms to ask again. `trees`: directories that moved; what is below them is not among the deletes. */
export interface Leaving {
  /** Deepest first. */
  readonly deletable: Map<RelPath, Gone>
  readonly waitMs: number | undefined
  readonly trees: readonly MovedDir[]
}

/** Deletes sent within this time count towards the guard's share. */
const RECENT_MS = 10_000

export class Deletes {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #confirmed = new Set<RelPath>()
  readonly #moves = new Map<RelPath, Move>()
  readonly #movedFrom = new Map<RelPath, Move>()
  /** Where directories that moved were, and where they stand. */
  readonly #tops = new Set<RelPath>()
  /** Directories whose moves go path by path, by where they were. */
  readonly #refused = new Set<RelPath>()
  #awaitsMove = false
  #lastGoneMs = 0
  #goneSeen = 0
  #recent: { atMs: number; count: number }[] = []

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
  }

  /** The move that ends at `path`, as of the last look at what is gone. */
  moveTo(path: RelPath): Move | undefined {
    return this.#moves.get(path)
  }

  /** A directory is gone, and it is not known yet whether a new one is the same: new ones, and what is in them, wait a moment. */
  get awaitsMove(): boolean {
    return this.#awaitsMove
  }

  /** Whether `path` is in a directory whose move is told as one, and first. */
  isInTree(path: RelPath): boolean {
    return this.#tops.size > 0 && (this.#tops.has(path) || ancestorsOf(path).some((dir) => this.#tops.has(dir)))
  }

  /** The move of a directory goes path by path. */
  refuse({ from }: MovedDir): void {
    this.#refused.add(from)
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

  /** Which deletes may go now: those that are moves, confirmed, or few enough and quiet. */
  deletable(): Leaving {
    const state = this.#state
    const now = state.parts.clock.monotonic()
    const all: Gone[] = []
    const puts: Put[] = []
    for (const change of state.changes.values()) {
      if (state.busy.has(change.path) || state.isMoving(change.path)) continue
      if (change.kind === 'put') puts.push(change)
      else all.push(change)
    }
    const gone = this.#withoutOld(all)
    if (gone.length !== this.#goneSeen) {
      this.#goneSeen = gone.length
      this.#lastGoneMs = now
    }
    const isLooking = state.scanning || state.dirtyTrees.size > 0
    const isMoving = state.vanished.size > 0 || (isLooking && gone.some(({ base }) => base.entry.kind === 'dir'))
    this.#awaitsMove = isMoving && state.changes.size < state.parts.backlog / 2
    const trees = this.#findTrees(isLooking ? [] : gone, puts)
    if (gone.length === 0) {
      this.#release()
      return { deletable: new Map(), waitMs: undefined, trees }
    }
    if (isLooking) return { deletable: new Map(), waitMs: undefined, trees }
    return { ...this.#choose(this.#outOfTrees(gone), this.#outOfTrees(puts), now), trees }
  }

  /** Of the deletes that are not in a directory that moved. */
  #choose(gone: readonly Gone[], puts: readonly Put[], now: number): Omit<Leaving, 'trees'> {
    const state = this.#state
    const moved = this.#findMoves(gone, puts)
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
    this.#recent = this.#recent.filter((sent) => now - sent.atMs < RECENT_MS)
    const recent = this.#recent.reduce((sum, sent) => sum + sent.count, 0)
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

  /** What stands where `path` was moved to, while it waits to be proposed. */
  moveFrom(path: RelPath): Put | undefined {
    const move = this.#movedFrom.get(path)
    const put = move === undefined ? undefined : this.#state.changes.get(move.to)
    return put?.kind === 'put' ? put : undefined
  }

  /** Where a large file was moved from: told together, the receivers move it too. */
  movedFrom(change: Put): Gone | undefined {
    const from = this.#moves.get(change.path)?.from
    const gone = from === undefined ? undefined : this.#state.changes.get(from)
    return gone?.kind === 'gone' && !this.#state.busy.has(gone.path) ? gone : undefined
  }

  /** Looks once more right before deletes are proposed. What is not gone, or need not be said, is left out, and seen to. */
  async confirmGone(gone: readonly Gone[], hub: Hub, signal: AbortSignal): Promise<Ready[]> {
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
        this.#state.done(change)
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
      this.#state.done(change)
    })
    return ready
  }

  /** Deletes were proposed: for a while they count with those that follow. */
  sent(count: number): void {
    if (count > 0) this.#recent.push({ atMs: this.#state.parts.clock.monotonic(), count })
  }

  /** The delete of `path` is over. */
  settled(path: RelPath): void {
    this.#confirmed.delete(path)
  }

  /** Recognises moves; returns the paths that are gone because they moved. */
  #findMoves(gone: readonly Gone[], puts: readonly Put[]): Set<RelPath> {
    this.#moves.clear()
    this.#movedFrom.clear()
    if (puts.length === 0) return new Set()
    const { moves, dirMoves } = findMoves(gone, puts)
    for (const move of [...moves, ...dirMoves, ...dirMoves.flatMap((dir) => dir.members)]) {
      this.#moves.set(move.to, move)
      this.#movedFrom.set(move.from, move)
    }
    return new Set(this.#movedFrom.keys())
  }

  /** Those that the base still knows; the others are no news any more. */
  #withoutOld(gone: readonly Gone[]): Gone[] {
    const rows = this.#state.parts.base.rows(gone.map(({ path }) => path))
    return gone.filter(({ path }) => rows.has(path) || !this.#state.changes.delete(path))
  }

  /** Recognises directories that moved with most of what was in them. */
  #findTrees(gone: readonly Gone[], puts: readonly Put[]): MovedDir[] {
    this.#tops.clear()
    if (gone.length === 0) return []
    const trees = findMovedDirs(gone, puts)
    const left = new Set(gone.map(({ path }) => path))
    for (const from of this.#refused) if (!left.has(from)) this.#refused.delete(from)
    const told = trees.filter(({ from }) => !this.#refused.has(from))
    for (const { from, to } of told) this.#tops.add(from).add(to)
    return told
  }

  #outOfTrees<C extends Gone | Put>(changes: readonly C[]): readonly C[] {
    return this.#tops.size === 0 ? changes : changes.filter(({ path }) => !this.isInTree(path))
  }

  #release(): void {
    if (this.#state.held.length === 0) return
    this.#state.held = []
    this.#state.changed()
  }

  #goesWithLarge(path: RelPath): boolean {
    const put = this.moveFrom(path)
    return put !== undefined && isLarge(put)
  }
}

function deepestFirst(list: readonly Gone[]): Map<RelPath, Gone> {
  const sorted = [...list].sort((a, b) => depthOf(b.path) - depthOf(a.path))
  return new Map(sorted.map((gone) => [gone.path, gone]))
}
