// Gives back memory when a daemon comes to rest: what a burst needed would otherwise stay with the process for ever.

import { AtRest } from '../daemon/at-rest.ts'
import type { Clock } from '../daemon/clock.ts'
import { collectGarbage, trimFreeRoom } from '../daemon/free-memory.ts'
import type { Log } from '../daemon/log.ts'
import type { DiskLanes } from '../replica/disk-lanes.ts'
import type { Replica } from '../replica/replica.ts'

/** Soon: what a burst needed is given back before anybody looks. */
const QUIET_MS = 400
/** Who uses a larger share of a processor is in the midst of something: a long hash, or an upload that no folder knows of yet. */
const CALM = 0.05
/** Before anybody is there a pause is only a part of the start. */
const ALONE_MS = 3000
/** It costs a tenth of a second: a lone change does not pay for it. */
const GROWN_BYTES = 16 * 1024 * 1024

export interface Resting {
  readonly replicas: readonly Replica[]
  readonly lanes: DiskLanes
  readonly clock: Clock
  readonly log: Log
  /** Whether the other side has been met: a client its coordinator, the coordinator some client. */
  readonly isInUse: () => boolean
  /** Processor time that this process has used, in ms. */
  readonly cpuMs?: () => number
}

/** Frees memory once after each time of activity in which the process has grown, until disposed. */
export function freeAtRest({ replicas, lanes, clock, log, isInUse, cpuMs = ownCpuMs }: Resting): Disposable {
  let restedAt = 0
  let later: Disposable | undefined
  const free = async (): Promise<void> => {
    const before = process.memoryUsage.rss()
    if (before < restedAt + GROWN_BYTES) return
    await lanes.freeMemory()
    await collectGarbage()
    await trimFreeRoom()
    restedAt = process.memoryUsage.rss()
    log.debug('Gave back memory', { beforeMiB: mib(before), afterMiB: mib(restedAt) })
  }
  const freeNow = (): void => {
    later = undefined
    free().catch((error: unknown) => {
      log.debug('Could not give back memory', { error })
    })
  }
  let looked = { cpuMs: 0, atMs: -Infinity }
  const isCalm = (): boolean => {
    const now = { cpuMs: cpuMs(), atMs: clock.monotonic() }
    const isSo = now.cpuMs - looked.cpuMs <= CALM * Math.min(now.atMs - looked.atMs, 2 * QUIET_MS)
    looked = now
    return isSo
  }
  const atRest: AtRest = new AtRest({
    clock,
    quietMs: QUIET_MS,
    onRest: () => {
      if (!isCalm()) atRest.touch()
      else if (isInUse()) freeNow()
      else later ??= clock.after(ALONE_MS, freeNow)
    },
  })
  const heard = replicas.map((replica) =>
    replica.onChange(() => {
      atRest.touch()
    }),
  )
  atRest.touch()
  return {
    [Symbol.dispose]: () => {
      for (const each of heard) each[Symbol.dispose]()
      atRest[Symbol.dispose]()
      later?.[Symbol.dispose]()
    },
  }
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function mib(bytes: number): number {
  return Math.round(bytes / 1024 / 1024)
}
