// Stamps: which of two writes is the later one.

import type { Stamp } from '../model/revision.ts'

/** Positive when `a` is later than `b`, negative when earlier, 0 when it is the same stamp. Of equal times the greater name counts as later. */
export function compareStamps(a: Stamp, b: Stamp): number {
  if (a.timeMs !== b.timeMs) return a.timeMs > b.timeMs ? 1 : -1
  return a.peer === b.peer ? 0 : a.peer > b.peer ? 1 : -1
}

/** The later of two stamps. */
export function laterStamp(a: Stamp, b: Stamp): Stamp {
  return compareStamps(a, b) >= 0 ? a : b
}

/**
 * A claimed write time, moved into what is possible: not after now, and not before the revision that was edited (`afterMs`), which wins
 * when the two disagree. Milliseconds on the coordinator's clock.
 */
export function clampWriteTime(writtenAtMs: number, { afterMs, nowMs }: { afterMs: number; nowMs: number }): number {
  return Math.max(Math.min(writtenAtMs, nowMs), afterMs)
}
