// Tells the coordinator's own replica of commits: after the clients, as long as they wait or are in the midst of a burst, but not much later.

import type { Clock } from '../daemon/clock.ts'
import type { News } from '../replica/folder-state.ts'

/** It is held for so long, and no longer unless clients are behind. */
const HOLD_MS = 2000
/** The coordinator's own folder is at most so many times that long behind. */
const HOLDS = 5
/** So many heads wait in memory at most. */
const HELD_MAX = 20_000

export class OwnNews implements Disposable {
  readonly #clock: Pick<Clock, 'after'>
  readonly #isBusy: () => boolean
  readonly #isBehind: () => boolean
  readonly #tell: (news: News) => void
  readonly #onHeld: (areHeld: boolean) => void
  readonly #held: News[] = []
  #heads = 0
  #timer: Disposable | undefined

  /** `isBusy`: whether clients wait for the coordinator; `isBehind`: for each other's changes. `onHeld` is told when news begin and cease to wait. */
  constructor(parts: {
    clock: Pick<Clock, 'after'>
    isBusy: () => boolean
    isBehind: () => boolean
    tell: (news: News) => void
    onHeld: (areHeld: boolean) => void
  }) {
    this.#clock = parts.clock
    this.#isBusy = parts.isBusy
    this.#isBehind = parts.isBehind
    this.#tell = parts.tell
    this.#onHeld = parts.onHeld
  }

  take(news: News): void {
    this.#held.push(news)
    this.#heads += news.heads.length
    if (this.#heads > HELD_MAX || !(this.#isBusy() || this.#isBehind())) {
      this.flush()
      return
    }
    if (this.#timer !== undefined) return
    this.#onHeld(true)
    this.#hold(1)
  }

  /** Nobody may wait any more: tells what is held, unless somebody does. */
  flushIfIdle(): void {
    if (this.#timer !== undefined && !this.#isBusy() && !this.#isBehind()) this.flush()
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }

  /** Tells all that is held. */
  flush(): void {
    const wereHeld = this.#timer !== undefined
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    this.#heads = 0
    for (const news of this.#held.splice(0)) this.#tell(news)
    if (wereHeld) this.#onHeld(false)
  }

  /** The hold number `count` in a row. */
  #hold(count: number): void {
    this.#timer = this.#clock.after(HOLD_MS, () => {
      if (count < HOLDS && this.#isBehind()) this.#hold(count + 1)
      else this.flush()
    })
  }
}
