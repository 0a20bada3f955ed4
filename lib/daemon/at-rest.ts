// Tells once after each time of activity that it is over.

import type { Clock } from './clock.ts'

export interface AtRestOptions {
  readonly clock: Clock
  /** How long nothing must happen. */
  readonly quietMs: number
  readonly onRest: () => void
}

/** Calls `onRest` once nothing has happened for `quietMs` since the last `touch`. While nothing happens it holds no timer. */
export class AtRest implements Disposable {
  readonly #options: AtRestOptions
  #lastMs = 0
  #timer: Disposable | undefined
  #isOpen = true

  constructor(options: AtRestOptions) {
    this.#options = options
  }

  /** Something happens. Cheap: called for every event. */
  touch(): void {
    this.#lastMs = this.#options.clock.monotonic()
    if (this.#timer === undefined && this.#isOpen) this.#arm(this.#options.quietMs)
  }

  [Symbol.dispose](): void {
    this.#isOpen = false
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }

  #arm(ms: number): void {
    const { clock, quietMs, onRest } = this.#options
    this.#timer = clock.after(ms, () => {
      const leftMs = this.#lastMs + quietMs - clock.monotonic()
      if (leftMs > 0) {
        this.#arm(leftMs)
        return
      }
      this.#timer = undefined
      onRest()
    })
  }
}
