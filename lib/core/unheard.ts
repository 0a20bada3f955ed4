// What a replica said and never heard the answer to: how heads that come later answer it after all.

import { sameEntry } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { rebase } from '../model/path.ts'
import type { Head } from '../model/revision.ts'
import type { BaseRow, Said, SaidMove } from '../model/snapshot.ts'

/**
 * What stood at the head's path when it was said: a proposal whose answer was lost. Then both sides held the same, and that is what they agreed on
 * last, whatever the disk holds by now: what was changed back since is a change. `undefined`: the head is news.
 */
export function answered(head: Head, said: readonly Said[] | undefined): Said | undefined {
  return said?.findLast((one) => sameEntry(one.entry, head.entry))
}

/** What the move of a directory says of each path; `rows`: what the base knew of it and of all in it, and knows still. */
export function* saidOfMove({ from, to, print }: SaidMove, rows: Iterable<BaseRow>): Iterable<Said> {
  for (const row of rows) {
    // A move says nothing of another mode: that of the directory is what was agreed, until it is proposed too.
    const isTop = row.path === from && row.print.mode === print.mode
    yield { path: rebase(row.path, from, to), entry: row.entry, print: isTop ? print : row.print }
    yield { path: row.path, entry: undefined, print: undefined }
  }
}

/** What was said of each path, in the order it was said. */
export function bySaidPath(all: Iterable<Said>): Map<RelPath, Said[]> {
  const byPath = new Map<RelPath, Said[]>()
  for (const one of all) {
    const same = byPath.get(one.path)
    if (same === undefined) byPath.set(one.path, [one])
    else same.push(one)
  }
  return byPath
}
