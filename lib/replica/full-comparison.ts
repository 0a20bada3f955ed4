// Compares what was agreed with all that lives at the hub: for a base that is older than tombstones the hub has forgotten, as one from a backup is.

import type { PlacedHead } from '../model/content.ts'
import type { Seq } from '../model/revision.ts'
import type { Answers } from './answers.ts'
import type { FolderState } from './folder-state.ts'
import type { ChangesPage } from './ports.ts'

const PAGE = 1000

/**
 * What was agreed on and lives no more was deleted: each gets a tombstone, as if it had been told of. The cursor stays where it was until all is
 * known: whoever is interrupted begins anew.
 */
export class FullComparison implements Disposable {
  readonly #state: FolderState
  readonly #answers: Answers
  readonly #listing: ReturnType<FolderState['parts']['base']['list']>
  #upTo: Seq = 0

  constructor(state: FolderState, answers: Answers) {
    this.#state = state
    this.#answers = answers
    const { base, log, name } = state.parts
    log.warn(
      `The base of folder "${name}" is older than deletes that the coordinator has forgotten: comparing everything`,
    )
    this.#listing = base.transaction(() => {
      // What waits may have been deleted since; what lives is told of again.
      base.dropAllIncoming()
      return base.list()
    })
  }

  /** Up to which Seq the heads have come. */
  get upTo(): Seq {
    return this.#upTo
  }

  /** The next heads, from Seq 0 on. */
  take({ heads, upTo, more }: ChangesPage): void {
    const { base } = this.#state.parts
    base.transaction(() => {
      this.#listing.add(heads.map(({ head }) => head.path))
      this.#hear(heads)
      if (!more) this.#bury(upTo)
    })
    this.#upTo = upTo
  }

  [Symbol.dispose](): void {
    this.#listing[Symbol.dispose]()
  }

  /** A delete too may be what was proposed before. */
  #hear(heads: readonly PlacedHead[]): void {
    this.#state.takeHeads(this.#answers.hear(heads), this.#state.parts.base.cursor())
  }

  #bury(seq: Seq): void {
    const { base, log, name } = this.#state.parts
    let count = 0
    for (let paths = this.#listing.missing(undefined, PAGE); paths.length > 0;) {
      const heads = paths.map((path) => ({ head: { path, seq, entry: undefined }, place: undefined }))
      this.#hear(heads)
      count += paths.length
      paths = this.#listing.missing(paths.at(-1), PAGE)
    }
    base.setCursor(seq)
    if (count > 0) log.info(`${String(count)} paths of folder "${name}" were deleted meanwhile`)
  }
}
