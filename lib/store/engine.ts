// SQLite engines: better-sqlite3 when it loads on this machine, else libsql, behind what both do alike.

import { createRequire } from 'node:module'

import { SyncError } from '../errors.ts'

/** What is bound to a `?`. */
export type Value = string | number | bigint | Uint8Array | null

/** A result row. A blob is a Buffer, or an ArrayBuffer from libsql. */
export type Row = Readonly<Record<string, unknown>>

export type EngineName = 'better-sqlite3' | 'libsql'

/** A statement as the engines prepare it. Values go in ONE array: libsql takes a lone object for named values, and aborts the whole process on it. */
interface EngineStatement {
  /** Whether it gives rows. */
  readonly reader: boolean
  raw(on: true): unknown
  columns(): readonly { readonly name: string }[]
  run(values: readonly Value[]): { readonly changes: number }
  get(values: readonly Value[]): unknown
  all(values: readonly Value[]): unknown[]
}

/** A prepared statement. Rows are asked for as arrays and named here, which takes half the time of rows the engine names. */
export class Statement {
  readonly #statement: EngineStatement
  readonly #names: readonly string[]

  constructor(connection: EngineConnection, sql: string) {
    this.#statement = connection.prepare(sql)
    if (this.#statement.reader) this.#statement.raw(true)
    this.#names = this.#statement.reader ? this.#statement.columns().map((column) => column.name) : []
  }

  run(values: readonly Value[]): number {
    return this.#statement.run(values).changes
  }

  get(values: readonly Value[]): Row | undefined {
    const fields = this.#statement.get(values)
    return fields === undefined ? undefined : this.#named(fields)
  }

  all(values: readonly Value[]): Row[] {
    return this.#statement.all(values).map((fields) => this.#named(fields))
  }

  /** All rows as the engine gives them: the values in their order, without names. */
  allPlain(values: readonly Value[]): readonly unknown[][] {
    return this.#statement.all(values) as unknown[][]
  }

  #named(fields: unknown): Row {
    const values = fields as readonly unknown[]
    const row: Record<string, unknown> = {}
    this.#names.forEach((name, i) => (row[name] = values[i]))
    return row
  }
}

/** An open connection. */
export interface EngineConnection {
  prepare(sql: string): EngineStatement
  exec(sql: string): unknown
  close(): unknown
}

type Open = new (file: string) => EngineConnection

const ENGINES: readonly EngineName[] = ['better-sqlite3', 'libsql']

/** Opens `file` with `name`, or with the first engine that loads. Throws `SyncError` NO_SQLITE when none does. */
export function connect(file: string, name?: EngineName): EngineConnection {
  const causes: unknown[] = []
  for (const candidate of name === undefined ? ENGINES : [name]) {
    const open = loadEngine(candidate, causes)
    if (open !== undefined) return new open(file)
  }
  throw new SyncError('Cannot load SQLite: neither better-sqlite3 nor libsql runs here, wanted one of them', {
    code: 'NO_SQLITE',
    hint: 'Run "npm install" again on this machine, without leaving out optional packages',
    cause: new AggregateError(causes),
  })
}

/** Whether the engine `name` runs on this machine. */
export function hasEngine(name: EngineName): boolean {
  return loadEngine(name, []) !== undefined
}

function loadEngine(name: EngineName, causes: unknown[]): Open | undefined {
  try {
    const open = createRequire(import.meta.url)(name) as Open
    new open(':memory:').close() // better-sqlite3 loads its binary here, not when it is required
    return open
  } catch (cause) {
    causes.push(cause)
    return undefined
  }
}
