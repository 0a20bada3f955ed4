// Moves a tree in the journal: all heads below a directory get another path and the Seq of the move; tombstones stay behind.

import type { RelPath } from '../model/path.ts'
import type { Revision } from '../model/revision.ts'
import { deepRange } from './below.ts'
import { pathValues } from './columns.ts'
import type { Database } from './database.ts'

/** Moves what lives below `from` to below `path`, where nothing lives. The head of the directory itself is the caller's to set. */
export function moveBelow(db: Database, { seq, path, stamp }: Revision, from: RelPath, nowMs: number): void {
  const { timeMs, peer } = stamp
  const to = deepRange(path)
  const old = deepRange(from)
  db.run(SUPERSEDE, nowMs, ...pathValues(from))
  // Of tombstones only those give way whose place is taken: others may still have to be told of the rest.
  db.run(SUPERSEDE_CHILDREN, nowMs, path, from)
  db.run(SUPERSEDE_DEEP, nowMs, ...to, from, path)
  db.run(MOVE_CHILDREN, path, seq, from)
  db.run(MOVE_DEEP, path, from, seq, ...old)
  db.run(BURY_CHILDREN, from, seq, timeMs, peer, path, seq)
  db.run(BURY_DEEP, from, path, seq, timeMs, peer, ...to, seq)
  db.run(PUT_BURIED, ...pathValues(from), seq, timeMs, peer)
}

const SUPERSEDE = `UPDATE revisions SET superseded_ms = ?
  WHERE seq = (SELECT coalesce(prior_seq, seq) FROM heads WHERE parent = ? AND name = ?)`
const SUPERSEDE_BURIED = `UPDATE revisions SET superseded_ms = ?
  WHERE seq IN (SELECT coalesce(prior_seq, seq) FROM heads AS buried WHERE kind IS NULL`
const SUPERSEDE_CHILDREN = `${SUPERSEDE_BURIED} AND parent = ? AND EXISTS (SELECT 1 FROM heads AS moved
  WHERE moved.parent = ? AND moved.name = buried.name AND moved.kind IS NOT NULL))`
const SUPERSEDE_DEEP = `${SUPERSEDE_BURIED} AND parent >= ? AND parent < ? AND EXISTS (SELECT 1 FROM heads AS moved
  WHERE moved.parent = ? || substr(buried.parent, length(?) + 1) AND moved.name = buried.name AND moved.kind IS NOT NULL))`
const MOVE_CHILDREN = `UPDATE OR REPLACE heads SET parent = ?, prior_seq = coalesce(prior_seq, seq), seq = ?
  WHERE parent = ? AND kind IS NOT NULL`
const MOVE_DEEP = `UPDATE OR REPLACE heads
  SET parent = ? || substr(parent, length(?) + 1), prior_seq = coalesce(prior_seq, seq), seq = ?
  WHERE parent >= ? AND parent < ? AND kind IS NOT NULL`
const BURIED = 'INSERT OR REPLACE INTO heads (parent, name, seq, prior_seq, time_ms, peer)'
const BURY_CHILDREN = `${BURIED} SELECT ?, name, ?, 0, ?, ? FROM heads WHERE parent = ? AND seq = ?`
const BURY_DEEP = `${BURIED} SELECT ? || substr(parent, length(?) + 1), name, ?, 0, ?, ?
  FROM heads WHERE parent >= ? AND parent < ? AND seq = ?`
const PUT_BURIED = `${BURIED} VALUES (?, ?, ?, 0, ?, ?)`
