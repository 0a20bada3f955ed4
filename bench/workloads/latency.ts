// W1: how long after a save the file is there on the other side; W8: what waiting for one costs.

import { randomBytes } from 'node:crypto'
import { mkdirSync, statSync, watch, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Goal, sleep } from '../goal.ts'
import { median, quantile } from '../statistics.ts'
import { fileName, makeTree } from '../trees.ts'
import { arrive, type Figures, type Finding, type Ground, rest, startAndRest, type Workload } from '../workload.ts'

const DIRS = 20
const SHAPE = { files: 1000, dirs: DIRS, sizeBytes: 1024 }
const SAVE_BYTES = 1024
const SAVE_LIMIT_MS = 60_000
const LOOK_MS = 5

export const latency: Workload = {
  works: ['W1', 'W8'],
  title: 'save to visible, and idle, on 1,000 files',
  touchBytes: 64e6,
  run: async function* (ground, isWanted): AsyncGenerator<Finding> {
    const { arena, isQuick } = ground
    makeTree(arena.seats[0].folder, SHAPE)
    await startAndRest(ground)
    await arrive(ground, Goal.of(arena.seats[0].folder, arena.seats[0].folder), [arena.seats[1].folder])
    await rest(ground)
    if (isWanted('W1')) yield { work: 'W1', figures: await saveOften(ground, { saves: isQuick ? 8 : 20, dirs: DIRS }) }
    if (!isWanted('W8')) return
    await rest(ground)
    yield { work: 'W8', figures: await idle(ground, isQuick ? 5 : 30) }
  },
}

/** Saves in A again and again, every other time over a file that exists, and waits for each in B. */
export async function saveOften(ground: Ground, { saves, dirs }: { saves: number; dirs: number }): Promise<Figures> {
  const { arena } = ground
  const wireBefore = await arena.wire.bytes()
  const times: number[] = []
  for (let at = 0; at < saves; at++) {
    const path = at % 2 === 0 ? `d${at % dirs}/saved${at}` : fileName(at, dirs)
    times.push(await save(ground, path, SAVE_BYTES + at))
    // Not in step with any timer of the contender.
    await sleep(200 + ((at * 137) % 400))
  }
  const wire = (await arena.wire.bytes()) - wireBefore
  const figures = { median_ms: median(times), p95_ms: quantile(times, 0.95), max_ms: Math.max(...times) }
  return { ...figures, wire_per_save_bytes: wire / saves }
}

async function save({ arena, contender, session }: Ground, path: string, sizeBytes: number): Promise<number> {
  const [from, to] = [join(arena.seats[0].folder, path), join(arena.seats[1].folder, path)]
  mkdirSync(dirname(from), { recursive: true })
  const content = randomBytes(sizeBytes)
  const seen = contender.kind === 'continuous' ? untilSize(to, sizeBytes) : undefined
  const start = performance.now()
  writeFileSync(from, content)
  if (seen !== undefined) return (await seen) - start
  await session.pass()
  return performance.now() - start
}

/** Resolves with the moment `path` has that size: the kernel tells, and a slow look now and then is the safety net. */
function untilSize(path: string, sizeBytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const end = performance.now() + SAVE_LIMIT_MS
    const look = () => {
      const isThere = statSync(path, { throwIfNoEntry: false })?.size === sizeBytes
      const isLate = performance.now() > end
      if (!isThere && !isLate) return
      clearInterval(timer)
      watcher.close()
      if (isThere) resolve(performance.now())
      else reject(new Error(`Cannot see the save: "${path}" is not there after ${SAVE_LIMIT_MS} ms`))
    }
    const watcher = watch(dirname(path), look)
    const timer = setInterval(look, LOOK_MS)
  })
}

async function idle({ arena, contender, session }: Ground, seconds: number): Promise<Figures> {
  const before = { cpu: arena.meter.cpuSeconds(), wire: await arena.wire.bytes() }
  using peak = arena.meter.watchPeak()
  // A one-shot contender's idleness is one pass that finds nothing to do.
  if (contender.kind === 'one-shot') await session.pass()
  else await sleep(seconds * 1000)
  const cpu = arena.meter.cpuSeconds() - before.cpu
  const rss = peak.sumBytes
  return {
    cpu_s_per_min: contender.kind === 'one-shot' ? cpu : (cpu * 60) / seconds,
    wire_bytes: (await arena.wire.bytes()) - before.wire,
    rss_bytes: rss,
  }
}
