// Moves whole directories: whether the coordinator takes one as one revision, and what it means to a peer that is told of it.

import type { DirEntry, Entry } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { ancestorsOf, isBelow, isPathLength, rebase } from '../model/path.ts'
import type { Head, MovedTree, Outcome, Revision, Seq, TreeMove } from '../model/revision.ts'
import type { CommitView } from './commit-draft.ts'
import { clampWriteTime } from './stamp.ts'
import { sameMark, treeMark } from './tree-mark.ts'

/** `nextSeq`: the number of the new revision. */
export interface MoveContext {
  readonly peer: string
  readonly nowMs: number
  readonly nextSeq: Seq
}

type TreeView = Pick<CommitView, 'head' | 'liveBelow'>

/** A move that is taken, as a revision and as others are told of it; or why it is not. */
export type MovePlan =
  | { readonly revision: Revision; readonly moved: MovedTree; readonly outcome: Extract<Outcome, { kind: 'accepted' }> }
  | { readonly revision: undefined; readonly moved: undefined; readonly outcome: Extract<Outcome, { kind: 'refused' }> }

/**
 * Plans the move of a directory. It is taken only when the proposer knows all that lives there, and nothing lives where it goes: then it
 * can collide with nothing. Whoever is refused with 409 proposes path by path, and what collides is settled there.
 */
export function planTreeMove(view: TreeView, { peer, nowMs, nextSeq }: MoveContext, move: TreeMove): MovePlan {
  const { from, to, base, mark } = move
  if (from === to || isBelow(from, to) || isBelow(to, from))
    return refused(400, 'a directory cannot be moved into itself')
  const head = view.head(from)
  if (head?.entry?.kind !== 'dir' || head.seq !== base) return refused(409, 'the directory is another by now')
  if (view.head(to)?.entry !== undefined || livesBelow(view, to))
    return refused(409, 'something lives where it is to go')
  if (!ancestorsOf(to).every((dir) => view.head(dir)?.entry?.kind === 'dir')) {
    return refused(409, 'no directory lives where it is to go')
  }
  const below = [...view.liveBelow(from)]
  const found = treeMark(from, below)
  if (!sameMark(found, mark)) return refused(409, 'other things live in the directory by now')
  if (!below.every(({ path }) => isPathLength(rebase(path, from, to)))) {
    return refused(409, 'a path would be too long')
  }
  const stamp = { timeMs: clampWriteTime(move.writtenAtMs, { afterMs: head.stamp.timeMs, nowMs }), peer }
  const { entry } = head
  return {
    revision: { seq: nextSeq, path: to, what: 'move', entry, stamp, loser: false, from },
    moved: { from, to, seq: nextSeq, entry, mark: found },
    outcome: { kind: 'accepted', seq: nextSeq },
  }
}

function refused(status: 400 | 409, reason: string): MovePlan {
  return { revision: undefined, moved: undefined, outcome: { kind: 'refused', status, reason } }
}

function livesBelow(view: TreeView, dir: RelPath): boolean {
  for (const head of view.liveBelow(dir)) return head.entry !== undefined
  return false
}

/** The heads that a moved directory leaves, where `entry` of each path in `below` is known: those that live, then the tombstones. */
export function* headsOfMove(
  { from, to, seq, entry }: { from: RelPath; to: RelPath; seq: Seq; entry: DirEntry },
  below: Iterable<{ readonly path: RelPath; readonly entry: Entry }>,
): Iterable<Head> {
  yield { path: to, seq, entry }
  yield { path: from, seq, entry: undefined }
  for (const one of below) {
    yield { path: rebase(one.path, from, to), seq, entry: one.entry }
    yield { path: one.path, seq, entry: undefined }
  }
}
