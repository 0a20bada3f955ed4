// The coordinator's clock as seen from here: several round trips, the shortest counts.

import type { Clock } from '../daemon/clock.ts'

const ROUNDS = 5

/** Milliseconds to add to this machine's clock to get the coordinator's, and the shortest round trip in ms. */
export async function measureOffset(
  ask: () => Promise<number>,
  clock: Clock,
): Promise<{ offsetMs: number; roundTripMs: number }> {
  let best = { offsetMs: 0, roundTripMs: Infinity }
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = clock.monotonic()
    const sentMs = clock.now()
    const theirsMs = await ask()
    const roundTripMs = clock.monotonic() - startMs
    if (roundTripMs < best.roundTripMs) best = { offsetMs: theirsMs - (sentMs + roundTripMs / 2), roundTripMs }
  }
  return best
}
