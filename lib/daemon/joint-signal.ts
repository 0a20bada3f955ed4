// One signal of several that live longer or shorter: aborts with the first of them, and leaves nothing behind in the others.

/**
 * As `AbortSignal.any`, which on Node 20 leaves an entry in every source that lives on, for as long as that lives: 70 bytes each time. This one takes its
 * listeners back when it aborts, and when it is disposed of; from then on it never aborts.
 */
export class JointSignal implements Disposable {
  readonly #controller = new AbortController()
  readonly #forget: (() => void)[] = []

  constructor(...sources: readonly AbortSignal[]) {
    for (const source of sources) {
      const stop = (): void => {
        this[Symbol.dispose]()
        this.#controller.abort(source.reason)
      }
      if (source.aborted) {
        stop()
        return
      }
      source.addEventListener('abort', stop)
      this.#forget.push(() => {
        source.removeEventListener('abort', stop)
      })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    for (const forget of this.#forget.splice(0)) forget()
  }
}
