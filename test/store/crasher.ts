// Writes transactions of 50 rows without end, a line on stdout after each, until it is killed.

import { writeSync } from 'node:fs'

import { openDatabase } from '../../lib/store/database.ts'
import type { EngineName } from '../../lib/store/engine.ts'

const [, , file = '', engine] = process.argv
const schema = { name: 'note book', applicationId: 7, steps: ['CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)'] }
const database = openDatabase(file, schema, { sync: 'full', engine: engine as EngineName })
for (let turn = 0; ; turn++) {
  database.transaction(() => {
    for (let i = 0; i < 50; i++) database.run('INSERT INTO note (text) VALUES (?)', `${process.pid}-${turn}`)
  })
  writeSync(1, 'kept\n')
}
