// Revisions: committed states of paths, and the proposals that ask for one.

import type { Entry } from './entry.ts'
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
  /** For `what: 'move'`: where it came from. */
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
