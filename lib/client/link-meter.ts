// Whether the link is slower than the CPU in one direction: decided by what transfers took, never guessed.

/**
 * One finished transfer. `bytes`: as they went over the wire. `trips`: how many round trips of it moved none of them. The time of a transfer
 * beside others counts as it is: its share of the link is what the next one gets too.
 */
export interface Finished {
  readonly bytes: number
  readonly ms: number
  readonly trips: number
}

/**
 * Below this the link is slow, above the second it is no longer. Bytes per second. Deflate at level 1 takes 165 MB/s of text on one core, and what is
 * left of contents that are just worth it is 85 %: their 15 % save time up to 25 MB/s, contents that come down to a third up to 110. Between the two
 * limits lie links where neither matters much, so that the verdict stays. Gigabit Ethernet brings 110 MB/s, 100 Mbit 12.
 */
export const SLOW_BELOW = 30e6
export const FAST_ABOVE = 60e6

/** A shorter transfer tells more about round trips than about the rate. Bytes. */
export const MEASURED_MIN = 64 * 1024
/** The best of so many counts: a busy peer makes a transfer slower than the link, nothing makes it faster. */
export const REMEMBERED = 4
/** So many transfers in a row that tell nothing, and what was measured counts no more: deflated packs may all be short. */
export const BELIEVED = 16
/** Round trips vary: at least this share of a transfer's time is not theirs. */
const MOVING_SHARE = 0.1

export class LinkMeter {
  readonly #roundTripMs: number
  #rates: readonly number[] = []
  #isSlow = false
  #unmeasured = 0

  constructor(roundTripMs: number) {
    this.#roundTripMs = roundTripMs
  }

  /** Never before something was measured. */
  get isSlow(): boolean {
    return this.#isSlow
  }

  /** Bytes per second; `undefined` when nothing was measured. */
  get rate(): number | undefined {
    return this.#rates.length === 0 ? undefined : Math.max(...this.#rates)
  }

  note(transfer: Finished): void {
    const found = this.#rateOf(transfer)
    if (found === undefined) {
      if (++this.#unmeasured >= BELIEVED) this.#forget()
      return
    }
    this.#unmeasured = 0
    this.#rates = [...this.#rates, found].slice(-REMEMBERED)
    const rate = Math.max(...this.#rates)
    if (rate < SLOW_BELOW) this.#isSlow = true
    else if (rate > FAST_ABOVE) this.#isSlow = false
  }

  /** `undefined`: it tells nothing. Where round trips were nearly all of the time only the least rate is known: enough when that is fast. */
  #rateOf({ bytes, ms, trips }: Finished): number | undefined {
    if (bytes < MEASURED_MIN || ms <= 0) return undefined
    const movingMs = ms - trips * this.#roundTripMs
    const leastMs = ms * MOVING_SHARE
    const rate = (bytes / Math.max(movingMs, leastMs)) * 1000
    return movingMs < leastMs && rate < FAST_ABOVE ? undefined : rate
  }

  #forget(): void {
    this.#unmeasured = 0
    this.#rates = []
    this.#isSlow = false
  }
}

/** Which turns to use something in that may fail: after `misses` failures in a row it is left alone for `restTurns`, and then tried again. */
export class Turns {
  readonly #limits: { readonly misses: number; readonly restTurns: number }
  #misses = 0
  #rest = 0

  constructor(limits: { readonly misses: number; readonly restTurns: number }) {
    this.#limits = limits
  }

  /** Takes a turn: whether to try in it. */
  take(): boolean {
    if (this.#rest === 0) return true
    this.#rest--
    return false
  }

  /** Says how a try ended. */
  tried(isGood: boolean): void {
    this.#misses = isGood ? 0 : this.#misses + 1
    if (this.#misses >= this.#limits.misses) this.#rest = this.#limits.restTurns
  }
}
