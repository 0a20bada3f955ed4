// Diffs the disk against the base: what one directory's listing changes.

import { samePrint } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { joinPath, nameOf } from '../model/path.ts'
import type { BaseRow, Change, Listing, Seen } from '../model/snapshot.ts'

/** Whether the rules of the folder leave a path out. */
export type Ignored = (path: RelPath, isDir: boolean) => boolean

/**
 * `goneDirs`: directories of the base that are no directories any more: all of the base below them is gone too.
 * `newDirs`: directories that the base does not know as such: all below them is new.
 */
export interface ListingDiff {
  readonly changes: readonly Change[]
  readonly goneDirs: readonly RelPath[]
  readonly newDirs: readonly RelPath[]
}

/** Compares the base's children of `listing.dir` with the listing. A directory that is missing is reported by its parent's listing. */
export function diffListing(rows: Iterable<BaseRow>, listing: Listing, ignored: Ignored): ListingDiff {
  const changes: Change[] = []
  const goneDirs: RelPath[] = []
  const newDirs: RelPath[] = []
  if (listing.state !== 'read') return { changes, goneDirs, newDirs }
  const unknown = new Set(listing.unknown)
  const unmatched = new Map<string, Seen>()
  for (const seen of listing.seen) if (!unknown.has(seen.name)) unmatched.set(seen.name, seen)
  for (const row of rows) {
    const name = nameOf(row.path)
    const seen = unmatched.get(name)
    unmatched.delete(name)
    if (unknown.has(name) || ignored(row.path, row.entry.kind === 'dir')) continue
    const change = diffSeen(row.path, row, seen)
    if (change === undefined) continue
    changes.push(change)
    if (row.entry.kind === 'dir' && seen?.print.kind !== 'dir') goneDirs.push(row.path)
    if (row.entry.kind !== 'dir' && seen?.print.kind === 'dir') newDirs.push(row.path)
  }
  for (const seen of unmatched.values()) {
    const path = joinPath(listing.dir, seen.name)
    changes.push(putOf(path, undefined, seen))
    if (seen.print.kind === 'dir') newDirs.push(path)
  }
  return { changes, goneDirs, newDirs }
}

/** Compares one path with the base; `undefined` when nothing has touched it. */
export function diffSeen(path: RelPath, row: BaseRow | undefined, seen: Seen | undefined): Change | undefined {
  if (seen === undefined) return row === undefined ? undefined : { kind: 'gone', path, base: row }
  if (row !== undefined && samePrint(row.print, seen.print)) return undefined
  return putOf(path, row, seen)
}

function putOf(path: RelPath, base: BaseRow | undefined, { print, target }: Seen): Change {
  return { kind: 'put', path, print, ...(target === undefined ? {} : { target }), base }
}
