import t from 'tap'
import { guardDeletes, quietMs } from '../../lib/core/guard.ts'

const HALF = { kind: 'share', share: 0.5 } as const

t.test('ten deletes pass, even when they are all there is', async (t) => {
  t.equal(guardDeletes({ gone: 10, recent: 0, total: 10, maxDelete: HALF }), 'pass')
  t.equal(guardDeletes({ gone: 11, recent: 0, total: 11, maxDelete: HALF }), 'hold')
})

t.test('the share itself passes, one more is held', async (t) => {
  t.equal(guardDeletes({ gone: 50, recent: 0, total: 100, maxDelete: HALF }), 'pass')
  t.equal(guardDeletes({ gone: 51, recent: 0, total: 100, maxDelete: HALF }), 'hold')
})

t.test('deletes in small portions add up', async (t) => {
  t.equal(guardDeletes({ gone: 5, recent: 46, total: 54, maxDelete: HALF }), 'hold')
  t.equal(guardDeletes({ gone: 5, recent: 40, total: 60, maxDelete: HALF }), 'pass')
})

t.test('nothing gone is never held, and off holds nothing', async (t) => {
  t.equal(guardDeletes({ gone: 0, recent: 90, total: 1, maxDelete: HALF }), 'pass')
  t.equal(guardDeletes({ gone: 100, recent: 0, total: 100, maxDelete: { kind: 'off' } }), 'pass')
})

t.test('few deletes leave at once, many wait to be counted together', async (t) => {
  t.ok(quietMs(10) > 0)
  t.ok(quietMs(11) > quietMs(10))
})
