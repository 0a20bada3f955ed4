import t from 'tap'
import { Settle } from '../../lib/core/settle.ts'
import { rel } from '../support/builders.ts'

const A = rel('a')
const B = rel('b')

t.test('a closed file and a removed one are due at once', async (t) => {
  const settle = new Settle(50)
  settle.note(A, 'open', 0)
  settle.note(A, 'whole', 1)
  settle.note(B, 'gone', 1)
  t.equal(settle.nextDueMs(), -Infinity)
  t.equal(settle.size, 2)
  t.same(settle.due(1), [A, B])
  t.same(settle.due(1000), [], 'once only')
  t.equal(settle.nextDueMs(), undefined)
})

t.test('an open file is due after quiet, counted from its last event', async (t) => {
  const settle = new Settle(50)
  settle.note(A, 'open', 0)
  settle.note(A, 'open', 30)
  t.equal(settle.nextDueMs(), 80)
  t.same(settle.due(79), [])
  t.equal(settle.size, 1)
  t.same(settle.due(80), [A])
  t.equal(settle.size, 0)
  t.equal(settle.nextDueMs(), undefined)
})

t.test('a file that keeps changing is looked at less and less often, down to every 30 s', async (t) => {
  const settle = new Settle(50)
  const taken: number[] = []
  for (let now = 0; now < 200_000; now += 60) {
    settle.note(A, 'open', now)
    if (settle.due(now + 55).length > 0) taken.push(now + 55)
  }
  const gaps = taken.slice(1).map((time, i) => time - (taken[i] ?? 0))
  t.ok((gaps[0] ?? Infinity) <= 120)
  t.ok(
    gaps.every((gap, i) => i === 0 || gap >= (gaps[i - 1] ?? 0) - 60),
    'growing',
  )
  t.ok((gaps.at(-1) ?? 0) >= 29_000 && Math.max(...gaps) < 31_000)
})

t.test('a file that is never quiet is looked at after 30 s all the same', async (t) => {
  const settle = new Settle(50)
  for (let now = 0; now < 30_000; now += 10) {
    settle.note(A, 'open', now)
    t.same(settle.due(now), [])
  }
  t.same(settle.due(30_000), [A])
})

t.test('a file that was quiet for long begins anew', async (t) => {
  const settle = new Settle(50)
  for (const now of [0, 100, 300]) {
    settle.note(A, 'open', now)
    settle.due(now + 99)
  }
  t.same(settle.due(60_000), [])
  settle.note(A, 'open', 70_000)
  t.equal(settle.nextDueMs(), 70_050)
  settle.due(70_050)
  settle.note(A, 'open', 140_000)
  t.equal(settle.nextDueMs(), 140_050, 'without being asked in between, too')
})

t.test('a file that is closed after it was taken is due at once', async (t) => {
  const settle = new Settle(50)
  settle.note(A, 'open', 0)
  t.same(settle.due(50), [A])
  settle.note(A, 'whole', 51)
  t.same(settle.due(51), [A])
})

t.test('of very many files that keep changing, the newest thousand are remembered', async (t) => {
  const settle = new Settle(50)
  const paths = Array.from({ length: 1500 }, (_, index) => rel(`f${String(index)}`))
  const touchAll = (nowMs: number): void => {
    for (const path of paths) settle.note(path, 'open', nowMs)
  }
  touchAll(0)
  t.same(settle.due(50), paths)
  touchAll(60)
  t.equal(settle.size, 1500)
  t.same(settle.due(110), paths)
  touchAll(120)
  t.same(settle.due(170), paths.slice(0, 500), 'what was forgotten waits no longer than what is new')
  t.same(settle.due(210), paths.slice(500))
  t.equal(settle.size, 0)
})
