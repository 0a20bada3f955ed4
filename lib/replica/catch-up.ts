// Catches up: asks the hub for all heads after the cursor, page by page, until nothing more is known to be missed.

import { backoffMs } from '../daemon/backoff.ts'
import type { HeadPlace } from '../model/content.ts'
import type { Seq } from '../model/revision.ts'
import type { Answers } from './answers.ts'
import type { Attached, FolderState } from './folder-state.ts'
import { FullComparison } from './full-comparison.ts'
import type { ChangesPage } from './ports.ts'

export class CatchUp {
  readonly #state: FolderState
  readonly #answers: Answers
  readonly #stop: AbortSignal
  #isAsking = false
  #mustAsk = false
  #mustCompareAll = false

  /** `stop`: the life of the replica. */
  constructor(state: FolderState, answers: Answers, stop: AbortSignal) {
    this.#state = state
    this.#answers = answers
    this.#stop = stop
  }

  get active(): boolean {
    return this.#isAsking
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

  /** The answer to what was noted under that number will never come, though the link lives: until the heads tell, nothing is proposed. */
  lost(id: number): void {
    this.#state.caughtUp = false
    this.#answers.lost(id)
    this.ask()
  }

  /** Asks for all heads after the cursor; asked again meanwhile, it does so again. */
  ask(): void {
    this.#mustAsk = true
    this.#state.news = []
    if (!this.#isAsking) void this.#askUntilKnown()
  }

  /** What fails while the link lives is tried again; the next link asks by itself. */
  async #askUntilKnown(): Promise<void> {
    this.#isAsking = true
    try {
      for (let failures = 0; this.#mustAsk;) {
        const { attached } = this.#state
        if (attached === undefined || attached.signal.aborted || this.#stop.aborted) break
        this.#mustAsk = false
        try {
          await this.#askAll(attached)
          failures = 0
        } catch (error) {
          this.#mustAsk = true
          failures++
          await this.#pause(attached, failures, error)
        }
      }
    } finally {
      this.#isAsking = false
    }
    this.#state.wakeAll()
  }

  async #pause({ signal }: Attached, failures: number, error: unknown): Promise<void> {
    if (signal.aborted) return
    const { clock, log, name } = this.#state.parts
    log.error(`Cannot ask for the changes of folder "${name}", trying again`, { error: String(error) })
    await clock.sleep(backoffMs(failures, Math.random()), signal).catch(() => undefined)
  }

  /** Asks once, to the last page, unless what was told meanwhile makes it necessary to begin anew. */
  async #askAll(attached: Attached): Promise<void> {
    const { base } = this.#state.parts
    const answerable = this.#answers.waiting
    using all = this.#mustCompareAll ? new FullComparison(this.#state, this.#answers) : undefined
    let rest: HeadPlace | undefined
    for (let more = true; more;) {
      const since = all?.upTo ?? base.cursor()
      const page = await attached.hub.changes(rest ?? since, attached.signal)
      // A reply that was cut takes the cursor back: the page is not all there is after it.
      if (this.#state.attached !== attached || (all === undefined && base.cursor() < since)) {
        this.#mustAsk = true
        return
      }
      if (all === undefined) this.#take(page)
      else all.take(page)
      ;({ more, rest } = page)
      this.#state.isCut = rest !== undefined
      if (!more) this.#mustCompareAll = false
      this.#state.applyBell.ring()
      this.#state.changed()
    }
    this.#answers.end(answerable)
    // An answer that was lost meanwhile may be older than the page that was the last.
    if (this.#answers.waiting.length > 0) return
    this.#state.caughtUp = true
    this.#state.leftovers.caughtUp()
  }

  #take({ heads, upTo }: ChangesPage): void {
    const { base } = this.#state.parts
    base.transaction(() => {
      this.#state.takeHeads(this.#answers.hear(heads), upTo)
    })
  }
}
