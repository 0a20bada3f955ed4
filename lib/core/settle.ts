// Settles: decides when a path that was touched is looked at.

import type { RelPath } from '../model/path.ts'

const MAX_WAIT_MS = 30_000

interface Open {
  /** First and last event since it was last taken; `undefined`: none since. */
  first: number | undefined
  last: number
  /** When it was last taken, and how long at least to wait before it is taken again. */
  taken: number
  waitMs: number
}

/** The paths that wait to be looked at. It has no clock: every call says what time it is, in milliseconds on one monotonic clock. */
export class Settle {
  readonly #settleMs: number
  readonly #ready = new Set<RelPath>()
  readonly #open = new Map<RelPath, Open>()

  /** `settleMs`: quiet time before a file that is still open is looked at. */
  constructor(settleMs: number) {
    this.#settleMs = settleMs
  }

  /** How many paths wait. */
  get size(): number {
    let waiting = this.#ready.size
    for (const open of this.#open.values()) if (open.first !== undefined) waiting += 1
    return waiting
  }

  /** Takes note of an event. What is closed (`whole`) or `gone` is due at once. */
  note(path: RelPath, kind: 'open' | 'whole' | 'gone', nowMs: number): void {
    if (kind !== 'open') {
      this.#open.delete(path)
      this.#ready.add(path)
      return
    }
    const open = this.#open.get(path)
    if (open === undefined) {
      this.#open.set(path, { first: nowMs, last: nowMs, taken: -Infinity, waitMs: this.#settleMs })
    } else {
      open.first ??= nowMs
      open.last = nowMs
    }
  }

  /** Takes the paths that are due. One that keeps changing after it was taken waits twice as long each time, up to 30 s. */
  due(nowMs: number): RelPath[] {
    const due = [...this.#ready]
    this.#ready.clear()
    for (const [path, open] of this.#open) {
      if (this.#dueMs(open) <= nowMs) {
        due.push(path)
        const isFirst = open.taken === -Infinity
        open.waitMs = isFirst ? this.#settleMs : Math.min(open.waitMs * 2, MAX_WAIT_MS)
        open.first = undefined
        open.taken = nowMs
      } else if (open.first === undefined && nowMs - open.taken > MAX_WAIT_MS) {
        this.#open.delete(path)
      }
    }
    return due
  }

  /** When something is due next: -Infinity when something is due already, `undefined` when nothing waits. */
  nextDueMs(): number | undefined {
    if (this.#ready.size > 0) return -Infinity
    let next: number | undefined
    for (const open of this.#open.values()) {
      if (open.first !== undefined) next = Math.min(next ?? Infinity, this.#dueMs(open))
    }
    return next
  }

  /** After `settleMs` of quiet, or after 30 s when it never is; not before the growing wait is over. */
  #dueMs({ first, last, taken, waitMs }: Open): number {
    if (first === undefined) return Infinity
    return Math.min(Math.max(last + this.#settleMs, taken + waitMs), first + MAX_WAIT_MS)
  }
}
