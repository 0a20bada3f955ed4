// Back-off: how long to wait before the next try.

const FIRST_MS = 200
const LONGEST_MS = 30_000

/**
 * Delay in ms before the try after `failures` failures in a row (1 or more). It doubles from 0.2 s to 30 s; `random` (0 up to 1) spreads it
 * over the upper half, so that peers that lost one coordinator do not all come back in the same instant.
 */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(Math.max(0, failures - 1), 20))
  return Math.round(full / 2 + (full / 2) * random)
}
