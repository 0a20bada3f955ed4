// Heads: what is asked of the journal's heads, by path, one at a time or many at once, or page by page in the order of their Seq.

import type { HeadPlace, PlacedHead } from '../model/content.ts'
import type { DirPath, RelPath } from '../model/path.ts'
import { ROOT } from '../model/path.ts'
import type { Seq } from '../model/revision.ts'
import { deepRange } from './below.ts'
import { number, pathValues, text } from './columns.ts'
import type { Database } from './database.ts'
import type { Value } from './engine.ts'
import { HEAD_FIELDS, PLACED, PLACED_FIELDS, readPlacedHead, readStampedHead } from './journal-rows.ts'
import type { StampedHead } from './journal-rows.ts'
import { many, readMany } from './many.ts'

/**
 * Heads in the order of their Seq. `upTo`: with those of the pages before they are all there is up to this Seq. `more`: there is more after it.
 * `rest`: the page ended among heads of one Seq, and goes on after that place.
 */
export interface HeadPage {
  readonly heads: PlacedHead[]
  readonly upTo: Seq
  readonly more: boolean
  readonly rest?: HeadPlace
}

/** The head of `path`; a tombstone too, while it is kept. */
export function headOf(db: Database, path: RelPath): StampedHead | undefined {
  return db.get(readStampedHead, HEAD, ...pathValues(path))
}

/** The heads of those of `paths` that have one. */
export function headsOf(db: Database, paths: Iterable<RelPath>): Map<RelPath, StampedHead> {
  const found = readMany(db, HEADS, Array.from(paths, pathValues), readStampedHead)
  return new Map(found.map((head) => [head.path, head]))
}

/**
 * The next `limit` heads after `since`: a Seq, or a place among the many heads of one move. Tombstones are left out when `live`, or since 0
 * (who knows nothing has nothing to remove). `newest`: the newest Seq.
 */
export function headsAfter(
  db: Database,
  since: Seq | HeadPlace,
  { limit, live, newest }: { readonly limit: number; readonly live: boolean; readonly newest: Seq },
): HeadPage {
  const kept = live || since === 0 ? 'AND kind IS NOT NULL' : ''
  const [after, values] = typeof since === 'number' ? ['seq > ?', [since]] : [AFTER_PLACE, orderValues(since)]
  const sql = `SELECT ${PLACED_FIELDS} FROM ${PLACED} WHERE ${after} ${kept} ORDER BY seq, parent, name LIMIT ?`
  const heads = db.all(readPlacedHead, sql, ...values, limit)
  const last = heads.at(-1)?.head
  if (last === undefined || heads.length < limit) return { heads, upTo: newest, more: false }
  const rest = { seq: last.seq, path: last.path }
  const next = `SELECT seq FROM heads WHERE ${AFTER_PLACE} ${kept} ORDER BY seq, parent, name LIMIT 1`
  const seq = db.get((row) => number(row, 'seq'), next, ...orderValues(rest))
  if (seq === undefined) return { heads, upTo: newest, more: false }
  return seq === rest.seq ? { heads, upTo: seq - 1, more: true, rest } : { heads, upTo: rest.seq, more: true }
}

/** Whether anything lives below `dir`. */
export function hasLiveBelow(db: Database, dir: DirPath): boolean {
  const lives = (sql: string, values: readonly Value[]): boolean => db.get(() => true, sql, ...values) ?? false
  if (dir === ROOT) return lives(LIVES, [])
  return lives(LIVES_IN, [dir]) || lives(LIVES_DEEPER, deepRange(dir))
}

/** Those of `dirs` that anything lives below. */
export function withLiveBelow(db: Database, dirs: Iterable<RelPath>): Set<RelPath> {
  const keys = Array.from(dirs, (dir) => [dir])
  return new Set(readMany(db, WITH_LIVE_BELOW, keys, (row) => text(row, 'dir') as RelPath))
}

const AFTER_PLACE = '(seq, parent, name) > (?, ?, ?)'
const HEAD = `SELECT ${HEAD_FIELDS} FROM heads WHERE parent = ? AND name = ?`
const HEADS = many('(?, ?)', (keys) => `SELECT ${HEAD_FIELDS} FROM heads WHERE (parent, name) IN ${keys}`)
const LIVES = 'SELECT 1 AS one FROM heads WHERE kind IS NOT NULL LIMIT 1'
const LIVES_IN = 'SELECT 1 AS one FROM heads WHERE parent = ? AND kind IS NOT NULL LIMIT 1'
const LIVES_DEEPER = 'SELECT 1 AS one FROM heads WHERE parent >= ? AND parent < ? AND kind IS NOT NULL LIMIT 1'
const WITH_LIVE_BELOW = many(
  '(?)',
  (keys) => `WITH dirs (dir) AS ${keys} SELECT dir FROM dirs
    WHERE EXISTS (SELECT 1 FROM heads WHERE parent = dir AND kind IS NOT NULL)
    OR EXISTS (SELECT 1 FROM heads WHERE parent >= dir || '/' AND parent < dir || '0' AND kind IS NOT NULL)`,
)

function orderValues({ seq, path }: HeadPlace): readonly Value[] {
  return [seq, ...pathValues(path)]
}
