// Knows how far the clients that share one folder are behind: what they have not been told, taken in or proposed yet.

import type { Clock } from '../daemon/clock.ts'
import type { Seq } from '../model/revision.ts'

/** So many paths are no burst: whoever is behind by no more is not behind. */
const FEW = 50
/** A client that has said nothing for so long since it fell behind is stuck, and nobody waits for it. */
const SILENT_MS = 2000

/** What a client says of itself. `pending`: paths that differ, or wait to be applied. */
export interface Report {
  readonly cursor: Seq
  readonly pending: number
  readonly state: string
}

interface Known {
  readonly cursor: Seq
  readonly pending: number
  /** When it was last heard of, or else fell behind. Monotonic ms. */
  readonly sinceMs: number
}

export class Lag {
  /** Is told when clients may have caught up. */
  onLess: (() => void) | undefined
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #clients = new Map<string, Known>()
  #seq: Seq = 0

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** Whether some client is in the midst of a burst. Of a single client nobody asks: then the coordinator's folder is the one that others wait for. */
  get isBehind(): boolean {
    if (this.#clients.size < 2) return false
    const since = this.#clock.monotonic() - SILENT_MS
    for (const { cursor, pending, sinceMs } of this.#clients.values())
      if (sinceMs >= since && Math.max(0, this.#seq - cursor) + pending > FEW) return true
    return false
  }

  join(client: string, cursor: Seq): void {
    this.#clients.set(client, { cursor, pending: 0, sinceMs: this.#clock.monotonic() })
  }

  leave(client: string): void {
    this.#clients.delete(client)
    this.onLess?.()
  }

  heard(client: string, { cursor, pending, state }: Report): void {
    if (!this.#clients.has(client)) return
    // What waits for a person, or for half a minute, is not on its way.
    const isMoving = state === 'syncing' || state === 'scanning'
    this.#clients.set(client, { cursor, pending: isMoving ? pending : 0, sinceMs: this.#clock.monotonic() })
    this.onLess?.()
  }

  /** A commit by `author` after `prev`, which learns of it from its answer. */
  committed({ author, prev, upTo }: { readonly author: string; readonly prev: Seq; readonly upTo: Seq }): void {
    this.#seq = upTo
    const now = this.#clock.monotonic()
    for (const [client, { cursor, pending, sinceMs }] of this.#clients) {
      if (client === author && cursor >= prev) this.#clients.set(client, { cursor: upTo, pending, sinceMs })
      else if (cursor >= prev) this.#clients.set(client, { cursor, pending, sinceMs: now })
    }
  }
}
