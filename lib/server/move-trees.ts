// Commits moves of whole directories: those whose proposer knows all that is moved.

import { planTreeMove } from '../core/tree-move.ts'
import type { MovedTree, TreeMove } from '../model/revision.ts'
import type { CommitReply } from '../replica/ports.ts'
import type { Journal } from '../store/journal.ts'

/** Plans each move on what the ones before have left, and makes those that are taken exist in one commit. */
export function moveTrees(
  journal: Journal,
  moves: readonly TreeMove[],
  by: { readonly peer: string; readonly nowMs: number },
): { readonly reply: CommitReply; readonly moved: readonly MovedTree[] } {
  const prev = journal.seq()
  const plans = journal.transaction(() =>
    moves.map((move) => {
      const plan = planTreeMove(journal, { ...by, nextSeq: journal.seq() + 1 }, move)
      if (plan.revision !== undefined) {
        journal.commit({ revisions: [plan.revision], collisions: [], contents: [], nowMs: by.nowMs })
      }
      return plan
    }),
  )
  const outcomes = plans.map(({ outcome }) => outcome)
  return {
    reply: { outcomes, heads: [], prev, upTo: journal.seq() },
    moved: plans.flatMap(({ moved }) => moved ?? []),
  }
}
