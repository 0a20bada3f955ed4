import t from 'tap'
import { Lag } from '../../lib/server/lag.ts'

function folder() {
  const clock = { nowMs: 0, monotonic: () => clock.nowMs }
  const lag = new Lag(clock)
  lag.join('a', 0)
  lag.join('b', 0)
  return { clock, lag }
}

const level = (cursor: number) => ({ cursor, pending: 0, state: 'in step' })

t.test('a burst that another client has not heard of or not applied yet is behind, a few changes are not', (t) => {
  const { lag } = folder()
  lag.committed({ author: 'a', prev: 0, upTo: 50 })
  t.notOk(lag.isBehind)
  lag.committed({ author: 'a', prev: 50, upTo: 51 })
  t.ok(lag.isBehind)
  lag.heard('b', { cursor: 51, pending: 51, state: 'syncing' })
  t.ok(lag.isBehind)
  lag.heard('b', { cursor: 51, pending: 50, state: 'syncing' })
  t.notOk(lag.isBehind)
  t.end()
})

t.test('the author of a burst knows of it, and is behind while it has more to propose', (t) => {
  const { lag } = folder()
  lag.committed({ author: 'a', prev: 0, upTo: 1000 })
  lag.heard('b', level(1000))
  t.notOk(lag.isBehind)
  lag.heard('a', { cursor: 1000, pending: 9000, state: 'syncing' })
  t.ok(lag.isBehind)
  lag.heard('a', { cursor: 1000, pending: 9000, state: 'held' })
  t.notOk(lag.isBehind, 'what waits for a person is not on its way')
  t.end()
})

t.test('a client that says nothing any more is not waited for, until it falls behind anew', (t) => {
  const { clock, lag } = folder()
  clock.nowMs = 10_000
  lag.committed({ author: 'a', prev: 0, upTo: 1000 })
  clock.nowMs = 12_000
  lag.committed({ author: 'a', prev: 1000, upTo: 2000 })
  t.ok(lag.isBehind)
  clock.nowMs = 12_001
  t.notOk(lag.isBehind)
  lag.heard('b', level(2000))
  lag.committed({ author: 'a', prev: 2000, upTo: 3000 })
  t.ok(lag.isBehind)
  t.end()
})

t.test('who is alone is not waited for, nor who has left; both may let others go on', (t) => {
  const { lag } = folder()
  let told = 0
  lag.onLess = () => told++
  lag.committed({ author: 'a', prev: 0, upTo: 1000 })
  lag.leave('b')
  t.equal(told, 1)
  lag.heard('b', level(0))
  t.equal(told, 1, 'it is not here')
  lag.heard('a', { cursor: 1000, pending: 9000, state: 'syncing' })
  t.equal(told, 2)
  t.notOk(lag.isBehind)
  t.end()
})

t.test('a client that comes back with an old cursor is behind', (t) => {
  const { lag } = folder()
  lag.committed({ author: 'a', prev: 0, upTo: 1000 })
  lag.leave('b')
  lag.join('b', 900)
  t.ok(lag.isBehind)
  lag.heard('b', level(1000))
  t.notOk(lag.isBehind)
  t.end()
})
