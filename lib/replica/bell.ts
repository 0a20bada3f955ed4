// A bell: wakes one waiting loop; rings while nobody waits are remembered as one.

export class Bell {
  #rung = false
  #wake: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Waits for a ring, at most `atMostMs` milliseconds; `true` when it rang. Throws the signal's reason when aborted. */
  async wait(signal: AbortSignal, sleep?: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
    signal.throwIfAborted()
    if (!this.#rung) {
      const done = new AbortController()
      const rung = new Promise<void>((resolve, reject) => {
        this.#wake = resolve
        signal.addEventListener(
          'abort',
          () => {
            reject(signal.reason as Error)
          },
          { signal: done.signal },
        )
      })
      const slept = sleep?.(AbortSignal.any([signal, done.signal])).catch(() => undefined)
      try {
        await (slept === undefined ? rung : Promise.race([rung, slept]))
      } finally {
        this.#wake = undefined
        done.abort()
        rung.catch(() => undefined)
      }
      signal.throwIfAborted()
    }
    const rang = this.#rung
    this.#rung = false
    return rang
  }
}
