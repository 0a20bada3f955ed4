// Catches up: asks the hub for all heads after the cursor, page by page, until nothing more is known to be missed.

import { Unreachable } from '../errors.ts'
import type { HeadPlace } from '../model/content.ts'
import type { Seq } from '../model/revision.ts'
import type { Answers } from './answers.ts'
import type { FolderState } from './folder-state.ts'
import { FullComparison } from './full-comparison.ts'
import type { ChangesPage } from './ports.ts'

export class CatchUp {
  readonly #state: FolderState
  readonly #answers: Answers
  readonly #stop: AbortSignal
  #asking: Promise<void> | undefined
  #mustAsk = false
  #mustCompareAll = false

  /** `stop`: the life of the replica. */
  constructor(state: FolderState, answers: Answers, stop: AbortSignal) {
    this.#state = state
    this.#answers = answers
    this.#stop = stop
  }

  get active(): boolean {
    return this.#asking !== undefined
  }

  /** A link begins. `pruned`: the newest tombstone that the hub has forgotten; who knows less than that has to be told of all that lives. */
  begin(pruned: Seq): void {
    const cursor = this.#state.parts.base.cursor()
    this.#mustCompareAll = cursor > 0 && cursor < pruned
    this.#answers.begin()
  }

  /** Something was missed while it is being asked anyway. */
  again(): void {
    this.#mustAsk = true
  }

  /** Asks for all heads after the cursor; asked again meanwhile, it does so again. */
  ask(): void {
    this.#mustAsk = true
    this.#state.news = []
    if (this.#asking !== undefined) return
    this.#asking = this.#askNow()
      .catch((error: unknown) => {
        const { attached, parts } = this.#state
        if (error instanceof Unreachable || attached?.signal.aborted !== false || this.#stop.aborted) return
        parts.log.error(`Cannot ask for the changes of folder "${parts.name}", trying again`, { error: String(error) })
        void parts.clock.sleep(1000, this.#stop).then(
          () => {
            this.ask()
          },
          () => undefined,
        )
      })
      .finally(() => {
        this.#asking = undefined
        if (this.#mustAsk && this.#state.attached !== undefined && this.#state.caughtUp) this.ask()
      })
  }

  async #askNow(): Promise<void> {
    const { base } = this.#state.parts
    while (this.#mustAsk) {
      this.#mustAsk = false
      const attached = this.#state.attached
      if (attached === undefined) return
      using all = this.#mustCompareAll ? new FullComparison(this.#state) : undefined
      let rest: HeadPlace | undefined
      for (let more = true; more;) {
        const since = all?.upTo ?? base.cursor()
        const page = await attached.hub.changes(rest ?? since, attached.signal)
        // A reply that was cut takes the cursor back: the page is not all there is after it.
        if (this.#state.attached !== attached || (all === undefined && base.cursor() < since)) {
          this.#mustAsk = true
          break
        }
        if (all === undefined) this.#take(page)
        else all.take(page)
        ;({ more, rest } = page)
        this.#state.isCut = rest !== undefined
        if (!more) this.#mustCompareAll = false
        this.#state.applyBell.ring()
        this.#state.changed()
      }
      if (this.#state.attached !== attached) continue
      this.#answers.end()
      this.#state.caughtUp = true
      this.#state.leftovers.caughtUp()
    }
    this.#state.wakeAll()
  }

  #take({ heads, upTo }: ChangesPage): void {
    const { base } = this.#state.parts
    base.transaction(() => {
      this.#state.takeHeads(this.#answers.hear(heads), upTo)
    })
  }
}
