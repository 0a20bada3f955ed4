import { getPriority } from 'node:os'
import { Worker } from 'node:worker_threads'
import t from 'tap'

t.test('a thread that gives way leaves the others of the process as they are', async (t) => {
  const before = getPriority()
  const module = new URL('../../lib/disk/low-priority.js', import.meta.url).href
  const code = `import(${JSON.stringify(module)}).then(({ giveWay }) => {
    giveWay()
    require('node:worker_threads').parentPort.postMessage(require('node:os').getPriority())
  })`
  const worker = new Worker(code, { eval: true })
  const there = await new Promise<number>((resolve, reject) => {
    worker.on('message', resolve)
    worker.on('error', reject)
  })
  await worker.terminate()
  t.ok(there > before, `${there} in the thread`)
  t.equal(getPriority(), before)
})
