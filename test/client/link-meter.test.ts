import fc from 'fast-check'
import t from 'tap'
import {
  BELIEVED,
  FAST_ABOVE,
  LinkMeter,
  MEASURED_MIN,
  REMEMBERED,
  SLOW_BELOW,
  Turns,
  type Finished,
} from '../../lib/client/link-meter.ts'

/** A transfer as a link of that rate and round trip does it. */
function over(rate: number, { bytes = 4_000_000, roundTripMs = 20, trips = 3, lostMs = 0 } = {}): Finished {
  return { bytes, trips, ms: (bytes / rate) * 1000 + trips * roundTripMs + lostMs }
}

function meterAfter(transfers: readonly Finished[], roundTripMs = 20): LinkMeter {
  const meter = new LinkMeter(roundTripMs)
  for (const transfer of transfers) meter.note(transfer)
  return meter
}

const long = fc.integer({ min: MEASURED_MIN, max: 5_000_000 })
const trips = fc.integer({ min: 0, max: 4 })
const between = (min: number, max: number) => fc.double({ min, max, noNaN: true })

t.test('the links that people have', (t) => {
  for (const [name, rate, roundTripMs, isSlow] of [
    ['a telephone', 1e6, 80, true],
    ['100 Mbit', 12.5e6, 20, true],
    ['a wireless network', 25e6, 3, true],
    ['a gigabit', 110e6, 0.3, false],
    ['a gigabit far away', 110e6, 100, false],
    ['loopback', 400e6, 0.1, false],
  ] as const) {
    for (const bytes of [200_000, 1_000_000, 4_000_000]) {
      const { isSlow: found } = meterAfter([over(rate, { bytes, roundTripMs })], roundTripMs)
      t.equal(found, isSlow, `${name}, ${bytes} bytes`)
    }
  }
  t.end()
})

t.test('nothing is said before something was measured', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.nat(MEASURED_MIN - 1), ms: between(0, 1e6), trips })),
      between(0, 500),
      (transfers, roundTripMs) => {
        const meter = meterAfter(transfers, roundTripMs)
        return !meter.isSlow && meter.rate === undefined
      },
    ),
  )
  const meter = meterAfter([{ bytes: 1e6, ms: 0, trips: 0 }])
  t.equal(meter.rate, undefined, 'what took no time tells nothing')
  t.end()
})

t.test('a slow link is known by one transfer, whatever its length and round trip', (t) => {
  fc.assert(
    fc.property(long, trips, between(0, 500), between(1e4, SLOW_BELOW * 0.99), (bytes, trips, roundTripMs, rate) => {
      // Round trips that take nearly all of the time leave too little to go by.
      fc.pre((bytes / rate) * 1000 > 0.12 * trips * roundTripMs)
      return meterAfter([over(rate, { bytes, trips, roundTripMs })], roundTripMs).isSlow
    }),
  )
  t.end()
})

t.test('one transfer that was not held up, of the last ones, is enough for a fast link to be called fast', (t) => {
  fc.assert(
    fc.property(
      fc.array(between(0, 5000), { maxLength: 20 }),
      fc.nat(REMEMBERED - 1),
      between(FAST_ABOVE * 1.01, 1e9),
      (losses, place, rate) => {
        const held = losses.map((lostMs) => over(rate, { lostMs }))
        return !meterAfter([...held, over(rate), ...held.slice(0, place)]).isSlow
      },
    ),
  )
  t.end()
})

t.test('between the two limits the verdict stays as it was', (t) => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(between(SLOW_BELOW * 1.01, FAST_ABOVE * 0.99), { minLength: REMEMBERED, maxLength: 20 }),
      (wasSlow, rates) => {
        const before = over(wasSlow ? SLOW_BELOW / 2 : FAST_ABOVE * 2)
        return meterAfter([before, ...rates.map((rate) => over(rate))]).isSlow === wasSlow
      },
    ),
  )
  t.end()
})

t.test('a link that changes is called what it is after as many transfers as are remembered', (t) => {
  const [slow, fast] = [over(SLOW_BELOW / 3), over(FAST_ABOVE * 3)]
  const times = (transfer: Finished, count: number) => Array.from({ length: count }, () => transfer)
  t.notOk(meterAfter([...times(fast, 9), ...times(slow, REMEMBERED - 1)]).isSlow)
  t.ok(meterAfter([...times(fast, 9), ...times(slow, REMEMBERED)]).isSlow)
  t.notOk(meterAfter([...times(slow, 9), fast]).isSlow, 'faster at once: nothing but the link makes it so')
  t.end()
})

t.test('a verdict that is never measured again is forgotten', (t) => {
  const short = { bytes: MEASURED_MIN - 1, ms: 1, trips: 0 }
  const slow = over(SLOW_BELOW / 3)
  const shorts = (count: number) => Array.from({ length: count }, () => short)
  t.ok(meterAfter([slow, ...shorts(BELIEVED - 1)]).isSlow)
  t.ok(meterAfter([slow, ...shorts(BELIEVED - 1), slow, ...shorts(BELIEVED - 1)]).isSlow)
  const forgotten = meterAfter([slow, ...shorts(BELIEVED)])
  t.notOk(forgotten.isSlow)
  t.equal(forgotten.rate, undefined)
  t.end()
})

t.test('what failed often enough rests, and is tried again', (t) => {
  const turns = new Turns({ misses: 2, restTurns: 3 })
  const play = (outcomes: readonly boolean[]) =>
    outcomes.map((isGood) => {
      const isTaken = turns.take()
      if (isTaken) turns.tried(isGood)
      return isTaken
    })
  t.same(play([true, false, true, false, false]), [true, true, true, true, true], 'two in a row count')
  t.same(play([true, true, true]), [false, false, false])
  t.same(play([false]), [true], 'one more try')
  t.same(play([true, true, true, true]), [false, false, false, true], 'in vain, and again')
  t.same(play([false, true]), [true, true], 'it is good again')
  const once = new Turns({ misses: 1, restTurns: Infinity })
  once.tried(false)
  for (let i = 0; i < 1000; i++) if (once.take()) t.fail('it rests for ever')
  t.end()
})
