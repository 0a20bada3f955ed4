// The base: what this replica and the coordinator last agreed on, path by path, and the heads told of but not applied yet.

import type { Recipe } from '../core/recipe.ts'
import { PACKED_MAX, type PlacedHead } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import { ROOT, isBelow } from '../model/path.ts'
import type { DirPath, RelPath } from '../model/path.ts'
import type { PlainPrint } from '../model/plain-print.ts'
import type { Head, Seq } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'
import { below, deepRange, firstBelow } from './below.ts'
import type { ReadRows } from './below.ts'
import {
  ENTRY_COLUMNS,
  ENTRY_FIELDS,
  PLAIN_FIELDS,
  PRINT_COLUMNS,
  PRINT_FIELDS,
  digest,
  digestValue,
  entryValues,
  number,
  pathValues,
  printValues,
  readEntry,
  readHead,
  readPath,
  readPlace,
  readPrint,
  placeValues,
  text,
} from './columns.ts'
import { RowFault, openDatabase } from './database.ts'
import type { Database, DatabaseOptions, Schema } from './database.ts'
import type { Row, Value } from './engine.ts'
import { many, readMany } from './many.ts'
import { Listing } from './listing.ts'
import { RECIPE_TABLES, Recipes } from './recipes.ts'
import { UNHEARD_TABLE, Unheard } from './unheard.ts'

export type BaseOptions = Pick<DatabaseOptions, 'readOnly' | 'engine'>

/** How much waits to be applied. `bytes`: sizes of files, all of them. */
export interface IncomingCount {
  readonly count: number
  readonly bytes: number
}

const SCHEMA: Schema = {
  name: 'base of a SystemSync replica',
  applicationId: 0x53794261, // SyBa
  steps: [
    `CREATE TABLE base (parent TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL,
       kind INTEGER NOT NULL, size INTEGER, mtime_ns BLOB, mode INTEGER, sha256 BLOB, target TEXT,
       print_kind INTEGER, print_size INTEGER, print_mtime_ns BLOB, print_mode INTEGER, ino BLOB NOT NULL, ctime_ns BLOB NOT NULL,
       PRIMARY KEY (parent, name)) WITHOUT ROWID;
     CREATE INDEX base_sha256 ON base (sha256) WHERE sha256 IS NOT NULL;
     CREATE TABLE incoming (parent TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL,
       kind INTEGER, size INTEGER, mtime_ns BLOB, mode INTEGER, sha256 BLOB, target TEXT, pack TEXT, pack_offset INTEGER,
       PRIMARY KEY (parent, name)) WITHOUT ROWID;
     CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;`,
    RECIPE_TABLES,
    UNHEARD_TABLE,
  ],
}

const FIELDS = `parent, name, seq, ${ENTRY_FIELDS}, ${PRINT_FIELDS}`
const HEAD_FIELDS = `parent, name, seq, ${ENTRY_FIELDS}, pack, pack_offset`

/** One folder's base. Open it once per process; a commit may be lost with the power (it is redone), never torn. */
export class Base {
  /** What was proposed and not answered yet. */
  readonly unheard: Unheard
  readonly #db: Database
  // Running totals, counted when first asked for; forgotten when a transaction fails. Never kept by a reader: another connection writes.
  #rows: number | undefined
  #waiting: IncomingCount | undefined
  readonly #isWriter: boolean
  readonly #recipes: Recipes
  #largePuts = 0

  readonly #readRows: ReadRows<BaseRow> = (where, values) =>
    this.#db.all(readRow, `SELECT ${FIELDS} FROM base WHERE ${where}`, ...values)

  private constructor(db: Database, isWriter: boolean) {
    this.#db = db
    this.#isWriter = isWriter
    this.#recipes = new Recipes(db)
    this.unheard = new Unheard(db)
  }

  /** Opens or makes `file`. Throws what `openDatabase` throws. */
  static open(file: string, options: BaseOptions = {}): Base {
    return new Base(openDatabase(file, SCHEMA, { ...options, sync: 'normal' }), options.readOnly !== true)
  }

  close(): void {
    this.#db.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Runs `work` in one transaction: all or nothing. Calls inside it join. */
  transaction<T>(work: () => T): T {
    try {
      return this.#db.transaction(work)
    } catch (error) {
      this.#rows = undefined
      this.#waiting = undefined
      throw error
    }
  }

  row(path: RelPath): BaseRow | undefined {
    return this.#db.get(readRow, ROW, ...pathValues(path))
  }

  /** The rows of those of `paths` that have one. */
  rows(paths: Iterable<RelPath>): Map<RelPath, BaseRow> {
    const found = readMany(this.#db, ROWS, Array.from(paths, pathValues), readRow)
    return new Map(found.map((row) => [row.path, row]))
  }

  /** The rows right in `dir`, by name. */
  children(dir: DirPath): BaseRow[] {
    return this.#db.all(readRow, `SELECT ${FIELDS} FROM base WHERE parent = ? ORDER BY name`, dir)
  }

  /** The fingerprints of the rows right in `dir`, by name. */
  plainPrints(dir: DirPath): ReadonlyMap<string, PlainPrint> {
    const prints = new Map<string, PlainPrint>()
    for (const row of this.#db.allPlain(PLAIN_PRINTS, dir)) {
      const name = row[PLAIN_NAME]
      if (typeof name === 'string') prints.set(name, row)
    }
    return prints
  }

  /** All rows below `dir`, parents before children, read in pages: of rows changed meanwhile, either state may be seen. */
  below(dir: DirPath): IterableIterator<BaseRow> {
    return below(dir, (row) => row.path, this.#readRows)
  }

  hasBelow(dir: DirPath): boolean {
    return firstBelow(dir, 1, this.#readRows).length > 0
  }

  /** Up to `limit` local files that had this content when they were last looked at. */
  holding(sha256: Digest, limit: number): BaseRow[] {
    return this.#db.all(readRow, `SELECT ${FIELDS} FROM base WHERE sha256 = ? LIMIT ?`, digestValue(sha256), limit)
  }

  holds(sha256: Digest): boolean {
    return this.#db.get(() => true, 'SELECT 1 AS one FROM base WHERE sha256 = ? LIMIT 1', digestValue(sha256)) ?? false
  }

  /** Which of these contents some local file holds. One query. */
  heldAmong(digests: readonly Digest[]): Set<Digest> {
    const sql = `SELECT DISTINCT sha256 FROM base WHERE sha256 IN (SELECT unhex(value) FROM json_each(?))`
    return new Set(this.#db.all((row) => digest(row, 'sha256'), sql, JSON.stringify(digests)))
  }

  /** How many rows there are. Counted anew after each `put`: some ms at 100,000, and seldom asked for. */
  count(): number {
    if (this.#rows !== undefined && this.#isWriter) return this.#rows
    this.#rows = this.#db.get((row) => number(row, 'rows'), 'SELECT count(*) AS rows FROM base') ?? 0
    return this.#rows
  }

  /** Records what is agreed on now, in place of what was at these paths. One transaction. */
  put(rows: readonly BaseRow[]): void {
    this.transaction(() => {
      if (rows.length > 0) this.#rows = undefined
      for (const { entry } of rows) if (entry.kind === 'file' && entry.size > PACKED_MAX) this.#largePuts++
      this.#db.runAll(PUT, rows.map(rowValues))
    })
  }

  /** Forgets these paths alone, not what is below them. One transaction. */
  remove(paths: readonly RelPath[]): void {
    this.transaction(() => {
      this.#lessRows(this.#db.runAll(REMOVE, paths.map(pathValues)))
    })
  }

  /**
   * Renames the row of `from` and all below it to `to`, with `seq`; what was at and below `to` is forgotten. Says how many rows moved.
   * `incoming` stays. One of the paths must not be, or contain, the other.
   */
  moveTree(from: RelPath, to: RelPath, seq: Seq): number {
    if (from === to || isBelow(from, to) || isBelow(to, from))
      throw new Error(`Cannot move "${from}" to "${to}": they overlap`)
    const db = this.#db
    return this.transaction(() => {
      this.#lessRows(
        db.run(REMOVE, ...pathValues(to)) +
          db.run('DELETE FROM base WHERE parent = ?', to) +
          db.run('DELETE FROM base WHERE parent >= ? AND parent < ?', ...deepRange(to)),
      )
      return (
        db.run(MOVE_ONE, ...pathValues(to), seq, ...pathValues(from)) +
        db.run('UPDATE base SET parent = ?, seq = ? WHERE parent = ?', to, seq, from) +
        db.run(MOVE_DEEP, to, from, seq, ...deepRange(from))
      )
    })
  }

  /** How many rows of large files were put by this process: when it has grown, `lackingRecipe` may have something new. */
  get largePuts(): number {
    return this.#largePuts
  }

  /** The recipe of a content; `undefined` when none is kept that this version can read. */
  recipe(sha256: Digest): Recipe | undefined {
    return this.#recipes.find(sha256)
  }

  putRecipe(sha256: Digest, recipe: Recipe): void {
    this.transaction(() => {
      this.#recipes.put(sha256, recipe)
    })
  }

  /** Forgets the recipes of contents that no path has any more. Says how many. */
  pruneRecipes(): number {
    return this.transaction(() => this.#recipes.prune())
  }

  /** The first large content after `after`, in digest order, that has no recipe. */
  lackingRecipe(after: Digest | undefined): Digest | undefined {
    return this.#recipes.lacking(after)
  }

  /** Whether any content can be found by marks of its recipe. */
  hasMarks(): boolean {
    return this.#recipes.hasMarks()
  }

  /** Up to `limit` contents whose recipes have some of these marks, those with most first. */
  contentsMarked(marks: readonly number[], limit: number): Digest[] {
    return this.#recipes.marked(marks, limit)
  }

  /** Up to which Seq this replica has been told everything; 0 at first. */
  cursor(): Seq {
    return this.#db.get((row) => number(row, 'value'), META, 'cursor') ?? 0
  }

  setCursor(seq: Seq): void {
    this.#db.run(SET_META, 'cursor', seq)
  }

  /** The id of the folder this is the base of; `undefined` before first contact. */
  folderId(): string | undefined {
    return this.#db.get((row) => text(row, 'value'), META, 'folderId')
  }

  setFolderId(id: string): void {
    this.#db.run(SET_META, 'folderId', id)
  }

  /** The life of the coordinator's journal that `cursor` counts in; `undefined` before first contact. */
  incarnation(): string | undefined {
    return this.#db.get((row) => text(row, 'value'), META, 'incarnation')
  }

  setIncarnation(incarnation: string): void {
    this.#db.run(SET_META, 'incarnation', incarnation)
  }

  /** Remembers heads to be applied, the newer one of a path, and that all up to `upTo` has been told. One transaction. */
  takeIncoming(heads: readonly PlacedHead[], upTo: Seq): void {
    this.transaction(() => {
      this.#db.runAll(TAKE, heads.map(headValues))
      if (heads.length > 0) this.#waiting = undefined
      this.setCursor(upTo)
    })
  }

  /** The head of `path` that waits to be applied. */
  incoming(path: RelPath): PlacedHead | undefined {
    return this.#db.get(readPlacedHead, INCOMING, ...pathValues(path))
  }

  /** The heads that wait at `paths`. */
  incomings(paths: Iterable<RelPath>): Map<RelPath, PlacedHead> {
    const found = readMany(this.#db, INCOMINGS, Array.from(paths, pathValues), readPlacedHead)
    return new Map(found.map((placed) => [placed.head.path, placed]))
  }

  /** Heads that wait, from right after `after` on: by parent, then name, so that a directory comes before what is in it. */
  incomingAfter(after: RelPath | undefined, limit: number): PlacedHead[] {
    const [parent, name] = after === undefined ? [ROOT, ''] : pathValues(after)
    const sql = `SELECT ${HEAD_FIELDS} FROM incoming WHERE (parent, name) > (?, ?) ORDER BY parent, name LIMIT ?`
    return this.#db.all(readPlacedHead, sql, parent, name, limit)
  }

  /** The first `limit` heads that wait below `dir`, in the same order. */
  incomingBelow(dir: DirPath, limit: number): PlacedHead[] {
    return firstBelow(dir, limit, (where, values) =>
      this.#db.all(readPlacedHead, `SELECT ${HEAD_FIELDS} FROM incoming WHERE ${where}`, ...values),
    )
  }

  /** How much waits. Counted anew after each change. */
  incomingCount(): IncomingCount {
    if (this.#waiting !== undefined && this.#isWriter) return this.#waiting
    const counted = (row: Row) => ({ count: number(row, 'heads'), bytes: number(row, 'bytes') })
    const sql = 'SELECT count(*) AS heads, coalesce(sum(size), 0) AS bytes FROM incoming'
    this.#waiting = this.#db.get(counted, sql) ?? { count: 0, bytes: 0 }
    return this.#waiting
  }

  /** The head of `path` no longer waits, unless it is newer than `upToSeq`. */
  dropIncoming(path: RelPath, upToSeq: Seq): void {
    if (this.#db.run(DROP, ...pathValues(path), upToSeq) > 0) this.#waiting = undefined
  }

  /** These heads no longer wait; a newer one of the same path does. One transaction. */
  dropIncomings(heads: readonly Pick<Head, 'path' | 'seq'>[]): void {
    this.transaction(() => {
      const dropped = this.#db.runAll(
        DROP,
        heads.map(({ path, seq }) => [...pathValues(path), seq]),
      )
      if (dropped > 0) this.#waiting = undefined
    })
  }

  /** No head waits any more. */
  dropAllIncoming(): void {
    this.#db.run('DELETE FROM incoming')
    this.#waiting = undefined
  }

  /** Begins a list of paths, one at a time, that the rows are compared with. */
  list(): Listing {
    return new Listing(this.#db)
  }

  /** Forgets every agreement: rows, waiting heads and cursor. Ids stay. One transaction. */
  forget(): void {
    this.transaction(() => {
      this.#db.run('DELETE FROM base')
      this.#db.run('DELETE FROM incoming')
      this.unheard.clear()
      this.setCursor(0)
      this.#rows = 0
      this.#waiting = undefined
    })
  }

  #lessRows(removed: number): void {
    if (this.#rows !== undefined) this.#rows -= removed
  }
}

const ROW = `SELECT ${FIELDS} FROM base WHERE parent = ? AND name = ?`
const PLAIN_PRINTS = `SELECT ${PLAIN_FIELDS}, name FROM base WHERE parent = ?`
const PLAIN_NAME = 8
const ROWS = many('(?, ?)', (keys) => `SELECT ${FIELDS} FROM base WHERE (parent, name) IN ${keys}`)
const INCOMING = `SELECT ${HEAD_FIELDS} FROM incoming WHERE parent = ? AND name = ?`
const INCOMINGS = many('(?, ?)', (keys) => `SELECT ${HEAD_FIELDS} FROM incoming WHERE (parent, name) IN ${keys}`)
const REMOVE = 'DELETE FROM base WHERE parent = ? AND name = ?'
const PUT = `INSERT OR REPLACE INTO base (parent, name, seq, ${ENTRY_COLUMNS}, ${PRINT_COLUMNS})
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const MOVE_ONE = 'UPDATE base SET parent = ?, name = ?, seq = ? WHERE parent = ? AND name = ?'
const MOVE_DEEP = `UPDATE base SET parent = ? || substr(parent, length(?) + 1), seq = ? WHERE parent >= ? AND parent < ?`
const TAKE = `INSERT INTO incoming (parent, name, seq, ${ENTRY_COLUMNS}, pack, pack_offset)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (parent, name) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, size = excluded.size,
    mtime_ns = excluded.mtime_ns, mode = excluded.mode, sha256 = excluded.sha256, target = excluded.target,
    pack = excluded.pack, pack_offset = excluded.pack_offset
  WHERE excluded.seq >= incoming.seq`
const DROP = 'DELETE FROM incoming WHERE parent = ? AND name = ? AND seq <= ?'
const META = 'SELECT value FROM meta WHERE key = ?'
const SET_META = 'INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)'

function rowValues({ path, seq, entry, print }: BaseRow): readonly Value[] {
  const values = entryValues(entry)
  return [...pathValues(path), seq, ...values, ...printValues(values, print)]
}

function headValues({ head, place }: PlacedHead): readonly Value[] {
  return [...pathValues(head.path), head.seq, ...entryValues(head.entry), ...placeValues(place)]
}

function readRow(row: Row): BaseRow {
  const entry = readEntry(row)
  if (entry === undefined) throw new RowFault('a row of the base has no entry')
  return { path: readPath(row), seq: number(row, 'seq'), entry, print: readPrint(row) }
}

function readPlacedHead(row: Row): PlacedHead {
  return { head: readHead(row), place: readPlace(row) }
}
