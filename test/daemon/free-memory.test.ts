import koffi from 'koffi'
import t from 'tap'
import { collectGarbage, keepFreeRoom, shareArenas, trimFreeRoom } from '../../lib/daemon/free-memory.ts'

const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
const hasGlibc = report.header?.glibcVersionRuntime !== undefined

t.test('garbage is collected at once', async (t) => {
  const litter = new WeakRef({ some: 'thing' })
  const kept = { other: 'thing' }
  const held = new WeakRef(kept)
  await collectGarbage()
  t.equal(litter.deref(), undefined)
  t.equal(held.deref(), kept)
})

t.test('free room between what is still used goes back to the system, where the C library can do that', async (t) => {
  const blocks: unknown[] = []
  for (let i = 0; i < 5000; i++) blocks.push(koffi.alloc('uint8_t', 4000))
  const last = blocks.pop()
  for (const block of blocks) koffi.free(block)
  t.equal(await trimFreeRoom(), hasGlibc)
  koffi.free(last)
})

t.test('threads share the pools of the C library, where it has any', async (t) => {
  t.equal(await shareArenas(), hasGlibc)
})

t.test('free room is kept until it is given back, where the C library can do that', async (t) => {
  t.equal(await keepFreeRoom(), hasGlibc)
  const blocks: unknown[] = []
  for (let i = 0; i < 16; i++) blocks.push(koffi.alloc('uint8_t', 1024 * 1024))
  for (const block of blocks) koffi.free(block)
  t.equal(await trimFreeRoom(), hasGlibc)
})
