// Lineage: what happened to a path when a directory above it was moved. Such a move is one revision, of the directory; what it meant to each
// path below is told from the revisions of that path and of where it came from.

import type { Entry } from '../model/entry.ts'
import { ancestorsOf, rebase, type RelPath } from '../model/path.ts'
import type { Revision, Seq } from '../model/revision.ts'
import { number } from './columns.ts'
import type { Database } from './database.ts'
import { readRevision, REVISIONS } from './journal-rows.ts'

/** A move of a directory, as it concerns one path: away from it, or to it from `from`. */
interface Passage {
  readonly move: Revision
  readonly from: RelPath | undefined
}

/** The revisions of `path` itself after `seq`, oldest first. */
export function revisionsIn(db: Database, path: RelPath, seq: Seq): Revision[] {
  return db.all(readRevision, OWN_AFTER, path, seq)
}

/** The revisions of `path` after `seq`, oldest first: its own, and those that a move of a directory above it made. */
export function revisionsAt(db: Database, path: RelPath, seq: Seq): Revision[] {
  const own = revisionsIn(db, path, seq)
  const passages = passagesOf(db, path).filter(({ move }) => move.seq > seq)
  if (passages.length === 0) return own
  const made = passages.flatMap((passage) => revisionOf(db, path, passage) ?? [])
  return [...own, ...made].sort((a, b) => a.seq - b.seq)
}

/** The revisions of `path`, and of the paths it stood at before directories were moved, as long as it stood there; oldest first. */
export function versionsOf(db: Database, path: RelPath): Revision[] {
  const found = new Map<Seq, Revision>()
  let before = Infinity
  for (let at: RelPath | undefined = path; at !== undefined;) {
    const here = revisionsAt(db, at, 0).filter((revision) => revision.seq < before)
    for (const revision of here) if (found.get(revision.seq)?.entry === undefined) found.set(revision.seq, revision)
    const arrival: Passage | undefined = passagesOf(db, at).findLast(
      ({ move, from }) => move.seq < before && from !== undefined,
    )
    at = arrival?.from
    before = arrival?.move.seq ?? 0
  }
  return [...found.values()].sort((a, b) => a.seq - b.seq)
}

/** Whether any directory was moved, as far as is known. */
export function hasMoves(db: Database): boolean {
  return db.get(() => true, `SELECT 1 AS one FROM revisions WHERE ${MOVED_DIR} LIMIT 1`) ?? false
}

/** How many revisions followed the one of `path` with `seq`, there or where a directory above took it; counted to `most`. */
export function followersOf(db: Database, path: RelPath, seq: Seq, most: number): number {
  const leaving = passagesOf(db, path).find(({ move, from }) => move.seq > seq && from === undefined)
  const here = db.get((row) => number(row, 'later'), COUNT_LATER, path, seq, leaving?.move.seq ?? null, most) ?? 0
  if (here >= most || leaving?.move.from === undefined) return here
  const to = rebase(path, leaving.move.from, leaving.move.path)
  return here + followersOf(db, to, leaving.move.seq, most - here)
}

/** What the move did at `path`; `undefined` when nothing lived where it came from, or nothing is known of it any more. */
function revisionOf(db: Database, path: RelPath, { move, from }: Passage): Revision | undefined {
  const { seq, stamp } = move
  const entry = entryBefore(db, from ?? path, seq)
  if (entry === undefined) return undefined
  if (from === undefined) return { seq, path, what: 'delete', entry: undefined, stamp, loser: false }
  return { seq, path, what: 'move', entry, stamp, loser: false, from }
}

/** What lived at `path` right before `seq`. */
function entryBefore(db: Database, path: RelPath, seq: Seq): Entry | undefined {
  const own = db.get(readRevision, NEWEST_BEFORE, path, seq)
  const passage = passagesOf(db, path).findLast(({ move }) => move.seq < seq)
  if (passage === undefined || (own !== undefined && own.seq >= passage.move.seq)) return own?.entry
  return passage.from === undefined ? undefined : entryBefore(db, passage.from, passage.move.seq)
}

/** Moves of directories above `path`, to it and away from it, and of the directory itself away from it; oldest first. */
function passagesOf(db: Database, path: RelPath): Passage[] {
  const passages: Passage[] = []
  for (const dir of ancestorsOf(path)) {
    for (const move of db.all(readRevision, ARRIVALS, dir)) {
      if (move.from !== undefined) passages.push({ move, from: rebase(path, dir, move.from) })
    }
  }
  for (const dir of [...ancestorsOf(path), path]) {
    for (const move of db.all(readRevision, DEPARTURES, dir)) passages.push({ move, from: undefined })
  }
  return passages.sort((a, b) => a.move.seq - b.move.seq)
}

const OWN_AFTER = `${REVISIONS} WHERE path = ? AND seq > ? ORDER BY seq`
const NEWEST_BEFORE = `${REVISIONS} WHERE path = ? AND seq < ? AND loser = 0 ORDER BY seq DESC LIMIT 1`
const MOVED_DIR = 'from_path IS NOT NULL AND kind = 2 AND loser = 0'
const ARRIVALS = `${REVISIONS} WHERE path = ? AND ${MOVED_DIR}`
const DEPARTURES = `${REVISIONS} WHERE from_path = ? AND ${MOVED_DIR}`
const COUNT_LATER = `SELECT count(*) AS later FROM
  (SELECT 1 FROM revisions WHERE path = ? AND seq > ? AND seq < coalesce(?, 9e18) LIMIT ?)`
