// A journal in memory: enough of one to plan commits against.

import type { StampedHead } from '../../lib/core/arbitrate.ts'
import type { CommitView } from '../../lib/core/commit-draft.ts'
import type { CommitPlan } from '../../lib/core/commit-plan.ts'
import { planCommit } from '../../lib/core/commit-plan.ts'
import type { MovePlan } from '../../lib/core/tree-move.ts'
import { planTreeMove } from '../../lib/core/tree-move.ts'
import type { DirPath, RelPath } from '../../lib/model/path.ts'
import { isBelow, rebase } from '../../lib/model/path.ts'
import type { Collision, Proposal, Revision, Seq, Stamp, TreeMove } from '../../lib/model/revision.ts'

export class MemoryJournal implements CommitView {
  readonly revisions: Revision[] = []
  readonly collisions: Collision[] = []
  readonly heads = new Map<RelPath, StampedHead>()
  readonly #byPath = new Map<RelPath, Revision[]>()

  /** Plans the commit of a peer's batch and carries it out. */
  commit(
    { peer, nowMs, conflict = 'latest' }: { peer: string; nowMs: number; conflict?: 'latest' | 'keep-both' },
    proposals: readonly Proposal[],
  ): CommitPlan {
    const plan = planCommit(this, { peer, nowMs, conflict, nextSeq: this.revisions.length + 1 }, proposals)
    for (const revision of plan.revisions) this.#record(revision)
    this.collisions.push(...plan.collisions)
    return plan
  }

  /** Plans the move of a directory and carries it out. */
  move({ peer, nowMs }: { peer: string; nowMs: number }, move: TreeMove): MovePlan {
    const plan = planTreeMove(this, { peer, nowMs, nextSeq: this.revisions.length + 1 }, move)
    if (plan.revision !== undefined) this.#recordMove(plan.revision, move)
    return plan
  }

  head(path: RelPath): StampedHead | undefined {
    return this.heads.get(path)
  }

  *liveBelow(dir: DirPath): Iterable<StampedHead> {
    for (const head of this.heads.values()) if (head.entry !== undefined && isBelow(dir, head.path)) yield head
  }

  revisionsAfter(path: RelPath, seq: Seq): readonly Revision[] {
    return (this.#byPath.get(path) ?? []).filter((revision) => revision.seq > seq)
  }

  stampOf(seq: Seq): Stamp | undefined {
    return this.revisions[seq - 1]?.stamp
  }

  #record(revision: Revision): void {
    const { path, seq, entry, stamp } = revision
    if (seq !== this.revisions.length + 1) throw new Error(`Cannot record revision ${seq}: numbers must be consecutive`)
    this.revisions.push(revision)
    this.#note(revision)
    if (!revision.loser) this.heads.set(path, { path, seq, entry, stamp })
  }

  /** One revision; what it means to each path below is in their histories, and heads keep the stamps of who wrote them. */
  #recordMove(revision: Revision, { from, to }: TreeMove): void {
    const { seq, stamp } = revision
    const below = [...this.liveBelow(from)]
    this.#record(revision)
    for (const path of [from, ...below.map((one) => one.path)]) {
      const gone = { seq, path, what: 'delete', entry: undefined, stamp, loser: false } as const
      this.#note(gone)
      this.heads.set(path, { path, seq, entry: undefined, stamp })
    }
    for (const one of below) {
      const path = rebase(one.path, from, to)
      this.#note({ seq, path, what: 'move', entry: one.entry, stamp, loser: false, from: one.path })
      this.heads.set(path, { ...one, path, seq, origin: one.origin ?? one.seq })
    }
  }

  #note(revision: Revision): void {
    this.#byPath.set(revision.path, [...(this.#byPath.get(revision.path) ?? []), revision])
  }
}
