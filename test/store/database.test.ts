import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

import { SyncError } from '../../lib/errors.ts'
import { RowFault, openDatabase } from '../../lib/store/database.ts'
import type { Database, Schema } from '../../lib/store/database.ts'
import type { Row } from '../../lib/store/engine.ts'
import { onEachEngine } from './engines.ts'
import type { Place } from './engines.ts'

const CRASHER = fileURLToPath(new URL('./crasher.js', import.meta.url))
const NOTES: Schema = {
  name: 'note book',
  applicationId: 7,
  steps: ['CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)'],
}

function open({ file, engine }: Place, schema = NOTES, readOnly = false): Database {
  return openDatabase(file, schema, { sync: 'full', engine, readOnly })
}

function notes(database: Database): unknown[] {
  return database.all((row: Row) => row['text'], 'SELECT text FROM note ORDER BY id')
}

function note(database: Database, text: string): void {
  database.run('INSERT INTO note (text) VALUES (?)', text)
}

onEachEngine(t, 'a new database is private to its user', (t, place) => {
  using _ = open(place)
  t.equal(statSync(place.file).mode & 0o777, 0o600)
  t.equal(statSync(dirname(place.file)).mode & 0o777, 0o700)
  for (const end of ['-wal', '-shm']) {
    if (existsSync(place.file + end)) t.equal(statSync(place.file + end).mode & 0o077, 0)
  }
})

onEachEngine(t, 'a database that others could read is closed to them', (t, place) => {
  open(place).close()
  chmodSync(place.file, 0o644)
  open(place).close()
  t.equal(statSync(place.file).mode & 0o777, 0o600)
})

onEachEngine(t, 'what was written is there after closing, and no log is left beside the file', (t, place) => {
  const first = open(place)
  note(first, 'a')
  first.close()
  first.close()
  t.notOk(existsSync(`${place.file}-wal`) && statSync(`${place.file}-wal`).size > 0)
  using again = open(place)
  t.same(notes(again), ['a'])
})

onEachEngine(t, 'commits are synced as asked and logged ahead', (t, place) => {
  for (const [sync, level] of [
    ['full', 2],
    ['normal', 1],
  ] as const) {
    using database = openDatabase(place.file, NOTES, { sync, engine: place.engine })
    t.equal(
      database.get((row) => row['synchronous'], 'PRAGMA synchronous'),
      level,
    )
    t.equal(
      database.get((row) => row['journal_mode'], 'PRAGMA journal_mode'),
      'wal',
    )
  }
})

onEachEngine(t, 'an older schema is brought up to date with its rows', (t, place) => {
  const old = open(place)
  note(old, 'kept')
  old.close()
  const steps = [...NOTES.steps, "ALTER TABLE note ADD COLUMN colour TEXT; UPDATE note SET colour = 'red'"]
  using database = open(place, { ...NOTES, steps })
  t.equal(
    database.get((row) => row['colour'], 'SELECT colour FROM note'),
    'red',
  )
  t.same(notes(database), ['kept'])
})

onEachEngine(t, 'a schema step that fails leaves the file as it was', (t, place) => {
  open(place).close()
  const steps = [...NOTES.steps, 'ALTER TABLE note ADD COLUMN colour TEXT; CREATE TABLE note (id)']
  t.throws(() => open(place, { ...NOTES, steps }))
  using database = open(place)
  t.equal(
    database.get((row) => row['n'], "SELECT count(*) AS n FROM pragma_table_info('note')"),
    2,
  )
})

onEachEngine(t, 'the file of a newer version is left alone', (t, place) => {
  open(place, { ...NOTES, steps: [...NOTES.steps, 'CREATE TABLE later (id)'] }).close()
  t.throws(() => open(place), { code: 'DATABASE_NEWER', hint: /newer/, message: place.file })
})

onEachEngine(t, 'the database of another program is left alone', (t, place) => {
  open(place).close()
  t.throws(() => open(place, { ...NOTES, applicationId: 8 }), { code: 'DATABASE_FOREIGN', hint: /aside/ })
  using mine = open(place)
  mine.exec('PRAGMA user_version = 0; PRAGMA application_id = 0')
  mine.close()
  t.throws(() => open(place), { code: 'DATABASE_FOREIGN' })
})

onEachEngine(t, 'a file of garbage is damaged, and says which file and what to do', (t, place) => {
  mkdirSync(dirname(place.file))
  writeFileSync(place.file, 'garbage '.repeat(2000))
  t.throws(() => open(place), { name: 'SyncError', code: 'DATABASE_DAMAGED', message: place.file, hint: /aside/ })
  t.equal(readFileSync(place.file, 'latin1').slice(0, 7), 'garbage', 'and is not touched')
})

onEachEngine(t, 'a page of garbage is damage when it is read', (t, place) => {
  const whole = open(place)
  whole.transaction(() => {
    for (let i = 0; i < 500; i++) note(whole, 'x'.repeat(100))
  })
  whole.close()
  const bytes = readFileSync(place.file)
  bytes.fill(0xee, 4096)
  writeFileSync(place.file, bytes)
  using database = open(place)
  t.throws(() => notes(database), { code: 'DATABASE_DAMAGED' })
})

onEachEngine(t, 'a row that no version writes is damage', (t, place) => {
  using database = open(place)
  note(database, 'odd')
  const parse = () => {
    throw new RowFault('the note is odd')
  }
  t.throws(() => database.get(parse, 'SELECT text FROM note'), { code: 'DATABASE_DAMAGED', message: /odd/ })
  t.throws(() => database.all(parse, 'SELECT text FROM note'), { code: 'DATABASE_DAMAGED', message: place.file })
})

onEachEngine(t, 'a mistake in the program is no trouble of the file', (t, place) => {
  using database = open(place)
  try {
    database.run('INSERT INTO nowhere VALUES (1)')
    t.fail('it should throw')
  } catch (error) {
    t.notOk(error instanceof SyncError)
  }
})

onEachEngine(t, 'a place that cannot be written says so and may be tried again', (t, place) => {
  mkdirSync(place.file, { recursive: true })
  t.throws(() => open(place), { code: 'DATABASE_UNUSABLE', retry: 'later', message: place.file })
  t.throws(() => openDatabase(`${import.meta.filename}/such.db`, NOTES, { sync: 'full', engine: place.engine }), {
    code: 'DATABASE_UNUSABLE',
  })
})

onEachEngine(t, 'a full disk is said, nothing is torn, and writing goes on when there is room', (t, place) => {
  using database = open(place)
  note(database, 'before')
  database.exec('PRAGMA max_page_count = 4')
  const fill = () => {
    database.transaction(() => {
      for (let i = 0; i < 100; i++) note(database, 'x'.repeat(1000))
    })
  }
  t.throws(fill, { code: 'NO_SPACE', retry: 'later' })
  t.same(notes(database), ['before'])
  database.exec('PRAGMA max_page_count = 1000000')
  fill()
  t.equal(notes(database).length, 101)
})

onEachEngine(t, 'a reader makes no file, and writes nothing', (t, place) => {
  t.throws(() => open(place, NOTES, true), { code: 'DATABASE_MISSING', retry: 'later' })
  t.notOk(existsSync(place.file))
  mkdirSync(dirname(place.file))
  writeFileSync(place.file, '')
  t.throws(() => open(place, NOTES, true), { code: 'DATABASE_MISSING' }, 'not made whole yet')
  const writer = open(place)
  note(writer, 'a')
  using reader = open(place, NOTES, true)
  t.same(
    reader.transaction(() => notes(reader)),
    ['a'],
  )
  t.throws(
    () => {
      note(reader, 'b')
    },
    { code: 'DATABASE_UNUSABLE' },
  )
  writer.close()
})

onEachEngine(t, 'a transaction is kept whole or not at all', (t, place) => {
  using database = open(place)
  t.equal(
    database.transaction(() => (note(database, 'a'), 5)),
    5,
  )
  t.throws(() => {
    database.transaction(() => {
      note(database, 'b')
      throw new Error('no')
    })
  }, /no/)
  t.same(notes(database), ['a'])
})

onEachEngine(t, 'a transaction inside another belongs to it', (t, place) => {
  using database = open(place)
  t.throws(() => {
    database.transaction(() => {
      database.transaction(() => {
        note(database, 'inner')
      })
      throw new Error('outer')
    })
  }, /outer/)
  t.same(notes(database), [])
})

onEachEngine(t, 'a transaction cannot be kept when a part of it has failed', (t, place) => {
  using database = open(place)
  const swallow = () => {
    database.transaction(() => {
      try {
        database.transaction(() => {
          note(database, 'half')
          throw new Error('inner')
        })
      } catch {
        note(database, 'other')
      }
    })
  }
  t.throws(swallow, /a part of it has failed/)
  database.transaction(() => {
    note(database, 'after')
  })
  t.same(notes(database), ['after'])
})

onEachEngine(t, 'a transaction does not wait', (t, place) => {
  using database = open(place)
  t.throws(() => database.transaction(() => Promise.resolve(note(database, 'late'))), /cannot wait/)
  t.same(notes(database), [])
})

onEachEngine(t, 'a writer killed between two lines leaves each transaction whole or absent', async (t, place) => {
  for (let turn = 0; turn < 3; turn++) {
    const child = spawn(process.execPath, [CRASHER, place.file, place.engine], { stdio: ['ignore', 'pipe', 'inherit'] })
    let lines = 0
    for await (const chunk of child.stdout) {
      lines += String(chunk).split('\n').length - 1
      if (lines >= 3 + 2 * turn) break
    }
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    using database = open(place)
    const torn = database.all((row) => row, 'SELECT text FROM note GROUP BY text HAVING count(*) <> 50')
    const whole = database.get((row) => Number(row['n']), 'SELECT count(DISTINCT text) AS n FROM note') ?? 0
    t.same(torn, [], 'no transaction is torn')
    t.ok(whole >= lines, 'and all that were said to be kept are there')
  }
})
