import t from 'tap'
import { measureOffset } from '../../lib/client/clock-offset.ts'
import { systemClock, type Clock } from '../../lib/daemon/clock.ts'

/** A machine and a coordinator whose clock is ahead; each question takes the next of `tripsMs`, answered half-way. */
function aLink(aheadMs: number, tripsMs: readonly number[]) {
  let nowMs = 1_000_000
  const left = [...tripsMs]
  const clock: Clock = { ...systemClock, now: () => nowMs, monotonic: () => nowMs }
  const ask = (): Promise<number> => {
    const tripMs = left.shift() ?? 0
    const answer = nowMs + tripMs / 2 + aheadMs
    nowMs += tripMs
    return Promise.resolve(answer)
  }
  return { clock, ask, left }
}

t.test('the offset is what the coordinator is ahead, however slow the link', async (t) => {
  for (const aheadMs of [0, 3_600_000, -3_600_000]) {
    const { clock, ask } = aLink(aheadMs, [400, 300, 500, 300, 400])
    t.same(await measureOffset(ask, clock), { offsetMs: aheadMs, roundTripMs: 300 })
  }
})

t.test('the shortest round trip counts, for the others were held up one way', async (t) => {
  const { clock } = aLink(0, [])
  let nowMs = 0
  const trips = [
    { outMs: 500, backMs: 1 },
    { outMs: 1, backMs: 1 },
    { outMs: 1, backMs: 900 },
    { outMs: 300, backMs: 1 },
    { outMs: 1, backMs: 300 },
  ]
  const ask = (): Promise<number> => {
    const { outMs, backMs } = trips.shift() ?? { outMs: 0, backMs: 0 }
    const answer = nowMs + outMs + 50
    nowMs += outMs + backMs
    return Promise.resolve(answer)
  }
  const found = await measureOffset(ask, { ...clock, now: () => nowMs, monotonic: () => nowMs })
  t.same(found, { offsetMs: 50, roundTripMs: 2 })
})

t.test('a question that fails fails the measuring', async (t) => {
  await t.rejects(
    measureOffset(() => Promise.reject(new Error('gone')), systemClock),
    /gone/,
  )
})
