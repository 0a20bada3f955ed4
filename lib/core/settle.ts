// Settles: decides when a path that was touched is looked at.

import type { RelPath } from '../model/path.ts'

const MAX_WAIT_MS = 30_000

/** Paths remembered as taken at most: one that is forgotten is only looked at sooner than it would be. */
const MAX_TAKEN = 1000

/** When a path was last taken, and how long at least to wait before it is taken again. */
interface Taken {
  readonly atMs: number
  readonly waitMs: number
}

/** A path that is still open: its first and its last event since it was last taken. */
interface Open {
  readonly firstMs: number
  readonly taken: Taken | undefined
  lastMs: number
}

/** The paths that wait to be looked at. It has no clock: every call says what time it is, in milliseconds on one monotonic clock. */
export class Settle {
  readonly #settleMs: number
  readonly #ready = new Set<RelPath>()
  readonly #open = new Map<RelPath, Open>()
  /** The oldest first. */
  readonly #taken = new Map<RelPath, Taken>()

  /** `settleMs`: quiet time before a file that is still open is looked at. */
  constructor(settleMs: number) {
    this.#settleMs = settleMs
  }

  /** How many paths wait. */
  get size(): number {
    return this.#ready.size + this.#open.size
  }

  /** Takes note of an event. What is closed (`whole`) or `gone` is due at once. */
  note(path: RelPath, kind: 'open' | 'whole' | 'gone', nowMs: number): void {
    const open = this.#open.get(path)
    if (kind === 'open' && open !== undefined) {
      open.lastMs = nowMs
      return
    }
    const taken = this.#taken.get(path)
    this.#taken.delete(path)
    if (kind !== 'open') {
      this.#open.delete(path)
      this.#ready.add(path)
      return
    }
    const isRecent = taken !== undefined && nowMs - taken.atMs <= MAX_WAIT_MS
    this.#open.set(path, { firstMs: nowMs, lastMs: nowMs, taken: isRecent ? taken : undefined })
  }

  /** Takes the paths that are due. One that keeps changing after it was taken waits twice as long each time, up to 30 s. */
  due(nowMs: number): RelPath[] {
    const due = [...this.#ready]
    this.#ready.clear()
    for (const [path, open] of this.#open) {
      if (this.#dueMs(open) > nowMs) continue
      due.push(path)
      this.#open.delete(path)
      const waitMs = open.taken === undefined ? this.#settleMs : Math.min(open.taken.waitMs * 2, MAX_WAIT_MS)
      this.#taken.set(path, { atMs: nowMs, waitMs })
    }
    for (const [path, { atMs }] of this.#taken) {
      if (this.#taken.size <= MAX_TAKEN && nowMs - atMs <= MAX_WAIT_MS) break
      this.#taken.delete(path)
    }
    return due
  }

  /** When something is due next: -Infinity when something is due already, `undefined` when nothing waits. */
  nextDueMs(): number | undefined {
    if (this.#ready.size > 0) return -Infinity
    let next: number | undefined
    for (const open of this.#open.values()) next = Math.min(next ?? Infinity, this.#dueMs(open))
    return next
  }

  /** After `settleMs` of quiet, or after 30 s when it never is; not before the growing wait is over. */
  #dueMs({ firstMs, lastMs, taken }: Open): number {
    const notBeforeMs = taken === undefined ? -Infinity : taken.atMs + taken.waitMs
    return Math.min(Math.max(lastMs + this.#settleMs, notBeforeMs), firstMs + MAX_WAIT_MS)
  }
}
