// A scan that finds more than may wait: it waits for the push side, whatever happens meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { MemoryHub } from '../support/memory-hub.ts'
import { AGREED, ReplicaBench } from '../support/replica-bench.ts'

const FILES = 2500

t.test('more files than may wait are all pushed', async (t) => {
  const bench = new ReplicaBench(t)
  const hub = new MemoryHub()
  for (let i = 0; i < FILES; i++) bench.write(`d${String(i % 40)}/f${String(i)}`, `text ${String(i)}`)
  await bench.open({ backlog: 100 })
  bench.join(hub)
  await bench.rest()
  t.equal(Object.keys(hub.live()).length, FILES + 40)
})

t.test(
  'a folder did not stay "scanning" for ever when the coordinator was set up anew while its scan waited',
  async (t) => {
    const bench = new ReplicaBench(t)
    await bench.start(new MemoryHub())
    await bench.close()
    for (let i = 0; i < FILES; i++) bench.write(`d${String(i % 40)}/f${String(i)}`, `text ${String(i)}`)
    await bench.open({ backlog: 100 })
    // The scan has found more than may wait, and nobody takes it.
    await bench.until('the scan waits', () => bench.replica.status().pending >= 100)
    await sleep(50)
    const hub = new MemoryHub()
    bench.join(hub, { ...AGREED, incarnation: 'life-2' })
    await bench.rest()
    t.equal(Object.keys(hub.live()).length, FILES + 40)
  },
)
