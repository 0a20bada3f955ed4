import t from 'tap'
import { clampWriteTime, compareStamps, laterStamp } from '../../lib/core/stamp.ts'

t.test('the later time is later, whoever wrote', async (t) => {
  t.equal(compareStamps({ timeMs: 2, peer: 'ann' }, { timeMs: 1, peer: 'bob' }), 1)
  t.equal(compareStamps({ timeMs: 1, peer: 'bob' }, { timeMs: 2, peer: 'ann' }), -1)
})

t.test('of equal times the greater name is later, so that all sides agree', async (t) => {
  t.equal(compareStamps({ timeMs: 1, peer: 'bob' }, { timeMs: 1, peer: 'ann' }), 1)
  t.equal(compareStamps({ timeMs: 1, peer: 'ann' }, { timeMs: 1, peer: 'bob' }), -1)
  t.equal(compareStamps({ timeMs: 1, peer: 'ann' }, { timeMs: 1, peer: 'ann' }), 0)
})

t.test('the later stamp of two is picked from either side', async (t) => {
  const early = { timeMs: 1, peer: 'bob' }
  const late = { timeMs: 2, peer: 'ann' }
  t.equal(laterStamp(early, late), late)
  t.equal(laterStamp(late, early), late)
})

t.test('a write time is never later than now, nor earlier than what it was based on', async (t) => {
  t.equal(clampWriteTime(5, { afterMs: 1, nowMs: 9 }), 5)
  t.equal(clampWriteTime(50, { afterMs: 1, nowMs: 9 }), 9)
  t.equal(clampWriteTime(0, { afterMs: 1, nowMs: 9 }), 1)
  t.equal(clampWriteTime(0, { afterMs: -Infinity, nowMs: 9 }), 0)
})

t.test('when the clock went back behind the base, the base wins', async (t) => {
  t.equal(clampWriteTime(5, { afterMs: 10, nowMs: 7 }), 10)
})
