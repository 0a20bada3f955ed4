// What one replica knows at this moment: what is dirty, what differs, what is in hand, what is wrong.

import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/log.ts'
import { samePrint } from '../model/entry.ts'
import type { HostPath, RelPath } from '../model/path.ts'
import { ancestorsOf, isBelow, type DirPath, ROOT } from '../model/path.ts'
import type { PlacedHead } from '../model/content.ts'
import type { MovedTree, Seq } from '../model/revision.ts'
import type { Problem } from '../model/problem.ts'
import type { Change } from '../model/snapshot.ts'
import type { Base } from '../store/base.ts'
import { Bell } from './bell.ts'
import { Leftovers } from './leftovers.ts'
import type { FolderHold } from './folder-hold.ts'
import type { Disk, Hub } from './ports.ts'
import { Prefetches } from './prefetch.ts'

/** What a replica is made from. `rules` reads the folder's ignore rules anew. */
export interface ReplicaParts {
  readonly name: string
  readonly root: HostPath
  readonly base: Base
  /** What keeps others from opening the folder; let go of when the replica is closed. */
  readonly hold?: FolderHold
  /** The hub's folder id, where it is known before the replica joins it; `isMarked`: the directory was marked with it. */
  readonly agreed?: { readonly id: string; readonly isMarked: boolean }
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly maxDelete: { readonly kind: 'share'; readonly share: number } | { readonly kind: 'off' }
  readonly settleMs: number
  /** New and changed files that may wait before the scan waits for them to be pushed. */
  readonly backlog: number
  readonly rescanMs: number
  readonly rules: () => readonly string[]
  /** Names in staging that belong to others. */
  readonly keepStaged: (name: string) => boolean
}

/** Why the folder is halted. `told`: the same for others, without any place of this machine. */
export interface Halt extends Problem {
  readonly told: string
}

/** A hub with what was agreed when it was attached. `signal` ends with the link, and with the replica. */
export interface Attached {
  readonly hub: Hub
  readonly signal: AbortSignal
}

/** New heads: those after `prev` up to `upTo`, less what this replica proposed itself; or the move of a directory that made them all. */
export interface News {
  readonly prev: Seq
  readonly upTo: Seq
  readonly heads: readonly PlacedHead[]
  readonly moved?: MovedTree | undefined
}

/** Progress of what is being brought in step; counts fall back to 0 when it is. */
export interface Progress {
  filesDone: number
  filesTotal: number
  bytesDone: number
  bytesTotal: number
}

/** What failed is tried again after this. */
export const RETRY_MS = 30_000
/** Of more paths than this at once the log tells the number; each is told at level debug. */
export const BULK = 50
/** Up to so many new heads are named; to find more, all that wait are searched. */
const FRESH = 1000

export class FolderState {
  readonly parts: ReplicaParts
  readonly prefetches: Prefetches
  readonly leftovers: Leftovers
  readonly localBell = new Bell()
  readonly scanBell = new Bell()
  readonly pushBell = new Bell()
  readonly applyBell = new Bell()
  /** Paths whose disk differs from the base, as far as is known. */
  readonly changes = new Map<RelPath, Change>()
  /** Paths that a push or an apply has in hand. */
  readonly busy = new Set<RelPath>()
  /** Directories whose move is on its way, to the hub or to the disk: where they were, and where they are or will be. */
  readonly moving = new Set<RelPath>()
  /** News that are to be taken in one after the other, the first of them a move. */
  news: readonly News[] = []
  readonly dirtyTrees = new Set<DirPath>()
  /** Directories that the watch saw go, until a scan has seen what that means. */
  readonly vanished = new Set<RelPath>()
  /** Trouble by the path it is shown under; `at` when it may be tried again (monotonic ms). */
  readonly problems = new Map<string, Problem>()
  /** Paths whose head could not be applied, and when to try again (monotonic ms). */
  readonly blocked = new Map<RelPath, number>()
  /** Directories that are to go and could not: something that is ignored, odd or new is still in them. */
  readonly notEmpty = new Set<RelPath>()
  /** Heads that came since they were last looked for; `all`: too many to name. */
  fresh: Set<RelPath> | 'all' = new Set()
  readonly progress: Progress = { filesDone: 0, filesTotal: 0, bytesDone: 0, bytesTotal: 0 }
  attached: Attached | undefined
  /** All heads after the cursor were asked for since the hub was attached. */
  caughtUp = false
  /** The hub has news that it tells later. */
  newsAreHeld = false
  /** Of the heads of one move only some have been told: applied by themselves they would be no move. */
  isCut = false
  scanned = false
  scanning = false
  looking = 0
  halted: Halt | undefined
  /** The folder id of the hub that was last met. */
  hubId: string | undefined
  /** Why the hub takes no changes now. */
  hubTrouble: Problem | undefined
  held: readonly RelPath[] = []
  /** Hears of heads that were just told of; set by the pull side. */
  onHeads: (heads: readonly PlacedHead[]) => void = () => undefined
  /** Asks the hub for all heads after the cursor; set by the replica. */
  ask: () => void = () => undefined
  /** The answer to what was noted under that number will never come, though the link lives; set by the replica. */
  lost: (id: number) => void = () => undefined
  readonly #watchers = new Set<() => void>()

  constructor(parts: ReplicaParts) {
    this.parts = parts
    this.prefetches = new Prefetches(parts, (name) => {
      this.leftovers.await(name)
    })
    this.leftovers = new Leftovers(parts, this.prefetches, () => this.halted !== undefined)
  }

  /** Calls `listener` whenever something may have changed, until disposed. */
  onChange(listener: () => void): Disposable {
    this.#watchers.add(listener)
    return { [Symbol.dispose]: () => void this.#watchers.delete(listener) }
  }

  changed(): void {
    for (const listener of this.#watchers) listener()
  }

  /** Whether a change still differs from the base: a scan reads the base while others write it. */
  isNews(change: Change): boolean {
    const row = this.parts.base.row(change.path)
    return change.kind === 'gone' ? row !== undefined : row === undefined || !samePrint(row.print, change.print)
  }

  /** The base was told of what stands at `path` now: a change that says no more than that is none. */
  agreed(path: RelPath): void {
    const change = this.changes.get(path)
    if (change !== undefined && !this.isNews(change)) this.changes.delete(path)
  }

  /** Whether `path` is in a directory whose move is on its way. */
  isMoving(path: RelPath): boolean {
    return this.moving.size > 0 && (this.moving.has(path) || ancestorsOf(path).some((dir) => this.moving.has(dir)))
  }

  /** `change` is over; a newer one of the same path is not. */
  done(change: Change): void {
    if (this.changes.get(change.path) === change) this.changes.delete(change.path)
  }

  bytesToPush(): number {
    let bytes = 0
    for (const change of this.changes.values())
      if (change.kind === 'put' && change.print.kind === 'file') bytes += change.print.size
    return bytes
  }

  /** Takes heads that the coordinator told of; what was blocked on an older one may be tried again. */
  takeHeads(heads: readonly PlacedHead[], upTo: Seq): void {
    this.parts.base.takeIncoming(heads, upTo)
    for (const { head } of heads) this.blocked.delete(head.path)
    if (heads.length > 0) this.onHeads(heads)
    if (this.fresh === 'all') return
    if (this.fresh.size + heads.length > FRESH) this.fresh = 'all'
    else for (const { head } of heads) this.fresh.add(head.path)
  }

  /** The head of `path` could not be applied: it is let be for so long, or until a newer one comes. */
  block(path: RelPath, forMs: number): void {
    this.blocked.set(path, this.parts.clock.monotonic() + forMs)
  }

  /** Something may be gone from `dir`, which could not be removed because of that: it is tried again. */
  emptied(dir: DirPath): void {
    if (dir === ROOT || !this.notEmpty.delete(dir)) return
    this.blocked.delete(dir)
    if (this.fresh !== 'all') this.fresh.add(dir)
    this.applyBell.ring()
  }

  markTree(dir: DirPath): void {
    for (const known of this.dirtyTrees) {
      if (known === dir || isBelow(known, dir)) return
      if (isBelow(dir, known)) this.dirtyTrees.delete(known)
    }
    this.dirtyTrees.add(dir)
    this.scanBell.ring()
  }

  problem(problem: Problem): void {
    const known = this.problems.get(problem.path)
    if (known?.reason === problem.reason) return
    this.problems.set(problem.path, problem)
    this.parts.log.warn(`${problem.path}: ${problem.reason}`, { folder: this.parts.name, todo: problem.todo })
    this.changed()
  }

  solved(path: string): void {
    if (this.problems.delete(path)) this.changed()
  }

  /** Wakes every loop: something they all depend on has changed. */
  wakeAll(): void {
    this.localBell.ring()
    this.scanBell.ring()
    this.pushBell.ring()
    this.applyBell.ring()
    this.changed()
  }
}
