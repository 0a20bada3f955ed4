// Does the rounds: every workload with every contender in turn, so that what disturbs the machine disturbs them all.

import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { openArena } from './arena.ts'
import type { Contender } from './contender.ts'
import type { Options } from './options.ts'
import { sleep } from './goal.ts'
import { type Figures, type Ground, touchMemory, type Workload } from './workload.ts'
import { loopbackWire, relayWire, SLOW_LINK, type Wire } from './wire.ts'

/** One line of the results. */
export interface Result {
  readonly work: string
  readonly contender: string
  readonly round: number
  readonly figures: Figures
  /** How busy and how slow the machine was right before. */
  readonly noise: { readonly load: number; readonly calibrationMs: number }
}

/** What a run has at its disposal. */
export interface Run {
  readonly options: Options
  readonly workloads: readonly Workload[]
  readonly contenders: readonly Contender[]
  /** The private directory. */
  readonly dir: string
  readonly isOwnNetwork: boolean
  readonly signal: AbortSignal
  /** Called with each result as it comes. */
  tell(result: Result): void
  /** Called when a contender fails at a workload; the run goes on. */
  fail(failure: { work: string; contender: string; round: number; reason: string }): void
}

const STOP_MS = 10_000
const NO_DELAY = { oneWayMs: 0, bytesPerSecond: 0 }

/** Runs all rounds, or until the signal. */
export async function runRounds(run: Run): Promise<void> {
  let count = 0
  for (let round = 1; round <= run.options.rounds; round++)
    for (const workload of run.workloads)
      for (const contender of rotated(run.contenders, round - 1)) {
        if (run.signal.aborted) return
        if (workload.suits?.(contender) === false) continue
        try {
          await runOne(run, { workload, contender, round, at: ++count })
        } catch (error) {
          if (run.signal.aborted) return
          const reason = error instanceof Error ? error.message : String(error)
          run.fail({ work: workload.works.join(','), contender: contender.name, round, reason })
        }
      }
}

async function runOne(
  run: Run,
  { workload, contender, round, at }: { workload: Workload; contender: Contender; round: number; at: number },
): Promise<void> {
  touchMemory(run.dir, run.options.quick ? workload.touchBytes / 5 : workload.touchBytes)
  const noise = { load: loadavg()[0] ?? 0, calibrationMs: calibrate() }
  // Short names: the path of a socket may have no more than 107 bytes.
  const dir = join(run.dir, String(at))
  mkdirSync(dir, { mode: 0o700 })
  const wire = wireFor(run, workload)
  const profile = run.options.profile && join(run.options.profile, `${workload.works[0] ?? ''}-${round}`)
  await using arena = await openArena({ dir, clients: 1 + (workload.receivers ?? 1), wire, profile })
  const session = await contender.open(arena)
  const ground = { contender, session, arena, isQuick: run.options.quick }
  const work = doWork(run, { workload, ground, round, noise })
  // Whoever stops the run does not wait for a goal: the arena goes, with all that runs in it.
  await using _closed = { [Symbol.asyncDispose]: () => Promise.race([session.stop(), sleep(STOP_MS)]) }
  await untilAborted(work, run.signal)
}

async function doWork(
  run: Run,
  { workload, ground, round, noise }: { workload: Workload; ground: Ground; round: number; noise: Result['noise'] },
): Promise<void> {
  const isWanted = (work: string) => isSelected(run.options, work)
  for await (const { work, figures } of workload.run(ground, isWanted))
    if (isWanted(work)) run.tell({ work, contender: ground.contender.name, round, figures, noise })
}

/** Waits for `work`, or rejects as soon as the signal aborts. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop)
  })
  try {
    signal.throwIfAborted()
    await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
    // What fails after the end of the run fails because of it.
    work.catch(() => {})
  }
}

/** Whether `--only` names this work, or the whole it is part of (`W9` for `W9.W2`), or nothing. */
export function isSelected({ only }: Options, work: string): boolean {
  return only.length === 0 || only.includes(work) || only.includes(work.split('.')[0] ?? '')
}

function wireFor(run: Run, workload: Workload): Wire {
  if (workload.isSlow === true) return relayWire(SLOW_LINK)
  return run.isOwnNetwork ? loopbackWire() : relayWire(NO_DELAY)
}

function rotated<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length
  return [...list.slice(at), ...list.slice(0, at)]
}

/** How long the machine takes for a fixed piece of work, in ms. */
function calibrate(): number {
  const block = Buffer.alloc(32 * 1024 * 1024)
  const from = performance.now()
  createHash('sha256').update(block).digest()
  return performance.now() - from
}
