import sinon from 'sinon'
import t from 'tap'
import { systemClock } from '../../lib/daemon/clock.ts'

t.test('a sleep ends in time, or at once with the reason of the signal', async (t) => {
  const fake = sinon.useFakeTimers()
  t.teardown(() => {
    fake.restore()
  })
  let isAwake = false
  const asleep = systemClock.sleep(1000, new AbortController().signal).then(() => (isAwake = true))
  await fake.tickAsync(999)
  t.notOk(isAwake)
  await fake.tickAsync(1)
  await asleep
  const abort = new AbortController()
  const cut = systemClock.sleep(1000, abort.signal)
  abort.abort(new Error('stop'))
  await t.rejects(cut, { message: 'stop' })
  await t.rejects(systemClock.sleep(1, abort.signal), { message: 'stop' })
  t.equal(fake.countTimers(), 0, 'no timer is left')
})

t.test(
  'what is called after a while can be called off, and the while may be longer than a timer can hold',
  async (t) => {
    const fake = sinon.useFakeTimers()
    t.teardown(() => {
      fake.restore()
    })
    const called = sinon.fake()
    const off = sinon.fake()
    const long = 30 * 86_400_000
    systemClock.after(long, called)
    systemClock.after(long, off)[Symbol.dispose]()
    fake.tick(long - 1)
    t.notOk(called.called)
    fake.tick(1)
    t.ok(called.calledOnce)
    t.notOk(off.called)
  },
)

t.test('the time is known', async (t) => {
  t.ok(Math.abs(systemClock.now() - Date.now()) < 60_000)
  t.ok(systemClock.monotonic() <= systemClock.monotonic())
})
