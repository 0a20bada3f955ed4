// Arbitrates: what a proposal does to the head of its path. The one place that picks a winner.

import type { Entry } from '../model/entry.ts'
import { sameContent, sameEntry } from '../model/entry.ts'
import type { Head, Proposal, Seq, Stamp } from '../model/revision.ts'
import { compareStamps } from './stamp.ts'

/** A head, with when and by whom it was written. `origin`: the revision that wrote it, when a move of a directory gave it another Seq since. */
export type StampedHead = Head & { readonly stamp: Stamp; readonly origin?: Seq }

/** What is known of a proposal besides its own words. */
export interface Circumstances {
  /** Who proposes, and when it was written, already clamped. */
  readonly stamp: Stamp
  /** Every revision of the path since the base is the proposer's own: it has only missed the answer. */
  readonly alone: boolean
  /** The entry of the base revision, when that is known. */
  readonly baseEntry: Entry | undefined
}

/**
 * `advance`: the proposal is the new head. `duplicate`: the head is this already. `overridden`: a delete that met an edit; the head stays.
 * `metadata`: one side changed no content; the winner is the head, no collision. `conflict`: a collision; the loser goes to history.
 */
export type Verdict =
  | { readonly kind: 'advance' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'overridden' }
  | { readonly kind: 'metadata'; readonly winner: 'head' | 'proposal' }
  | { readonly kind: 'conflict'; readonly winner: 'head' | 'proposal' }

/** Decides what `proposal` does to `head`. Loses nothing: whoever loses stays in history. */
export function arbitrate(
  head: StampedHead | undefined,
  proposal: Proposal,
  { stamp, alone, baseEntry }: Circumstances,
): Verdict {
  const { entry } = proposal
  if (sameEntry(head?.entry, entry)) return { kind: 'duplicate' }
  if (head === undefined || head.seq === proposal.base) return { kind: 'advance' }
  // The base is not the head. A tombstone gives way: an edit is never lost to a delete.
  if (head.entry === undefined) return { kind: 'advance' }
  const order = compareStamps(stamp, head.stamp)
  // An earlier write of the same peer may arrive after a later one, so its own revisions too are not followed by earlier writes.
  if (alone && order >= 0) return { kind: 'advance' }
  if (entry === undefined) return { kind: 'overridden' }
  const winner = order > 0 ? 'proposal' : 'head'
  if (sameContent(head.entry, entry)) return { kind: 'metadata', winner }
  // Contents differ. When only one side changed it since the base, that side is the edit.
  if (sameContent(entry, baseEntry)) return { kind: 'metadata', winner: 'head' }
  if (sameContent(head.entry, baseEntry)) return { kind: 'metadata', winner: 'proposal' }
  return alone ? { kind: 'metadata', winner } : { kind: 'conflict', winner }
}
