// Runs tests on every SQLite engine of this machine, each with a file of its own.

import { join } from 'node:path'
import type { Test } from 'tap'

import { connect, hasEngine } from '../../lib/store/engine.ts'
import type { EngineName } from '../../lib/store/engine.ts'

/** What a test of one engine gets: its name and a path where no file is yet. */
export interface Place {
  readonly engine: EngineName
  readonly file: string
}

/** One test per engine that runs here. */
export function onEachEngine(
  t: Pick<Test, 'test'>,
  promise: string,
  check: (t: Test, place: Place) => void | Promise<void>,
): void {
  for (const engine of ['better-sqlite3', 'libsql'] as const) {
    const skip = hasEngine(engine) ? false : `${engine} does not run here`
    void t.test(`${promise} (${engine})`, { skip }, async (t) => {
      await check(t, { engine, file: join(t.testdir(), 'store', 'test.db') })
    })
  }
}

/** Runs SQL behind the back of what keeps the file. */
export function tamper({ engine, file }: Place, sql: string): void {
  const connection = connect(file, engine)
  connection.exec(sql)
  connection.close()
}
