// Room for what clients stage: when little is left on the disk nothing more is taken, so that the coordinator itself can go on.

import { Refused } from '../errors.ts'
import type { StagingWatch } from '../ssh/server/jail-files.ts'

/** What is on the disk, and how much of that anyone may still use. Bytes. */
export interface Space {
  readonly total: number
  readonly free: number
}

/** The floor: the smaller of the two. */
const FLOOR_BYTES = 64 * 1024 * 1024
const FLOOR_SHARE = 0.01
/** A write has at most 255 KiB: below the floor some MiB may still come. */
const WRITES_A_LOOK = 16

export class Room {
  readonly #measure: () => Space
  #writes = 0

  /** `measure` looks at the disk. */
  constructor(measure: () => Space) {
    this.#measure = measure
  }

  /** Throws `Refused` 507 when `bytes` more would leave less than the floor. */
  demand(bytes: number): void {
    const { left, floor } = this.#look()
    if (left - bytes >= floor) return
    throw new Refused(
      `Cannot take ${inMiB(bytes)} more: ${inMiB(left)} are free on the coordinator's disk, and ${inMiB(floor)} of them are kept free`,
      { status: 507, hint: 'Free some space on the coordinator; it is tried again' },
    )
  }

  /** As `watch`; a write below the floor fails as on a full disk. */
  guard(watch: StagingWatch): StagingWatch {
    return {
      opened: (opened) => {
        const file = watch.opened(opened)
        return {
          ...file,
          began: (position) => {
            this.#demandForWrite()
            file.began(position)
          },
        }
      },
      forget: (place) => {
        watch.forget(place)
      },
    }
  }

  #demandForWrite(): void {
    if (this.#writes++ % WRITES_A_LOOK !== 0) return
    const { left, floor } = this.#look()
    if (left >= floor) return
    this.#writes = 0
    throw Object.assign(new Error('Too little is left on the disk'), { code: 'ENOSPC' })
  }

  #look(): { left: number; floor: number } {
    const { total, free } = this.#measure()
    return { left: free, floor: Math.min(FLOOR_BYTES, total * FLOOR_SHARE) }
  }
}

function inMiB(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
