import t from 'tap'
import { fitReply } from '../../lib/server/fit-reply.ts'
import type { CommitReply } from '../../lib/replica/ports.ts'
import { rel } from '../support/builders.ts'

const head = (path: string, seq: number) => ({ head: { path: rel(path), seq, entry: undefined }, place: undefined })
const reply = (...seqs: number[]): CommitReply => ({
  outcomes: seqs.map((seq) => ({ kind: 'superseded', seq })),
  heads: seqs.map((seq) => head(`${'é'.repeat(40)}${String(seq)}`, seq)),
  prev: 100,
  upTo: 110,
})
const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

t.test('an answer that fits is said as it is', async (t) => {
  const whole = fitReply(reply(5, 103, 7), 1000)
  t.match(whole, { heads: [{ 1: 5 }, { 1: 103 }, { 1: 7 }], prev: 100, upTo: 110 })
  t.same(fitReply(reply(5, 103, 7), bytes(whole)), whole)
  t.match(
    fitReply({ ...reply(), prev: 3, upTo: 9 }, 1),
    { heads: [], prev: 3, upTo: 9 },
    'there is nothing to leave out',
  )
})

t.test('of one that does not, the newest heads are left out, and it ends before them', async (t) => {
  const most = bytes(fitReply(reply(5, 103, 7), 1000)) - 1
  const cut = fitReply(reply(5, 103, 7), most)
  t.match(cut, { heads: [{ 1: 5 }, { 1: 7 }], prev: 103, upTo: 102 })
  t.equal(cut.heads.length, 2)
  t.equal(cut.outcomes.length, 3, 'every proposal is answered')
  t.ok(bytes(cut) <= most)
})

t.test('heads of one Seq stay together, and none may be left', async (t) => {
  t.match(fitReply(reply(7, 7, 5), bytes(fitReply(reply(7, 7, 5), 1000)) - 1), { heads: [{ 1: 5 }], prev: 7, upTo: 6 })
  t.match(fitReply(reply(5, 7), 10), { heads: [], prev: 5, upTo: 4 })
  t.match(fitReply(reply(0), 10), { heads: [], prev: 1, upTo: 0 }, 'a Seq is never negative')
})
