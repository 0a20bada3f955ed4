// Databases: one SQLite file with a schema version, transactions that join, and errors that say what to do.

import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'

import { SyncError } from '../errors.ts'
import { Statement, connect } from './engine.ts'
import type { EngineConnection, EngineName, Row, Value } from './engine.ts'

/** What a file is for. `applicationId` marks the file; `steps[n]` is the SQL that takes schema version n to n + 1. */
export interface Schema {
  readonly name: string
  readonly applicationId: number
  readonly steps: readonly string[]
}

export interface DatabaseOptions {
  /** `full`: a commit is on the disk when it returns. `normal`: the newest commits may be lost with the power, never torn. */
  readonly sync: 'full' | 'normal'
  /** The file must be there already, and nothing is written to it. */
  readonly readOnly?: boolean | undefined
  /** Which engine; default: the first that loads. */
  readonly engine?: EngineName | undefined
}

/**
 * Opens `file`, making it (mode 0600, directory 0700) and bringing its schema up to date when needed. One connection per file and process.
 * Throws `SyncError`: DATABASE_DAMAGED, DATABASE_NEWER (made by a newer version), DATABASE_FOREIGN (something else), DATABASE_MISSING (`readOnly`
 * only), DATABASE_UNUSABLE (rights, or another process holds it), NO_SPACE.
 */
export function openDatabase(file: string, schema: Schema, options: DatabaseOptions): Database {
  const readOnly = options.readOnly ?? false
  if (readOnly && !existsSync(file)) throw missing(file)
  const connection = explained(file, () => {
    if (!readOnly) makePrivate(file)
    return connect(file, options.engine)
  })
  const database = new Database(file, connection, readOnly)
  try {
    database.exec(
      `PRAGMA busy_timeout = 5000; PRAGMA synchronous = ${options.sync}; PRAGMA temp_store = memory; PRAGMA cache_size = -4000`,
    )
    bringUpToDate(database, schema, readOnly)
    return database
  } catch (error) {
    connection.close()
    throw error
  }
}

/** An open SQLite file. Every method throws `SyncError` when the file, not the program, is at fault. */
export class Database {
  readonly file: string
  readonly #connection: EngineConnection
  readonly #readOnly: boolean
  readonly #statements = new Map<string, Statement>()
  #depth = 0
  #failures = 0
  #open = true

  constructor(file: string, connection: EngineConnection, readOnly: boolean) {
    this.file = file
    this.#connection = connection
    this.#readOnly = readOnly
  }

  /** Runs statements without values. */
  exec(sql: string): void {
    explained(this.file, () => this.#connection.exec(sql))
  }

  /** Runs one statement; says how many rows it changed. It stays prepared, so `sql` must come from a bounded set. */
  run(sql: string, ...values: Value[]): number {
    return explained(this.file, () => this.#prepared(sql).run(values))
  }

  /** Runs one statement once for each of `rows`; says how many rows it changed in all. Whoever calls sees to the transaction. */
  runAll(sql: string, rows: Iterable<readonly Value[]>): number {
    return explained(this.file, () => {
      const statement = this.#prepared(sql)
      let changed = 0
      for (const values of rows) changed += statement.run(values)
      return changed
    })
  }

  /** The first row, parsed. `parse` may throw `RowFault`. */
  get<T>(parse: (row: Row) => T, sql: string, ...values: Value[]): T | undefined {
    return explained(this.file, () => {
      const row = this.#prepared(sql).get(values)
      return row === undefined ? undefined : parse(row)
    })
  }

  /** All rows, parsed, in memory: bound them in `sql`. `parse` may throw `RowFault`. */
  all<T>(parse: (row: Row) => T, sql: string, ...values: Value[]): T[] {
    return explained(this.file, () => this.#prepared(sql).all(values).map(parse))
  }

  /** All rows as bare values in their order, for what is asked so often that even names cost too much. */
  allPlain(sql: string, ...values: Value[]): readonly (readonly unknown[])[] {
    return explained(this.file, () => this.#prepared(sql).allPlain(values))
  }

  /**
   * Runs `work` in one transaction: all of it is kept, or nothing when it throws. A call inside another joins it; when an inner one
   * has thrown, the outer one cannot be kept either.
   */
  transaction<T>(work: () => T): T {
    if (this.#depth > 0) return this.#join(work)
    this.exec(this.#readOnly ? 'BEGIN' : 'BEGIN IMMEDIATE')
    this.#depth = 1
    this.#failures = 0
    try {
      const result = work()
      if (result instanceof Promise) throw new Error('A transaction cannot wait: its work returned a promise')
      if (this.#failures > 0) throw new Error('A transaction cannot be kept: a part of it has failed')
      this.exec('COMMIT')
      return result
    } catch (error) {
      this.#rollBack()
      throw error
    } finally {
      this.#depth = 0
    }
  }

  /** Closes the file, its write-ahead log folded in. Idempotent. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#statements.clear()
    try {
      // libsql keeps the log file when it closes
      if (!this.#readOnly) this.#connection.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // The log is read again at the next opening: nothing is lost.
    } finally {
      this.#connection.close()
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #join<T>(work: () => T): T {
    this.#depth++
    try {
      return work()
    } catch (error) {
      this.#failures++
      throw error
    } finally {
      this.#depth--
    }
  }

  #rollBack(): void {
    try {
      this.#connection.exec('ROLLBACK')
    } catch {
      // SQLite has rolled back by itself (a full disk, a damaged file); the error at hand says why.
    }
  }

  #prepared(sql: string): Statement {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const made = new Statement(this.#connection, sql)
    this.#statements.set(sql, made)
    return made
  }
}

/** A row holds what no version of this program writes: the file is damaged. */
export class RowFault extends Error {}

/** The error for a file that is no whole database. The caller may set it aside. */
function damaged(file: string, what: string, cause: unknown): SyncError {
  return new SyncError(`Cannot read "${file}": ${what}, wanted a whole database`, {
    code: 'DATABASE_DAMAGED',
    hint: `Check the disk for errors, move "${file}" (with its -wal and -shm) aside and start again: it is rebuilt from the folder and its peers`,
    cause,
  })
}

function bringUpToDate(database: Database, schema: Schema, readOnly: boolean): void {
  const version = pragma(database, 'user_version')
  const id = pragma(database, 'application_id')
  if (id !== schema.applicationId && (id !== 0 || version !== 0 || hasTables(database))) {
    throw new SyncError(`Cannot use "${database.file}": it is some other database, wanted a ${schema.name}`, {
      code: 'DATABASE_FOREIGN',
      hint: 'Move the file aside, or give another state directory with -state',
    })
  }
  if (version > schema.steps.length) throw newer(database.file, version, schema)
  if (readOnly) {
    if (version < schema.steps.length) throw missing(database.file)
    database.exec('PRAGMA query_only = 1')
    return
  }
  database.exec('PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 16777216')
  if (version === schema.steps.length) return
  database.transaction(() => {
    for (const step of schema.steps.slice(version)) database.exec(step)
    database.exec(`PRAGMA application_id = ${schema.applicationId}; PRAGMA user_version = ${schema.steps.length}`)
  })
}

function newer(file: string, version: number, schema: Schema): SyncError {
  return new SyncError(
    `Cannot use "${file}": its format is ${version}, this version knows up to ${schema.steps.length}`,
    {
      code: 'DATABASE_NEWER',
      hint: 'Install the newer SystemSync that was used here before',
    },
  )
}

function missing(file: string): SyncError {
  return new SyncError(`Cannot read "${file}": it is not there yet, wanted an existing database`, {
    code: 'DATABASE_MISSING',
    retry: 'later',
    hint: 'Start the daemon once: it makes the file',
  })
}

function makePrivate(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  closeSync(openSync(file, 'a', 0o600))
  chmodSync(file, 0o600)
}

function pragma(database: Database, name: 'user_version' | 'application_id'): number {
  return database.get((row) => Number(row[name]), `PRAGMA ${name}`) ?? 0
}

function hasTables(database: Database): boolean {
  return database.get(() => true, 'SELECT 1 AS one FROM sqlite_master LIMIT 1') ?? false
}

/** Does `work`; what SQLite or the system says against `file` becomes a `SyncError`. Anything else is a bug and passes. */
function explained<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw explain(file, error) ?? error
  }
}

function explain(file: string, error: unknown): SyncError | undefined {
  if (error instanceof SyncError || !(error instanceof Error)) return undefined
  if (error instanceof RowFault) return damaged(file, error.message, error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') return damaged(file, error.message, error)
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') {
    return new SyncError(`Cannot write "${file}": no space left on the disk, wanted room for it`, {
      code: 'NO_SPACE',
      retry: 'later',
      hint: 'Free some space; syncing goes on by itself',
      cause: error,
    })
  }
  if (
    /^SQLITE_(BUSY|LOCKED|READONLY|CANTOPEN|IOERR|PERM|AUTH)|^E[A-Z]+$/.test(code) ||
    /unable to open/i.test(error.message)
  ) {
    return new SyncError(`Cannot use "${file}": ${error.message}, wanted a file to read and write`, {
      code: 'DATABASE_UNUSABLE',
      retry: 'later',
      hint: `See that "${dirname(file)}" belongs to this user, can be written, and is used by no other process`,
      cause: error,
    })
  }
  return undefined
}
