import { getEventListeners } from 'node:events'
import sinon from 'sinon'
import t from 'tap'
import { Bell } from '../../lib/replica/bell.ts'

const never = new AbortController().signal

t.test('rings while nobody waits are remembered as one', async (t) => {
  const bell = new Bell()
  bell.ring()
  bell.ring()
  t.equal(await bell.wait(never), true)
  t.equal(await bell.wait(never, () => Promise.resolve()), false, 'the second is none of its own')
})

t.test('a ring wakes who waits', async (t) => {
  const bell = new Bell()
  const waiting = bell.wait(never)
  bell.ring()
  t.equal(await waiting, true)
})

t.test('a ring ends the sleep beside it', async (t) => {
  const bell = new Bell()
  let isEnded = false
  const waiting = bell.wait(never, (signal) => {
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        isEnded = true
        resolve()
      })
    })
  })
  bell.ring()
  t.equal(await waiting, true)
  t.ok(isEnded)
})

t.test('an abort ends the waiting with its reason, before and meanwhile', async (t) => {
  const bell = new Bell()
  const stop = new AbortController()
  const waiting = bell.wait(stop.signal)
  stop.abort(new Error('stopped'))
  await t.rejects(waiting, /stopped/)
  await t.rejects(bell.wait(stop.signal), /stopped/)
  bell.ring()
  t.equal(await bell.wait(never), true, 'and the bell is none the worse')
})

t.test('who has waited leaves nothing in the signal', async (t) => {
  const composed = sinon.spy(AbortSignal, 'any')
  t.teardown(() => {
    composed.restore()
  })
  const stop = new AbortController()
  const bell = new Bell()
  const sleeping: AbortSignal[] = []
  const sleep = (signal: AbortSignal) => {
    sleeping.push(signal)
    return new Promise<void>(() => undefined)
  }
  for (let i = 0; i < 3; i++) {
    const waiting = bell.wait(stop.signal, sleep)
    t.equal(getEventListeners(stop.signal, 'abort').length, 1)
    bell.ring()
    await waiting
  }
  await bell.wait(stop.signal, () => Promise.resolve())
  t.equal(getEventListeners(stop.signal, 'abort').length, 0)
  t.same(
    sleeping.map(({ aborted }) => aborted),
    [true, true, true],
    'whoever slept beside it is told',
  )
  const waiting = bell.wait(stop.signal, sleep)
  stop.abort(new Error('stopped'))
  await t.rejects(waiting, /stopped/)
  t.ok(sleeping[3]?.aborted)
  t.equal(getEventListeners(stop.signal, 'abort').length, 0)
  t.equal(composed.callCount, 0, 'an entry each would stay in it on Node 20')
})
