// Gathers the watch events of one wake-up in order, the later of two in a row for one path standing for both.

import type { RelPath } from '../model/path.ts'
import type { WatchEvent } from '../model/watch-event.ts'

/** Paths remembered as open at most: a file closed under another name is never told, and is forgotten when its turn comes. */
const MAX_OPEN = 10_000

export class EventBatch {
  #events: WatchEvent[] = []
  readonly #open = new Set<RelPath>()

  add(event: WatchEvent): void {
    this.#remember(event)
    const last = this.#events.at(-1)
    if (last !== undefined && isSamePlace(last, event)) this.#events[this.#events.length - 1] = event
    else this.#events.push(event)
  }

  /** Whether `path` was created or written and not closed since, as far as is known. */
  isOpen(path: RelPath): boolean {
    return this.#open.has(path)
  }

  /** After lost events: nothing is known of what is open. */
  forgetOpen(): void {
    this.#open.clear()
  }

  /** The events since the last call. */
  take(): readonly WatchEvent[] {
    const events = this.#events
    this.#events = []
    return events
  }

  #remember(event: WatchEvent): void {
    if (event.kind === 'tree') return
    if (event.kind !== 'open') {
      this.#open.delete(event.path)
      return
    }
    this.#open.add(event.path)
    const [oldest] = this.#open
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#open.delete(oldest)
  }
}

function isSamePlace(a: WatchEvent, b: WatchEvent): boolean {
  if (a.kind === 'tree') return b.kind === 'tree' && a.dir === b.dir && a.why === b.why
  return b.kind !== 'tree' && a.path === b.path
}
