import sinon from 'sinon'
import t from 'tap'
import { silentLog } from '../../lib/daemon/log.ts'
import { isPassing, supervise, type Supervision } from '../../lib/daemon/supervise.ts'
import { Refused, Unreachable } from '../../lib/errors.ts'

function setUp() {
  const sleeps: number[] = []
  const abort = new AbortController()
  const log = { ...silentLog, warn: sinon.fake(), debug: sinon.fake() }
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: () => ({ [Symbol.dispose]: () => undefined }),
    sleep: (ms: number, signal: AbortSignal) => {
      sleeps.push(ms)
      return signal.aborted ? Promise.reject(signal.reason as Error) : Promise.resolve()
    },
  }
  const how: Supervision = { name: 'the task', clock, log, random: () => 1 }
  return { sleeps, abort, log, how }
}

t.test('a task that fails is run again, ever later, and told once per distinct message', async (t) => {
  const { sleeps, abort, log, how } = setUp()
  const failures = ['a', 'a', 'b', 'a']
  let runs = 0
  await supervise(
    () => {
      const failure = failures[runs++]
      if (failure === undefined) abort.abort()
      return Promise.reject(new Unreachable(failure ?? 'end'))
    },
    how,
    abort.signal,
  )
  t.same(sleeps, [200, 400, 800, 1600])
  t.equal(log.warn.callCount, 2)
  t.equal(log.debug.callCount, 2)
})

t.test('success starts the count anew, and makes the message news again', async (t) => {
  const { sleeps, abort, log, how } = setUp()
  let runs = 0
  await supervise(
    (_signal, succeeded) => {
      if (++runs === 3) succeeded()
      if (runs === 4) abort.abort()
      return Promise.reject(new Unreachable('x'))
    },
    how,
    abort.signal,
  )
  t.same(sleeps, [200, 400, 200])
  t.equal(log.warn.callCount, 2)
})

t.test('a task that ends is run again; an abort ends it, whether working or waiting', async (t) => {
  const { sleeps, abort, how } = setUp()
  let runs = 0
  await supervise(
    () => {
      if (++runs === 2) abort.abort(new Error('stop'))
      return Promise.resolve()
    },
    how,
    abort.signal,
  )
  t.same(sleeps, [200, 400])
})

t.test('a bug, or what must not be retried, is thrown', async (t) => {
  const { abort, how } = setUp()
  const bug = new TypeError('bug')
  await t.rejects(
    supervise(() => Promise.reject(bug), how, abort.signal),
    bug,
  )
  t.equal(isPassing(new Refused('no', { status: 403 })), false)
  t.equal(isPassing(Object.assign(new Error('ECONNRESET'), { errno: -104 })), true)
  t.equal(isPassing('text'), false)
  const broken = new Error('broken clock')
  const clock = { ...how.clock, sleep: () => Promise.reject(broken) }
  await t.rejects(
    supervise(() => Promise.resolve(), { ...how, clock }, abort.signal),
    broken,
  )
})
