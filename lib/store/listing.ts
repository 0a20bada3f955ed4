// Listing: the paths that a hub has told of in one go, to find what is agreed on and was not among them.

import type { RelPath } from '../model/path.ts'
import { pathValues, readPath } from './columns.ts'
import type { Database } from './database.ts'

/** A list kept for this connection alone; it begins empty, and goes with its disposal. Whoever calls sees to the transaction. */
export class Listing implements Disposable {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
    db.run(
      'CREATE TEMP TABLE IF NOT EXISTS listed (parent TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (parent, name)) WITHOUT ROWID',
    )
    db.run('DELETE FROM listed')
  }

  add(paths: readonly RelPath[]): void {
    this.#db.runAll('INSERT OR IGNORE INTO listed (parent, name) VALUES (?, ?)', paths.map(pathValues))
  }

  /** Up to `limit` paths of the base, after `after`, that were not listed. */
  missing(after: RelPath | undefined, limit: number): RelPath[] {
    const from = after === undefined ? (['', ''] as const) : pathValues(after)
    return this.#db.all(readPath, MISSING, ...from, limit)
  }

  [Symbol.dispose](): void {
    this.#db.run('DELETE FROM listed')
  }
}

const MISSING = `SELECT parent, name FROM base WHERE (parent, name) > (?, ?)
  AND NOT EXISTS (SELECT 1 FROM listed WHERE listed.parent = base.parent AND listed.name = base.name)
  ORDER BY parent, name LIMIT ?`
