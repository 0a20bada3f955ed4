// The model test: whatever people do and whatever breaks, all replicas end equal and nothing is lost.

import t from 'tap'
import { History } from './history.ts'

const EVENTS = 30

t.setTimeout(300_000)
const histories = Number(process.env['HISTORIES'] ?? 10_000)
const only = process.env['SEED']

t.test('any interleaving of edits, deliveries and crashes ends in equal folders with nothing lost', async (t) => {
  const first = only === undefined ? 1 : Number(only)
  const count = only === undefined ? histories : 1
  let failures = 0
  let moves = 0
  for (let seed = first; seed < first + count && failures < 3; seed++) {
    const history = new History(seed, seed % 4 === 0, seed % 3 === 0)
    try {
      history.play(EVENTS + (seed % 5) * 10)
      moves += history.moves
    } catch (error) {
      failures += 1
      t.fail(`SEED=${seed}: ${String(error)}`, { log: history.log.slice(-200) })
    }
  }
  t.equal(failures, 0, `${count} histories`)
  if (only === undefined) t.ok(moves > count / 20, `${moves} directories were moved as one`)
})
