import t from 'tap'
import { MemoryHub } from '../support/memory-hub.ts'
import { ReplicaBench } from '../support/replica-bench.ts'

for (const [what, told] of [
  ['has been told of neither', 1],
  ['was told of them and has lost them', 3],
] as const) {
  t.test(`heads that did not fit a reply are asked for by a replica that ${what}`, async (t) => {
    const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
    await bench.start(hub)
    bench.put('f', 'first')
    await bench.until('it is there', () => hub.live()['f'] === 'first')
    await bench.rest()
    hub.other({ f: 'theirs, later', g: 'new' }, { timeMs: Date.now() + 60_000 })
    if (told > 1) bench.replica.told({ prev: 1, upTo: told, heads: [] })
    hub.moments.reply = (reply) => {
      delete hub.moments.reply
      return { ...reply, heads: [], prev: 2, upTo: 1 }
    }
    hub.calls.length = 0
    bench.put('f', 'mine, earlier')
    await bench.until('both are here', () => bench.files()['f'] === 'theirs, later' && bench.files()['g'] === 'new')
    await bench.rest()
    t.ok(hub.calls.includes('changes 1'))
    t.equal(bench.replica.cursor, hub.journal.revisions.length)
    t.equal(bench.replica.status().state, 'in step')
  })
}

t.test('a page that was asked for before a reply took the cursor back is asked for anew', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  bench.put('f', 'first')
  await bench.until('it is there', () => hub.live()['f'] === 'first')
  await bench.rest()
  hub.other({ f: 'theirs, later' }, { timeMs: Date.now() + 60_000 })
  bench.replica.told({ prev: 1, upTo: 2, heads: [] })
  let isCut = false
  hub.moments.reply = (reply) => {
    delete hub.moments.reply
    isCut = true
    return { ...reply, heads: [], prev: 2, upTo: 1 }
  }
  hub.moments.beforeChanges = async () => {
    delete hub.moments.beforeChanges
    bench.put('f', 'mine, earlier')
    await bench.until('the reply is here', () => isCut && bench.replica.cursor === 1)
  }
  bench.replica.told({ prev: 9, upTo: 9, heads: [] })
  await bench.until('the head is here', () => bench.files()['f'] === 'theirs, later')
  await bench.rest()
  t.same(hub.calls.filter((call) => call.startsWith('changes')).slice(-2), ['changes 2', 'changes 1'])
})
