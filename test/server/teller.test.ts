import t from 'tap'
import { Teller, type Piece } from '../../lib/server/teller.ts'
import { pause } from '../support/in-process.ts'

interface Told extends Piece {
  readonly folder: string
}

/** A client that reads one message each time it is let. */
function reader() {
  const told: Told[] = []
  const reads: (() => void)[] = []
  const teller = new Teller({
    notify: (_name, params) => {
      told.push(params as Told)
      return new Promise((resolve) => reads.push(resolve))
    },
  })
  const readAll = async (): Promise<void> => {
    while (reads.length > 0) {
      reads.shift()?.()
      await pause(0)
    }
  }
  return { teller, told, readAll }
}

const piece = (prev: number, upTo = prev + 1): Piece => ({ prev, upTo, heads: [upTo] })

t.test('who reads is told everything, in order', async (t) => {
  const { teller, told, readAll } = reader()
  for (let seq = 0; seq < 10; seq++) teller.tell('docs', piece(seq))
  await readAll()
  t.same(
    told.map(({ folder, prev, heads }) => [folder, prev, heads]),
    Array.from({ length: 10 }, (_, seq) => ['docs', seq, [seq + 1]]),
  )
  teller.tell('docs', piece(10))
  await readAll()
  t.equal(told.length, 11, 'and goes on being told')
})

t.test('for who does not read little is kept; then it is sent to ask, and told again from there on', async (t) => {
  const { teller, told, readAll } = reader()
  for (let seq = 0; seq < 20_000; seq++) teller.tell('docs', piece(seq))
  t.equal(told.length, 1, 'nothing is said to who has not read what was said before')
  await readAll()
  t.same(told.slice(1), [{ folder: 'docs', prev: 20_000, upTo: 20_000, heads: [] }])
  teller.tell('docs', piece(20_000))
  await readAll()
  t.match(told.at(-1), { prev: 20_000, upTo: 20_001, heads: [20_001] })
})

t.test('a busy folder takes nothing from another one', async (t) => {
  const { teller, told, readAll } = reader()
  teller.tell('quiet', piece(0))
  teller.tell('quiet', piece(1))
  for (let seq = 0; seq < 100; seq++) teller.tell('busy', piece(seq))
  await readAll()
  t.same(
    told.filter(({ folder }) => folder === 'quiet').map(({ upTo }) => upTo),
    [1, 2],
  )
  t.match(told.filter(({ folder }) => folder === 'busy').at(-1), { prev: 100, upTo: 100 })
})

t.test('what cannot be said harms nobody', async (t) => {
  let calls = 0
  const teller = new Teller({
    notify: () => {
      calls++
      return Promise.reject(new Error('too long'))
    },
  })
  teller.tell('docs', piece(0))
  await pause(0)
  teller.tell('docs', piece(1))
  await pause(0)
  t.equal(calls, 2)
})

t.test('of what is on its way only the newest word waits, behind all news', async (t) => {
  const { teller, told, readAll } = reader()
  const coming = (sha256: string, end: number) => ({ sha256, size: 100, end })
  teller.hint('docs', coming('x', 10))
  for (const end of [20, 30, 0]) teller.hint('docs', coming('x', end))
  teller.hint('docs', coming('y', 40))
  teller.tell('docs', piece(0))
  await readAll()
  const ends = told.map((one) => (one as unknown as { end?: number }).end ?? 'news')
  t.same(ends, [10, 'news', 0, 40])
})
