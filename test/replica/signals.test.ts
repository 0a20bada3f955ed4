// What lives long must not grow with what is done meanwhile: no edit leaves anything in the signals of a replica or a link.

import sinon from 'sinon'
import t from 'tap'
import { MemoryHub } from '../support/memory-hub.ts'
import { ReplicaBench } from '../support/replica-bench.ts'

t.test('edits, pushed and pulled, leave nothing in the signals they live under', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  const composed = sinon.spy(AbortSignal, 'any')
  t.teardown(() => {
    composed.restore()
  })
  for (let i = 0; i < 20; i++) {
    bench.put('f', `text ${i}`)
    await bench.until('it is pushed', () => hub.live().f === `text ${i}`)
    bench.replica.told(hub.other({ g: `text ${i}` }))
    await bench.until('it is pulled', () => bench.files().g === `text ${i}`)
  }
  await bench.rest()
  t.equal(composed.callCount, 0, 'an entry each would stay in them on Node 20')
})
