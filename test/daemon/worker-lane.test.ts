import t from 'tap'
import type { TestJobs } from './test-worker.ts'
import { systemClock } from '../../lib/daemon/clock.ts'
import { serveJobs } from '../../lib/daemon/serve-jobs.ts'
import { WorkerLane } from '../../lib/daemon/worker-lane.ts'
import { Refused, SyncError } from '../../lib/errors.ts'

const WORKER = new URL(import.meta.url.endsWith('.ts') ? './test-worker.ts' : './test-worker.js', import.meta.url)
const never = new AbortController().signal

function openLane(more: { idleMs?: number; clock?: typeof systemClock } = {}) {
  return new WorkerLane<TestJobs>(WORKER, { name: 'test', ...more })
}

t.test('jobs are done in order, and bytes are moved', async (t) => {
  await using lane = openLane()
  const order: number[] = []
  const jobs = [1, 2, 3].map(async (n) => {
    t.equal(await lane.run('double', n, {}, never), n * 2)
    order.push(n)
  })
  t.equal(lane.load, 3)
  await Promise.all(jobs)
  t.same(order, [1, 2, 3])
  t.equal(lane.load, 0)
  const bytes = await lane.run('fill', 5, {}, never)
  t.same([...bytes], [7, 7, 7, 7, 7])
  const buffer = new ArrayBuffer(8)
  await t.rejects(lane.run('double', Symbol('x') as unknown as number, {}, never), /could not be cloned/)
  await lane.run('double', 1, { transfer: [buffer] }, never)
  t.equal(buffer.byteLength, 0)
})

t.test('parts come in order, and the worker waits for who takes them', async (t) => {
  await using lane = openLane()
  const parts: number[] = []
  let open: (() => void) | undefined
  const onPart = (part: number) => {
    parts.push(part)
    return part === 1 ? new Promise<void>((resolve) => (open = resolve)) : undefined
  }
  const counted = lane.run('count', 20, { onPart }, never)
  while (open === undefined) await new Promise(setImmediate)
  t.same(parts, [1])
  open()
  t.equal(await counted, 'sent 20')
  t.same(
    parts,
    Array.from({ length: 20 }, (_, n) => n + 1),
  )
})

t.test('a part that cannot be taken fails the job, and the lane goes on', async (t) => {
  await using lane = openLane()
  const onPart = (part: number) => {
    if (part === 2) throw new Error('no room')
  }
  await t.rejects(lane.run('count', 20, { onPart }, never), { message: 'no room' })
  t.equal(await lane.run('double', 4, {}, never), 8)
})

t.test('errors keep what they are', async (t) => {
  await using lane = openLane()
  const failure = (how: TestJobs['fail']['input']) => lane.run('fail', how, {}, never).catch((error: unknown) => error)
  const refused = await failure('refused')
  t.ok(refused instanceof Refused)
  t.match(refused, { status: 403, hint: 'ask', message: 'not yours', stack: /test-worker/ })
  const sync = await failure('sync')
  t.ok(sync instanceof SyncError)
  t.match(sync, { code: 'NO', retry: 'later', exitStatus: 75 })
  t.match(await failure('system'), { message: 'ENOENT: none', code: 'ENOENT', errno: -2, path: '/x' })
  t.match(await failure('text'), { message: 'only text' })
  await t.rejects(lane.run('missing', undefined, {}, never), { message: 'No such job: missing' })
})

t.test('a worker that dies fails its job; the next ones are done by another', async (t) => {
  await using lane = openLane()
  const dead = lane.run('fail', 'exit', {}, never)
  const next = lane.run('double', 5, {}, never)
  await t.rejects(dead, { code: 'WORKER_DIED', message: /"test" stopped unexpectedly/ })
  t.equal(await next, 10)
  await t.rejects(lane.run('fail', 'throw', {}, never), { code: 'WORKER_DIED', message: /out of band/ })
  t.equal(await lane.run('double', 6, {}, never), 12)
  await using broken = new WorkerLane<TestJobs>(new URL('./none.js', import.meta.url), { name: 'none' })
  await t.rejects(broken.run('double', 1, {}, never), { code: 'WORKER_DIED' })
})

t.test('an aborted job is left at once, stopped in the worker, and the next is done', async (t) => {
  await using lane = openLane()
  const abort = new AbortController()
  const spinning = lane.run('spin', undefined, {}, abort.signal)
  const queued = lane.run('double', 1, {}, abort.signal)
  const next = lane.run('double', 2, {}, never)
  abort.abort(new Error('stop'))
  await t.rejects(spinning, { message: 'stop' })
  await t.rejects(queued, { message: 'stop' })
  t.equal(await next, 4)
  await t.rejects(lane.run('double', 1, {}, abort.signal), { message: 'stop' })
})

t.test('an aborted job that sends parts ends too', async (t) => {
  await using lane = openLane()
  const abort = new AbortController()
  const onPart = () => {
    abort.abort(new Error('stop'))
  }
  await t.rejects(lane.run('count', 1_000_000, { onPart }, abort.signal), { message: 'stop' })
  t.equal(await lane.run('double', 2, {}, never), 4)
})

t.test('an idle thread is stopped, and started again when needed', async (t) => {
  const due: (() => void)[] = []
  const clock = {
    ...systemClock,
    after: (ms: number, fn: () => void) => {
      t.equal(ms, 30_000)
      due.push(fn)
      return { [Symbol.dispose]: () => undefined }
    },
  }
  await using lane = openLane({ clock })
  await lane.run('double', 1, {}, never)
  due.shift()?.()
  t.equal(await lane.run('double', 2, {}, never), 4)
})

t.test('an idle thread gives back what it no longer uses, and a sleeping one is left alone', async (t) => {
  await using lane = openLane()
  await lane.run('litter', undefined, {}, never)
  await lane.freeMemory()
  t.equal(await lane.run('litter', undefined, {}, never), true)
  t.equal(await lane.run('litter', undefined, {}, never), false, 'not by itself')
  await using asleep = new WorkerLane<TestJobs>(new URL('file:///nowhere/worker.js'), { name: 'asleep' })
  await asleep.freeMemory()
  await t.rejects(asleep.run('double', 1, {}, never), { code: 'WORKER_DIED' }, 'now it is started')
})

t.test('closing fails what is open and takes nothing more', async (t) => {
  const lane = openLane()
  const open = [lane.run('spin', undefined, {}, never), lane.run('double', 1, {}, never)]
  const results = Promise.allSettled(open)
  await lane[Symbol.asyncDispose]()
  t.match(await results, [{ reason: { message: /closed/ } }, { reason: { message: /closed/ } }])
  await t.rejects(lane.run('double', 1, {}, never), { message: /is closed/ })
  t.throws(() => {
    serveJobs({})
  }, /outside a worker/)
})
