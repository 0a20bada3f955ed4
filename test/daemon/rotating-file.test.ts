import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { RotatingFile } from '../../lib/daemon/rotating-file.ts'

t.test('a full file becomes the first of the old ones, and the oldest goes', async (t) => {
  const dir = t.testdir({})
  const path = join(dir, 'sub/x.log')
  using file = new RotatingFile(path, { maxBytes: 10, keep: 3 })
  for (const line of ['one', 'two', 'three', 'four', 'five', 'six', 'seven']) file.write(`${line}\n`)
  const read = (name: string) => readFileSync(join(dir, 'sub', name), 'utf8')
  t.same(readdirSync(join(dir, 'sub')), ['x.log', 'x.log.1', 'x.log.2'])
  t.same([read('x.log'), read('x.log.1'), read('x.log.2')], ['six\nseven\n', 'four\nfive\n', 'three\n'])
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('an older file is continued', async (t) => {
  const path = join(t.testdir({ 'x.log': 'old\n' }), 'x.log')
  using file = new RotatingFile(path, { maxBytes: 8 })
  file.write('new\n')
  t.equal(readFileSync(path, 'utf8'), 'old\nnew\n')
  file.write('x\n')
  t.equal(readFileSync(path, 'utf8'), 'x\n')
})

t.test('a file that cannot be written loses lines, tells how many, and throws nothing', async (t) => {
  const dir = t.testdir({ 'x.log.1': { in: 'the way' } })
  const path = join(dir, 'x.log')
  using file = new RotatingFile(path, { maxBytes: 4, keep: 2 })
  file.write('one\n')
  file.write('lost\n')
  t.equal(readFileSync(path, 'utf8'), 'one\n')
  writeFileSync(path, '')
  t.doesNotThrow(() => {
    file.write('also lost\n')
  })
})
