// Heads: what is asked of the journal's heads by path, one at a time or many at once.

import type { DirPath, RelPath } from '../model/path.ts'
import { ROOT } from '../model/path.ts'
import { deepRange } from './below.ts'
import { pathValues, text } from './columns.ts'
import type { Database } from './database.ts'
import type { Value } from './engine.ts'
import { HEAD_FIELDS, readStampedHead } from './journal-rows.ts'
import type { StampedHead } from './journal-rows.ts'
import { many, readMany } from './many.ts'

/** The head of `path`; a tombstone too, while it is kept. */
export function headOf(db: Database, path: RelPath): StampedHead | undefined {
  return db.get(readStampedHead, HEAD, ...pathValues(path))
}

/** The heads of those of `paths` that have one. */
export function headsOf(db: Database, paths: Iterable<RelPath>): Map<RelPath, StampedHead> {
  const found = readMany(db, HEADS, Array.from(paths, pathValues), readStampedHead)
  return new Map(found.map((head) => [head.path, head]))
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
