import t from 'tap'
import { backoffMs } from '../../lib/daemon/backoff.ts'

t.test('the delay doubles from 0.2 s to 30 s, spread over its upper half', async (t) => {
  t.same(
    [1, 2, 3, 8, 9, 1000].map((failures) => backoffMs(failures, 1)),
    [200, 400, 800, 25_600, 30_000, 30_000],
  )
  t.same(
    [1, 2, 9].map((failures) => backoffMs(failures, 0)),
    [100, 200, 15_000],
  )
  t.equal(backoffMs(0, 1), 200)
})
