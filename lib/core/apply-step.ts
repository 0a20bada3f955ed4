// Apply steps: what a plan of bringing heads to the disk is made of.

import type { Digest } from '../model/digest.ts'
import type { DirEntry, FileEntry, LinkEntry } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import type { Head } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'

/** The permissions that its owner needs to change what is in a directory. */
export const OWNER_ENTERS = 0o300

/**
 * A head that is to be brought to the disk. `base`: what stands there now, all of it known to the coordinator; `undefined`: nothing.
 * At first contact with equal content the caller makes a row up from what it sees there.
 */
export interface ApplyItem {
  readonly head: Head
  readonly base: BaseRow | undefined
}

/** What the base knows besides the items. */
export interface Holdings {
  /** Local files that hold a content. */
  heldBy(sha256: Digest): readonly BaseRow[]
  /** How many paths the base knows below a directory. */
  countBelow(dir: RelPath): number
}

/** Where the bytes of a file come from: the coordinator, a local file, or nowhere as there are none. */
export type Content =
  { readonly from: 'fetch' } | { readonly from: 'copy'; readonly row: BaseRow } | { readonly from: 'empty' }

/** What moved: `base` stands at `base.path`, whose head is `gone`; it is to stand at `head.path`. */
export interface MovedItem {
  readonly head: Head
  readonly base: BaseRow
  readonly gone: Head
}

/**
 * One change of the disk. `base`: what is expected at `head.path` (for moves: where it comes from); `undefined`: nothing.
 * `remove` with a live head only makes room for the step that follows. `meta` without a base sets the mode of a directory that an
 * earlier step made. `move-dir` renames a directory with all its members, whose entries are equal on both sides.
 * `forget`: nothing stands there already.
 */
export type ApplyStep =
  | { readonly do: 'remove'; readonly head: Head; readonly base: BaseRow }
  | { readonly do: 'make-dir'; readonly head: Head; readonly base: undefined; readonly entry: DirEntry }
  | {
      readonly do: 'write'
      readonly head: Head
      readonly base: BaseRow | undefined
      readonly entry: FileEntry
      readonly content: Content
    }
  | { readonly do: 'link'; readonly head: Head; readonly base: BaseRow | undefined; readonly entry: LinkEntry }
  | {
      readonly do: 'meta'
      readonly head: Head
      readonly base: BaseRow | undefined
      readonly entry: FileEntry | DirEntry
    }
  | ({ readonly do: 'move'; readonly entry: FileEntry } & MovedItem)
  | ({ readonly do: 'move-dir'; readonly entry: DirEntry; readonly members: readonly MovedItem[] } & MovedItem)
  | { readonly do: 'forget'; readonly head: Head; readonly base: undefined }

/** Steps in stages: a stage begins when the one before is done; within it the order is free. */
export interface ApplyPlan {
  readonly stages: readonly (readonly ApplyStep[])[]
}
