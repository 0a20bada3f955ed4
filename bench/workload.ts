// What a workload is, and what the workloads share: a session to work in, and how one piece of work is measured.

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Arena } from './arena.ts'
import type { Contender, Session } from './contender.ts'
import { type Goal, sleep } from './goal.ts'
import { makeFile } from './trees.ts'

/** Named figures; the unit is the end of the name: `_s`, `_ms`, `_bytes`. */
export type Figures = Readonly<Record<string, number>>

/** What one workload found out about one contender. */
export interface Finding {
  /** `W1`, or `W1.100k`. */
  readonly work: string
  readonly figures: Figures
}

/** Where a workload is done. */
export interface Ground {
  readonly contender: Contender
  readonly session: Session
  readonly arena: Arena
  readonly isQuick: boolean
}

/** A piece of work, or several that share a beginning. */
export interface Workload {
  /** The findings it brings, for `--only`. */
  readonly works: readonly string[]
  readonly title: string
  /** Clients besides A; default: B alone. */
  readonly receivers?: number
  /** Over the slow link. */
  readonly isSlow?: boolean
  /** Memory to be touched before, in bytes. */
  readonly touchBytes: number
  /** Whether this contender can do it. */
  suits?(contender: Contender): boolean
  run(ground: Ground, isWanted: (work: string) => boolean): AsyncGenerator<Finding>
}

/** The longest wait for any goal. */
const LIMIT_MS = 300_000
const IDLE_CPU = 0.05
const IDLE_SAMPLE_MS = 500
const IDLE_LIMIT_MS = 60_000

/** Lets the contender bring the receivers to `goal` after `put`; time counts from before `put`. */
export async function measure(ground: Ground, goal: Goal, put: () => void | Promise<void>): Promise<Figures> {
  const { arena } = ground
  const receivers = arena.seats.slice(1).map(({ folder }) => folder)
  const before = { wire: await arena.wire.bytes(), cpu: arena.meter.cpuSeconds() }
  using peak = arena.meter.watchPeak()
  const from = performance.now()
  await put()
  const at = await arrive(ground, goal, receivers)
  peak.sample()
  const figures = {
    time_s: (Math.max(...at) - from) / 1000,
    cpu_s: arena.meter.cpuSeconds() - before.cpu,
    wire_bytes: (await arena.wire.bytes()) - before.wire,
    peak_rss_bytes: peak.sumBytes,
    largest_process_bytes: peak.oneBytes,
  }
  return at.length === 1 ? figures : { ...figures, first_s: (Math.min(...at) - from) / 1000 }
}

/** Waits until all `folders` are at `goal`, making passes if the contender needs them; when each was, by `performance.now()`. */
export async function arrive(
  { contender, session }: Ground,
  goal: Goal,
  folders: readonly string[],
): Promise<number[]> {
  if (contender.kind === 'continuous') return goal.reached(folders, LIMIT_MS)
  const end = performance.now() + LIMIT_MS
  for (;;) {
    await session.pass()
    const at = performance.now()
    if (folders.every((folder) => goal.isAt(folder))) return folders.map(() => at)
    if (at > end) throw new Error('Cannot reach the goal: passes have not brought it in time')
  }
}

/** Starts the session and lets it come to rest. */
export async function startAndRest(ground: Ground): Promise<void> {
  await ground.session.start()
  await rest(ground)
}

/** Waits until the contender uses next to no CPU. */
export async function rest({ arena }: Ground): Promise<void> {
  const end = performance.now() + IDLE_LIMIT_MS
  for (let last = arena.meter.cpuSeconds(); performance.now() < end;) {
    await sleep(IDLE_SAMPLE_MS)
    const now = arena.meter.cpuSeconds()
    if (now - last < (IDLE_CPU * IDLE_SAMPLE_MS) / 1000) return
    last = now
  }
}

/** A place beside the folders, on the same file system, where something can be made ready to be moved in. */
export function aside(arena: Arena, name: string): string {
  const dir = join(arena.dir, 'aside', name)
  mkdirSync(join(dir, '..'), { recursive: true })
  return dir
}

/** Makes the machine give us memory now, and not while a contender is measured. */
export function touchMemory(dir: string, bytes: number): void {
  const file = join(dir, 'touched')
  makeFile(file, bytes)
  rmSync(file)
}
