// Revisions: committed states of paths, and the proposals that ask for one.

import type { DirEntry, Entry } from './entry.ts'
import type { RelPath } from './path.ts'

/** Number of a revision in its folder: 1, 2, 3…; 0 = none. */
export type Seq = number

/** When (milliseconds since 1970 on the coordinator's clock, fractions allowed) and who (a client's name, or `server`). */
export interface Stamp {
  readonly timeMs: number
  readonly peer: string
}

export type What = 'create' | 'update' | 'delete' | 'move'

/** A committed state of one path; no `entry` = a tombstone. A `loser` never was, and never becomes, the head. */
export interface Revision {
  readonly seq: Seq
  readonly path: RelPath
  readonly what: What
  readonly entry: Entry | undefined
  readonly stamp: Stamp
  readonly loser: boolean
  /** For `what: 'move'`: where it came from. A directory takes all along that lives below it; their heads get this Seq. */
  readonly from?: RelPath
}

/** The current revision of a path, as peers are told of it; no `entry` = a tombstone. */
export interface Head {
  readonly path: RelPath
  readonly seq: Seq
  readonly entry: Entry | undefined
}

/** A request to add a revision. `base`: Seq of the version that was edited, 0 = none. No `entry` = a delete. `writtenAtMs`: on the coordinator's clock. */
export interface Proposal {
  readonly path: RelPath
  readonly base: Seq
  readonly entry: Entry | undefined
  readonly writtenAtMs: number
}

/** What is believed to live below a directory: how many paths, and a hash over the relative path and Seq of each, whatever their order. */
export interface TreeMark {
  readonly count: number
  /** 16 hexadecimal digits. */
  readonly hash: string
}

/**
 * A request to rename the directory `from`, with all that lives below it, to `to`, as one revision. `base`: the directory's Seq; `mark`: what the
 * proposer believes to be below it.
 */
export interface TreeMove {
  readonly from: RelPath
  readonly to: RelPath
  readonly base: Seq
  readonly mark: TreeMark
  readonly writtenAtMs: number
}

/** A renamed directory, as peers are told of it: every head that lived below it, as `mark` says, has the Seq of the move now. */
export interface MovedTree {
  readonly from: RelPath
  readonly to: RelPath
  readonly seq: Seq
  readonly entry: DirEntry
  readonly mark: TreeMark
}

/**
 * What became of a proposal.
 * `accepted`: it is the head now, as `seq`. `duplicate`: the coordinator has it already as `seq` (head or not).
 * `superseded`: it lost; it is kept as losing revision `seq`; the head comes with the changes.
 * `need`: its content is not held here; send it. `refused`: never; `reason` says why.
 */
export type Outcome =
  | { readonly kind: 'accepted'; readonly seq: Seq }
  | { readonly kind: 'duplicate'; readonly seq: Seq }
  | { readonly kind: 'superseded'; readonly seq: Seq }
  | { readonly kind: 'need' }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string }

/** A collision as it is recorded. Both revisions are in history. */
export interface Collision {
  readonly path: RelPath
  readonly timeMs: number
  readonly winner: { readonly peer: string; readonly rev: Seq }
  readonly loser: { readonly peer: string; readonly rev: Seq }
}
