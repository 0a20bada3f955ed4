import t from 'tap'
import { freeAtRest, type Resting } from '../../lib/commands/free-at-rest.ts'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog, type Facts } from '../../lib/daemon/log.ts'

/** Its clock has no time: what waits goes off when the test says so. */
function rest() {
  const due: (() => void)[] = []
  const listeners = new Set<() => void>()
  const told: Facts[] = []
  const state = { isInUse: true, cpuMs: 0 }
  let heard: (() => void) | undefined
  let nowMs = 0
  const resting = {
    replicas: [
      {
        onChange: (listener: () => void) => {
          listeners.add(listener)
          return { [Symbol.dispose]: () => void listeners.delete(listener) }
        },
      },
    ],
    lanes: { freeMemory: () => Promise.resolve() },
    clock: {
      ...systemClock,
      monotonic: () => nowMs,
      after: (_ms: number, fn: () => void) => {
        due.push(fn)
        return { [Symbol.dispose]: () => void due.splice(due.indexOf(fn), 1) }
      },
    },
    isInUse: () => state.isInUse,
    cpuMs: () => state.cpuMs,
    log: {
      ...silentLog,
      debug: (_message: string, facts: Facts = {}) => {
        told.push(facts)
        heard?.()
      },
    },
  }
  return {
    resting: resting as unknown as Resting,
    state,
    listeners,
    told,
    due,
    change: () => {
      for (const listener of listeners) listener()
    },
    quiet: () => {
      nowMs += 3000
      due.shift()?.()
    },
    nextTold: () => new Promise<void>((resolve) => (heard = resolve)),
  }
}

t.test('memory is freed after a burst in which the process grew, not after a lone change', async (t) => {
  const { resting, listeners, told, due, change, quiet, nextTold } = rest()
  const free = freeAtRest(resting)
  const first = nextTold()
  quiet()
  await first
  t.equal(told.length, 1, 'a start is a burst')
  t.equal(due.length, 0)

  change()
  t.equal(due.length, 1)
  quiet()
  const grown = Buffer.alloc(128 * 1024 * 1024, 1)
  const second = nextTold()
  change()
  quiet()
  await second
  t.equal(told.length, 2, 'the lone change in between cost nothing')
  t.ok(Number(told[1]?.['beforeMiB']) >= Number(told[0]?.['afterMiB']) + 100)
  t.equal(grown.length, 128 * 1024 * 1024)

  change()
  free[Symbol.dispose]()
  t.equal(listeners.size, 0)
  t.equal(due.length, 0)
})

t.test('a failure is told, and changes nothing', async (t) => {
  const { resting, told, quiet, nextTold } = rest()
  const lanes = { freeMemory: () => Promise.reject(new Error('no lane')) }
  using _free = freeAtRest({ ...resting, lanes: lanes as unknown as Resting['lanes'] })
  const failed = nextTold()
  quiet()
  await failed
  t.match(told, [{ error: { message: 'no lane' } }])
})

t.test('as long as nobody is there, a pause of the start is waited out first', async (t) => {
  const { resting, state, told, due, quiet, nextTold } = rest()
  state.isInUse = false
  using _free = freeAtRest(resting)
  quiet()
  t.equal(due.length, 1)
  t.same(told, [])
  const freed = nextTold()
  quiet()
  await freed
  t.equal(told.length, 1)
  t.equal(due.length, 0, 'once, and nothing goes on')
})

t.test('a process that works though its folders are quiet is not at rest', async (t) => {
  const { resting, state, told, due, quiet, nextTold } = rest()
  using _free = freeAtRest(resting)
  for (let look = 0; look < 3; look++) {
    state.cpuMs += 300
    quiet()
    t.equal(due.length, 1, 'it is looked at again')
  }
  t.same(told, [])
  const freed = nextTold()
  quiet()
  await freed
  t.equal(told.length, 1)
})
