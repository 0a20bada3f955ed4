import t from 'tap'
import type { News } from '../../lib/replica/folder-state.ts'
import { OwnNews } from '../../lib/server/own-news.ts'
import { Serving } from '../../lib/server/serving.ts'
import { file, head } from '../support/builders.ts'

function hearing() {
  const told: number[] = []
  const held: boolean[] = []
  const timers: (() => void)[] = []
  const state = { isBusy: false, isBehind: false }
  const news = new OwnNews({
    clock: {
      after: (_, run) => {
        timers.push(run)
        return { [Symbol.dispose]: () => void timers.splice(timers.indexOf(run), 1) }
      },
    },
    isBusy: () => state.isBusy,
    isBehind: () => state.isBehind,
    tell: ({ upTo }) => void told.push(upTo),
    onHeld: (areHeld) => void held.push(areHeld),
  })
  return { news, told, held, timers, state }
}

const one = (upTo: number, heads = 1): News => ({
  prev: upTo - 1,
  upTo,
  heads: Array.from({ length: heads }, (_, i) => ({
    head: head(`f${String(i)}`, upTo, file(1)),
    place: undefined,
  })),
})

t.test('when no client waits it is told at once', (t) => {
  const { news, told, held, timers } = hearing()
  news.take(one(1))
  t.same(told, [1])
  t.same(held, [])
  t.same(timers, [])
  t.end()
})

t.test('while clients wait it is held, in order, until they are served, and the folder is not called in step', (t) => {
  const { news, told, held, timers, state } = hearing()
  state.isBusy = true
  for (const upTo of [1, 2, 3]) news.take(one(upTo))
  t.same(told, [])
  t.same(held, [true])
  t.equal(timers.length, 1)
  news.flush()
  t.same(told, [1, 2, 3])
  t.same(held, [true, false])
  t.same(timers, [])
  t.end()
})

t.test('clients that never rest hold it for so long and no longer, and not more than so much', (t) => {
  const { news, told, timers, state } = hearing()
  state.isBusy = true
  news.take(one(1))
  timers[0]?.()
  t.same(told, [1])
  news.take(one(2, 20_001))
  t.same(told, [1, 2])
  news.take(one(3))
  news[Symbol.dispose]()
  t.same(timers, [])
  t.end()
})

t.test('while clients are behind it is held over the pauses between requests, five times as long at most', (t) => {
  const { news, told, held, timers, state } = hearing()
  state.isBehind = true
  news.take(one(1))
  news.flushIfIdle()
  for (const hold of [1, 2, 3, 4]) {
    timers.shift()?.()
    t.same(told, [], `after ${String(hold)}`)
  }
  t.same(held, [true])
  timers.shift()?.()
  t.same(told, [1])
  t.same(held, [true, false])
  news.take(one(2))
  state.isBehind = false
  news.flushIfIdle()
  t.same(told, [1, 2])
  t.same(held, [true, false, true, false])
  t.same(timers, [])
  news.flushIfIdle()
  t.equal(held.length, 4, 'nothing was held')
  t.end()
})

t.test('serving is over a moment after the last answer, well or not', async (t) => {
  const serving = new Serving()
  let idle = 0
  serving.onIdle = () => idle++
  let finish: () => void = () => undefined
  const first = serving.run(() => new Promise<void>((resolve) => (finish = resolve)))
  await t.rejects(serving.run(() => Promise.reject(new Error('no'))))
  await new Promise(setImmediate)
  t.ok(serving.isBusy)
  t.equal(idle, 0)
  finish()
  await first
  t.equal(idle, 0, 'the answer goes first')
  await new Promise((done) => setImmediate(() => setImmediate(done)))
  t.equal(idle, 1)
  t.notOk(serving.isBusy)
})
