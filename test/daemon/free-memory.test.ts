import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
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

const YOUNG = fileURLToPath(new URL(`./young-room.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url))

t.test('young objects take little room once that was asked for, and when a thread has begun', (t) => {
  for (const words of [[], ['thread'], ['small'], ['small', 'thread']]) {
    const said = execFileSync(process.execPath, [YOUNG, ...words], { encoding: 'utf8' })
    const { before, most } = JSON.parse(said) as { before: number; most: number }
    const isSmall = most <= 4 * before
    t.equal(isSmall, words.length > 0, `${words.join(' ')}: from ${String(before)} to ${String(most)}`)
  }
  t.end()
})
