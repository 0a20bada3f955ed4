// W7: a burst of creates, edits and deletes on both sides at once.

import { randomBytes } from 'node:crypto'
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Goal, sleep } from '../goal.ts'
import { fileName, makeTree } from '../trees.ts'
import {
  arrive,
  aside,
  type Figures,
  type Finding,
  type Ground,
  rest,
  startAndRest,
  type Workload,
} from '../workload.ts'

const DIRS = 20
const FILES = 1000
const LARGEST_BYTES = 8192
/** A fixed start, so that every contender gets the same operations. */
const SEED = 20_261_120

export const burst: Workload = {
  works: ['W7'],
  title: 'a burst of operations',
  touchBytes: 200e6,
  run: async function* (ground): AsyncGenerator<Finding> {
    const { arena } = ground
    const [a, b] = arena.seats
    makeTree(a.folder, { files: FILES, dirs: DIRS, sizeBytes: 2048 })
    // What the folders must become is worked out beside them, where nobody watches.
    const wanted = aside(arena, 'wanted')
    cpSync(a.folder, wanted, { recursive: true })
    await startAndRest(ground)
    await arrive(ground, Goal.of(a.folder, a.folder), [b.folder])
    await rest(ground)
    yield { work: 'W7', figures: await burstOf(ground, wanted) }
  },
}

async function burstOf(ground: Ground, wanted: string): Promise<Figures> {
  const { arena, contender, session, isQuick } = ground
  const [a, b] = arena.seats
  const before = { cpu: arena.meter.cpuSeconds(), wire: await arena.wire.bytes() }
  const passing = new AbortController()
  const passes = contender.kind === 'one-shot' ? passUntil(() => session.pass(), passing.signal) : Promise.resolve()
  const [operations, seconds] = isQuick ? [300, 2] : [2000, 10]
  const alive = new Map<string, Buffer | undefined>()
  const random = numbers(SEED)
  const from = performance.now()
  for (let at = 0; at < operations; at++) {
    // One-way tools get everything in A; the sides never meet at a path, for no tool is asked about conflicts here.
    const side = at % 2
    const folder = contender.twoWay && side === 1 ? b.folder : a.folder
    operate(folder, { side, at, random, alive })
    const dueMs = (at + 1) * ((seconds * 1000) / operations)
    const aheadMs = from + dueMs - performance.now()
    if (aheadMs > 1) await sleep(aheadMs)
  }
  const last = performance.now()
  passing.abort()
  await passes
  const goal = goalOf(wanted, alive)
  const folders = contender.twoWay ? [a.folder, b.folder] : [b.folder]
  const at = await arrive(ground, goal, folders)
  return {
    after_last_s: (Math.max(...at) - last) / 1000,
    cpu_s: arena.meter.cpuSeconds() - before.cpu,
    wire_bytes: (await arena.wire.bytes()) - before.wire,
  }
}

interface Step {
  readonly side: number
  readonly at: number
  readonly random: () => number
  readonly alive: Map<string, Buffer | undefined>
}

/** 40 % creates, 40 % edits, 20 % deletes; `alive` remembers contents, and `undefined` for what is deleted. */
function operate(folder: string, { side, at, random, alive }: Step): void {
  const dice = random()
  // Even files belong to one side, odd ones to the other; with an even number of directories so do directories.
  const victim = fileName(2 * Math.floor((random() * FILES) / 2) + side, DIRS)
  const isGone = alive.has(victim) && alive.get(victim) === undefined
  const path = dice < 0.4 || isGone ? `d${(at * 2 + side) % DIRS}/new${at}` : victim
  if (dice >= 0.8 && path === victim) {
    rmSync(join(folder, victim), { force: true })
    alive.set(victim, undefined)
    return
  }
  const content = randomBytes(1 + Math.floor(random() * LARGEST_BYTES))
  writeFileSync(join(folder, path), content)
  alive.set(path, content)
}

async function passUntil(pass: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await pass()
}

/** Does to `wanted` what was done to the folders. */
function goalOf(wanted: string, alive: ReadonlyMap<string, Buffer | undefined>): Goal {
  for (const [path, content] of alive)
    if (content === undefined) rmSync(join(wanted, path), { force: true })
    else writeFileSync(join(wanted, path), content)
  return Goal.of(wanted, wanted)
}

/** Numbers in 0..1 from a linear congruential generator (Numerical Recipes' constants): the same for every contender. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
