import t from 'tap'
import { Refused } from '../../lib/errors.ts'
import { MemoryHub } from '../support/memory-hub.ts'
import { ReplicaBench } from '../support/replica-bench.ts'

const reads = (hub: MemoryHub): string[] => hub.calls.filter((call) => call.startsWith('read'))

t.test('bodies of news that come while earlier ones are written are fetched meanwhile, and once', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  bench.moments.beforeApply = () => {
    delete bench.moments.beforeApply
    bench.replica.told(hub.other({ two: 'second', three: 'third', 'two again': 'second' }))
    t.same(reads(hub), ['read 1', 'read 2'], 'before the first is written')
  }
  bench.replica.told(hub.other({ one: 'first' }))
  await bench.until('all are there', () => Object.keys(bench.files()).length === 4)
  await bench.rest()
  t.same(bench.files(), { one: 'first', two: 'second', three: 'third', 'two again': 'second' })
  t.same(reads(hub), ['read 1', 'read 2'])
})

t.test('what cannot be fetched ahead is fetched when it is needed', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  bench.moments.beforeApply = () => {
    delete bench.moments.beforeApply
    hub.moments.beforeRead = () => {
      delete hub.moments.beforeRead
      throw new Refused('it was moved to another place', { status: 404 })
    }
    bench.replica.told(hub.other({ two: 'second' }))
  }
  bench.replica.told(hub.other({ one: 'first' }))
  await bench.until('all are there', () => Object.keys(bench.files()).length === 2)
  t.same(bench.files(), { one: 'first', two: 'second' })
  t.same(reads(hub), ['read 1', 'read 1', 'read 1'])
})

t.test('a head that is overtaken while its body is fetched ahead gives way to the newer one', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  bench.moments.beforeApply = () => {
    delete bench.moments.beforeApply
    bench.replica.told(hub.other({ two: 'old' }))
    bench.replica.told(hub.other({ two: 'new' }))
  }
  bench.replica.told(hub.other({ one: 'first' }))
  await bench.until('all are there', () => Object.keys(bench.files()).length === 2)
  await bench.rest()
  t.same(bench.files(), { one: 'first', two: 'new' })
})

t.test('large packs go one after the other, each committed while the next is on its way', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  const { putPack } = hub.depot
  const count = { begun: 0, onWire: 0, most: 0, proposed: 0 }
  Object.assign(hub.depot, {
    putPack: async (name: string, bytes: Uint8Array, signal: AbortSignal) => {
      // A small one need not wait for a large one.
      const weight = bytes.length > 64 * 1024 ? 1 : 0
      count.begun++
      count.onWire += weight
      count.most = Math.max(count.most, count.onWire)
      await new Promise(setImmediate)
      const staged = await putPack(name, bytes, signal)
      count.onWire -= weight
      return staged
    },
  })
  hub.moments.beforePropose = async () => {
    // The link is not idle: the next pack does not wait for the commit of this one.
    if (count.proposed++ === 0) await bench.until('the next is on its way', () => count.begun > 1)
  }
  for (let at = 0; at < 2500; at++) bench.write(`f${String(at)}`, `${String(at)} `.repeat(60)) // the last pack is large too
  await bench.start(hub)
  t.equal(Object.keys(hub.live()).length, 2500)
  t.equal(count.most, 1)
  t.ok(count.begun > 2)
})
