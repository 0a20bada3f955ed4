// Tombstones of a journal: removed when everyone has passed them; and up to where that was done, for who turns out not to have.

import type { Seq } from '../model/revision.ts'
import { number } from './columns.ts'
import type { Database } from './database.ts'

/** Removes tombstones up to Seq `upTo`; their revisions stay, superseded. Says how many. Whoever calls sees to the transaction. */
export function pruneTombstones(db: Database, upTo: Seq): number {
  db.run(NOTE, upTo)
  db.run(SUPERSEDE, upTo)
  return db.run('DELETE FROM heads WHERE kind IS NULL AND seq <= ?', upTo)
}

/** The newest tombstone that was ever removed; 0 at first. */
export function newestPruned(db: Database): Seq {
  return db.get((row) => number(row, 'value'), "SELECT value FROM meta WHERE key = 'pruned'") ?? 0
}

const NOTE = `INSERT OR REPLACE INTO meta (key, value)
  SELECT 'pruned', max(seq) FROM heads WHERE kind IS NULL AND seq <= ? HAVING count(*) > 0`
const SUPERSEDE = `UPDATE revisions SET superseded_ms = time_ms
  WHERE seq IN (SELECT coalesce(prior_seq, seq) FROM heads WHERE kind IS NULL AND seq <= ?)`
