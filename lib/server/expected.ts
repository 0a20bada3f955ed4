// Large contents that peers are about to send: how large each will be.

import type { Digest } from '../model/digest.ts'

/** So many are remembered. */
const EXPECTED_MAX = 64

export class Expected {
  /** The newest last. */
  readonly #sizes = new Map<Digest, number>()

  note(sha256: Digest, size: number): void {
    this.#sizes.delete(sha256)
    this.#sizes.set(sha256, size)
    const [oldest] = this.#sizes.keys()
    if (this.#sizes.size > EXPECTED_MAX && oldest !== undefined) this.#sizes.delete(oldest)
  }

  sizeOf(sha256: Digest): number | undefined {
    return this.#sizes.get(sha256)
  }
}
