// Keeps the results: one JSON file with everything, written anew after each result.

import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Contender } from './contender.ts'
import type { Options } from './options.ts'
import type { Result } from './run.ts'

/** What a run leaves. */
export interface RunRecord {
  readonly takenAt: string
  readonly machine: {
    readonly cpus: number
    readonly model: string
    readonly kernel: string
    readonly memoryBytes: number
  }
  readonly node: string
  readonly options: Options
  readonly bytesCountedBy: string
  readonly versions: Readonly<Record<string, string>>
  readonly results: readonly Result[]
  readonly failures: readonly object[]
}

/** What is known before the first result. */
export function beginRecord(options: Options, contenders: readonly Contender[], isOwnNetwork: boolean): RunRecord {
  const [cpu] = cpus()
  return {
    takenAt: new Date().toISOString(),
    machine: { cpus: cpus().length, model: cpu?.model ?? '', kernel: release(), memoryBytes: totalmem() },
    node: process.version,
    options,
    bytesCountedBy: isOwnNetwork
      ? 'the loopback of a network namespace of its own, headers included; W9: TCP payload through the delay line'
      : 'TCP payload through a relay',
    versions: Object.fromEntries(contenders.map((contender) => [contender.name, contender.version() ?? ''])),
    results: [],
    failures: [],
  }
}

/** Writes results.json into `dir`. */
export function writeRecord(dir: string, record: RunRecord): void {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'results.json'), `${JSON.stringify(record, undefined, 1)}\n`)
}
