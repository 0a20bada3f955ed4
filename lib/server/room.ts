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
/** Below the floor so many writes may still come, each of so much. Bytes. */
const WRITES_A_LOOK = 16
const WRITE_BYTES = 255 * 1024

export class Room {
  readonly #measure: () => Space
  /** Writes until the next look. */
  #writes = 0
  /** What is being made, and may not be on the disk yet. */
  #reserved = 0

  /** `measure` looks at the disk. */
  constructor(measure: () => Space) {
    this.#measure = measure
  }

  /** Throws `Refused` 507 when `bytes` more would leave less than the floor. */
  demand(bytes: number): void {
    const { left, floor } = this.#look()
    if (left - this.#reserved - bytes >= floor) return
    const beside = this.#reserved === 0 ? '' : `, ${inMiB(this.#reserved)} are for what is being made`
    throw new Refused(
      `Cannot take ${inMiB(bytes)} more: ${inMiB(left)} are free on the coordinator's disk${beside}, and ${inMiB(floor)} of them are kept free`,
      { status: 507, hint: 'Free some space on the coordinator; it is tried again' },
    )
  }

  /** As `demand`; until disposed nobody else is given those bytes. */
  reserve(bytes: number): Disposable {
    this.demand(bytes)
    this.#reserved += bytes
    return {
      [Symbol.dispose]: () => {
        this.#reserved -= bytes
      },
    }
  }

  /** As `watch`; a write below the floor fails as on a full disk. */
  guard(watch: StagingWatch): StagingWatch {
    return {
      opened: (opened) => {
        const file = watch.opened(opened)
        return {
          ...file,
          began: (position, bytes) => {
            this.#demandForWrite(bytes)
            file.began(position, bytes)
          },
        }
      },
      forget: (place) => {
        watch.forget(place)
      },
    }
  }

  #demandForWrite(bytes: number): void {
    const writes = Math.ceil(bytes / WRITE_BYTES)
    if (this.#writes > 0) {
      this.#writes -= writes
      return
    }
    const { left, floor } = this.#look()
    if (left >= floor) {
      this.#writes = WRITES_A_LOOK - writes
      return
    }
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
