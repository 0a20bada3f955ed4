// Answers: what a replica proposed and did not hear of before the link was lost, or the process died, is heard of from the heads.

import { answered, bySaidPath, saidOfMove } from '../core/unheard.ts'
import type { PlacedHead } from '../model/content.ts'
import type { RelPath } from '../model/path.ts'
import type { Said } from '../model/snapshot.ts'
import type { FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'

export class Answers {
  readonly #state: FolderState
  readonly #local: LocalSide
  #said: ReadonlyMap<RelPath, readonly Said[]> = new Map()
  #ids: readonly number[] = []

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
  }

  /** A link begins: what waits for an answer now will never get it on this one. */
  begin(): void {
    const { base } = this.#state.parts
    const sayings = base.unheard.all()
    this.#ids = sayings.map(({ id }) => id)
    const all = sayings.flatMap(({ said, moves }): Said[] => [
      ...said,
      ...moves.flatMap((move) => {
        const top = base.row(move.from)
        return [...saidOfMove(move, [...(top === undefined ? [] : [top]), ...base.below(move.from)])]
      }),
    ])
    this.#said = bySaidPath(all)
    // A head may have come before its answer would have.
    base.transaction(() => this.hear([...base.incomings(this.#said.keys()).values()]))
  }

  /** Takes out the heads that are answers: they are agreed on, as of when they were proposed. Whoever calls sees to the transaction. */
  hear(heads: readonly PlacedHead[]): readonly PlacedHead[] {
    return this.#said.size === 0 ? heads : heads.filter((placed) => !this.#hearOne(placed))
  }

  /** All heads up to now were told: what none of them answered was not taken, or others went on from it. */
  end(): void {
    if (this.#ids.length === 0) return
    const { base } = this.#state.parts
    base.transaction(() => {
      for (const id of this.#ids) base.unheard.heard(id)
    })
    this.#said = new Map()
    this.#ids = []
  }

  #hearOne({ head }: PlacedHead): boolean {
    const { path, seq } = head
    const said = answered(head, this.#said.get(path))
    const { base } = this.#state.parts
    if (said === undefined || (base.row(path)?.seq ?? 0) >= seq) return false
    if (said.entry === undefined || said.print === undefined) base.remove([path])
    else base.put([{ path, seq, entry: said.entry, print: said.print }])
    base.dropIncoming(path, seq)
    this.#state.changes.delete(path)
    // It may have been changed since, back to what the base said before, or to something else.
    this.#local.lookAgain(path)
    return true
  }
}
