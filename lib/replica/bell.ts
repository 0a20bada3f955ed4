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
      let wake = (): void => undefined
      const woken = new Promise<void>((resolve) => {
        this.#wake = wake = resolve
      })
      signal.addEventListener('abort', wake)
      const slept = sleep?.(done.signal).catch(() => undefined)
      try {
        await (slept === undefined ? woken : Promise.race([woken, slept]))
      } finally {
        this.#wake = undefined
        signal.removeEventListener('abort', wake)
        done.abort() // the sleep hears of nothing else
      }
      signal.throwIfAborted()
    }
    const rang = this.#rung
    this.#rung = false
    return rang
  }
}
