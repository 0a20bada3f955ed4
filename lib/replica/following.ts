// Follows a file that is being written with its SHA-256, so that it is verified soon after its last byte came.

import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { Followed } from './ports.ts'

/** So much more must be whole before it is worth a job. Bytes. */
const STEP = 8 * 1024 * 1024

/** Where the hashing is done; `key` names the file from its first job on. */
export interface FollowLane {
  follow(job: { key: string; place: HostPath; end: number }): Promise<void>
  /** SHA-256 of the file at `place`, which may have been followed at another one; `undefined` when it is not followed any more. */
  followed(job: { key: string; place: HostPath }, signal: AbortSignal): Promise<Digest | undefined>
  unfollow(job: { key: string }): Promise<void>
  /** SHA-256 of a file that was not followed: it takes as long as reading it, and nobody waits behind it. */
  hash(job: { place: HostPath }, signal: AbortSignal): Promise<Digest>
}

export class Following implements Followed {
  readonly #lane: FollowLane
  readonly #key: string
  readonly #place: HostPath
  #whole = 0
  #asked = 0
  #job: Promise<void> | undefined
  #isOver = false
  #isStale = false

  /** `key`: a name of its own among all that are followed. */
  constructor(lane: FollowLane, key: string, place: HostPath) {
    this.#lane = lane
    this.#key = key
    this.#place = place
  }

  reached(end: number): void {
    // What was there already is being written anew: the bytes that were hashed may not be those that stay.
    if (end < this.#whole) this.#isStale = true
    this.#whole = end
    this.#next()
  }

  async digest(place: HostPath, signal: AbortSignal): Promise<Digest> {
    // In steps to the end: whoever else uses the lane comes in between.
    while (!this.#isStale && this.#asked < this.#whole) {
      signal.throwIfAborted()
      this.#next(1)
      await this.#job
    }
    this.#isOver = true
    await this.#job
    const found = this.#isStale ? undefined : await this.#lane.followed({ key: this.#key, place }, signal)
    return found ?? (await this.#lane.hash({ place }, signal))
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    if (this.#asked > 0) void this.#lane.unfollow({ key: this.#key }).catch(() => undefined)
  }

  #next(least = STEP): void {
    if (this.#isOver || this.#isStale || this.#job !== undefined || this.#whole - this.#asked < least) return
    this.#asked = Math.min(this.#whole, this.#asked + STEP)
    this.#job = this.#lane
      .follow({ key: this.#key, place: this.#place, end: this.#asked })
      // What could not be hashed now is hashed, or fails, at the end.
      .catch(() => undefined)
      .finally(() => {
        this.#job = undefined
        this.#next()
      })
  }
}
