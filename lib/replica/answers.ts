// Answers: what a replica proposed, and the answer to which was lost, with the link, with the process or by itself, is heard of from the heads.

import { answered, bySaidPath, saidOfMove } from '../core/unheard.ts'
import type { PlacedHead } from '../model/content.ts'
import type { RelPath } from '../model/path.ts'
import type { Said, SaidMove } from '../model/snapshot.ts'
import type { NotedSaying } from '../store/unheard.ts'
import type { FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'

export class Answers {
  readonly #state: FolderState
  readonly #local: LocalSide
  /** What was said in each batch that waits, by its number, oldest first. */
  readonly #waiting = new Map<number, ReadonlyMap<RelPath, readonly Said[]>>()

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
  }

  /** The batches whose answers are looked for among the heads. */
  get waiting(): readonly number[] {
    return [...this.#waiting.keys()]
  }

  /** A link begins: what waits for an answer now will never get it on this one. */
  begin(): void {
    this.#waiting.clear()
    this.#await(this.#state.parts.base.unheard.all())
  }

  /** The batch will never get its answer, though the link lives. */
  lost(id: number): void {
    const saying = this.#state.parts.base.unheard.find(id)
    if (saying !== undefined) this.#await([saying])
  }

  /** Takes out the heads that are answers: they are agreed on, as of when they were proposed. Whoever calls sees to the transaction. */
  hear(heads: readonly PlacedHead[]): readonly PlacedHead[] {
    return this.#waiting.size === 0 ? heads : heads.filter((placed) => !this.#hearOne(placed))
  }

  /** All heads up to now were told since these batches waited: what none of them answered was not taken, or others went on from it. */
  end(ids: readonly number[]): void {
    if (ids.length === 0) return
    const { base } = this.#state.parts
    base.transaction(() => {
      for (const id of ids) base.unheard.heard(id)
    })
    for (const id of ids) this.#waiting.delete(id)
  }

  #await(sayings: readonly NotedSaying[]): void {
    const { base } = this.#state.parts
    const paths: RelPath[] = []
    for (const { id, said, moves } of sayings) {
      const byPath = bySaidPath([...said, ...moves.flatMap((move) => this.#saidOf(move))])
      this.#waiting.set(id, byPath)
      paths.push(...byPath.keys())
    }
    // A head may have come before its answer would have.
    base.transaction(() => this.hear([...base.incomings(paths).values()]))
  }

  #saidOf(move: SaidMove): Said[] {
    const { base } = this.#state.parts
    const top = base.row(move.from)
    return [...saidOfMove(move, [...(top === undefined ? [] : [top]), ...base.below(move.from)])]
  }

  #hearOne({ head }: PlacedHead): boolean {
    const { path, seq } = head
    const said = answered(
      head,
      [...this.#waiting.values()].flatMap((byPath) => byPath.get(path) ?? []),
    )
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
