// Recipes of contents that this machine holds, and marks by which a content finds others that share a stretch with it.

import { CHUNKER_VERSION } from '../core/chunker.ts'
import { Recipe } from '../core/recipe.ts'
import { PACKED_MAX, PATCH_MAX } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import { digest, digestValue, number } from './columns.ts'
import { RowFault } from './database.ts'
import type { Database } from './database.ts'
import type { Row } from './engine.ts'

/** The tables `recipes` and `marks` of a base. */
export const RECIPE_TABLES = `
  CREATE TABLE recipes (id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, version INTEGER NOT NULL, chunks BLOB NOT NULL);
  CREATE TABLE marks (mark INTEGER NOT NULL, recipe INTEGER NOT NULL, PRIMARY KEY (mark, recipe)) WITHOUT ROWID;
  CREATE INDEX marks_recipe ON marks (recipe);
  CREATE INDEX base_large ON base (sha256) WHERE size > ${PACKED_MAX};`

/** So many marks are looked up at most. */
const LOOKUPS = 2000

/** Whoever calls sees to the transaction, unless told otherwise. */
export class Recipes {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  find(sha256: Digest): Recipe | undefined {
    const sql = 'SELECT chunks FROM recipes WHERE sha256 = ? AND version = ?'
    return this.#db.get((row) => new Recipe(blob(row, 'chunks')), sql, digestValue(sha256), CHUNKER_VERSION)
  }

  /** Keeps the recipe of a content in place of an earlier one. */
  put(sha256: Digest, recipe: Recipe): void {
    this.#drop(sha256)
    this.#db.run(
      'INSERT INTO recipes (sha256, version, chunks) VALUES (?, ?, ?)',
      digestValue(sha256),
      CHUNKER_VERSION,
      recipe.bytes,
    )
    const id = this.#idOf(sha256)
    if (id === undefined) return
    for (const mark of recipe.marks())
      this.#db.run('INSERT OR IGNORE INTO marks (mark, recipe) VALUES (?, ?)', mark, id)
  }

  /** Whether any content can be found by its marks. */
  hasMarks(): boolean {
    return this.#db.get(() => true, 'SELECT 1 AS one FROM marks LIMIT 1') ?? false
  }

  /**
   * Up to `limit` contents that have some of these marks and stand in a local file, those with most first. Of a content that no path has any more
   * the recipe may still be there; but whoever fetches what is made from it would lack it too.
   */
  marked(marks: readonly number[], limit: number): Digest[] {
    const hits = new Map<number, number>()
    for (const mark of marks.slice(0, LOOKUPS)) {
      const ids = this.#db.all((row) => number(row, 'recipe'), MARKED, mark)
      for (const id of ids) hits.set(id, (hits.get(id) ?? 0) + 1)
    }
    const best = [...hits].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, limit)
    const sql = 'SELECT sha256 FROM recipes WHERE id = ? AND version = ?'
    return best.flatMap(([id]) => this.#db.get((row) => digest(row, 'sha256'), sql, id, CHUNKER_VERSION) ?? [])
  }

  /** Forgets the recipes of contents that no path has any more, and those of another version. Says how many. */
  prune(): number {
    const sql = `SELECT sha256 FROM recipes
      WHERE version <> ? OR NOT EXISTS (SELECT 1 FROM base WHERE base.sha256 = recipes.sha256)`
    const gone = this.#db.all((row) => digest(row, 'sha256'), sql, CHUNKER_VERSION)
    for (const sha256 of gone) this.#drop(sha256)
    return gone.length
  }

  /** The first large content after `after` in digest order that has no recipe yet and can have one. */
  lacking(after: Digest | undefined): Digest | undefined {
    const sql = `SELECT sha256 FROM base WHERE size > ${PACKED_MAX} AND size <= ? AND sha256 > ?
      AND NOT EXISTS (SELECT 1 FROM recipes WHERE recipes.sha256 = base.sha256 AND version = ?) ORDER BY sha256 LIMIT 1`
    const from = after === undefined ? new Uint8Array(1) : digestValue(after)
    return this.#db.get((row) => digest(row, 'sha256'), sql, PATCH_MAX, from, CHUNKER_VERSION)
  }

  #drop(sha256: Digest): void {
    const id = this.#idOf(sha256)
    if (id === undefined) return
    this.#db.run('DELETE FROM marks WHERE recipe = ?', id)
    this.#db.run('DELETE FROM recipes WHERE id = ?', id)
  }

  #idOf(sha256: Digest): number | undefined {
    return this.#db.get((row) => number(row, 'id'), 'SELECT id FROM recipes WHERE sha256 = ?', digestValue(sha256))
  }
}

const MARKED = `SELECT recipe FROM marks JOIN recipes ON recipes.id = marks.recipe
  WHERE mark = ? AND EXISTS (SELECT 1 FROM base WHERE base.sha256 = recipes.sha256) LIMIT 8`

function blob(row: Row, column: string): Uint8Array {
  const value = row[column]
  if (value instanceof Uint8Array) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  throw new RowFault(`the column ${column} holds what no version writes there`)
}
