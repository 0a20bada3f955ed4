// Knows whether clients wait for the coordinator in one folder.

export class Serving {
  /** Is told, a moment after each answer, when nobody waits any more. */
  onIdle: (() => void) | undefined
  #waiting = 0

  get isBusy(): boolean {
    return this.#waiting > 0
  }

  /** Does `work`, whose outcome a client waits for. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++
    try {
      return await work()
    } finally {
      this.#waiting--
      // The answer goes first, and what was asked meanwhile begins.
      setImmediate(() => {
        if (!this.isBusy) this.onIdle?.()
      })
    }
  }
}
