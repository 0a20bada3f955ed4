// Snapshots: what one scan saw in one directory, and what the two sides agreed on there.

import type { Entry, Fingerprint } from './entry.ts'
import type { DirPath, RelPath } from './path.ts'
import type { Problem } from './problem.ts'
import type { Seq } from './revision.ts'

/** One name in a directory as `lstat` saw it; `target` for links only. */
export interface Seen {
  readonly name: string
  readonly print: Fingerprint
  readonly target?: string
}

/**
 * What a scan saw in the directory `dir`. Ignored names, `.systemsync` and names that are not UTF-8 are not in `seen`.
 * `missing`: there is no directory at `dir` (gone, or something else stands there). `unreadable`: nothing is known of its children.
 * `unknown`: names that are there but could not be looked at (each has a problem too): they are neither changed nor gone.
 */
export interface Listing {
  readonly dir: DirPath
  readonly state: 'read' | 'missing' | 'unreadable'
  readonly seen: readonly Seen[]
  readonly unknown: readonly string[]
  readonly problems: readonly Problem[]
}

/**
 * What this replica and the coordinator last agreed on at one path: the entry, its revision, and the fingerprint of the local copy.
 * `seq` may name a losing revision: then the coordinator holds this content in history and the head is something else.
 */
export interface BaseRow {
  readonly path: RelPath
  readonly seq: Seq
  readonly entry: Entry
  readonly print: Fingerprint
}

/** What stood at a path when it was proposed: no `entry` and no `print` = nothing, a delete. */
export interface Said {
  readonly path: RelPath
  readonly entry: Entry | undefined
  readonly print: Fingerprint | undefined
}

/** A directory whose move was proposed, as it stood at `to`. */
export interface SaidMove {
  readonly from: RelPath
  readonly to: RelPath
  readonly print: Fingerprint
}

/** A path where the disk differs from the base. `put`: something new or other stands there. `gone`: nothing stands there any more. */
export type Change =
  | {
      readonly kind: 'put'
      readonly path: RelPath
      readonly print: Fingerprint
      readonly target?: string
      readonly base: BaseRow | undefined
    }
  | { readonly kind: 'gone'; readonly path: RelPath; readonly base: BaseRow }
