// Gives back memory when a daemon comes to rest: what a burst needed would otherwise stay with the process for ever.

import { AtRest } from '../daemon/at-rest.ts'
import type { Clock } from '../daemon/clock.ts'
import { collectGarbage, trimFreeRoom } from '../daemon/free-memory.ts'
import type { Log } from '../daemon/log.ts'
import type { DiskLanes } from '../replica/disk-lanes.ts'
import type { Replica } from '../replica/replica.ts'

/** Soon: what a burst needed is given back before anybody looks. */
const QUIET_MS = 400
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
}

/** Frees memory once after each time of activity in which the process has grown, until disposed. */
export function freeAtRest({ replicas, lanes, clock, log, isInUse }: Resting): Disposable {
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
  const atRest = new AtRest({
    clock,
    quietMs: QUIET_MS,
    onRest: () => {
      if (isInUse()) freeNow()
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

function mib(bytes: number): number {
  return Math.round(bytes / 1024 / 1024)
}
