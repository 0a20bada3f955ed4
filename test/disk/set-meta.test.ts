import { chmodSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { samePrint } from '../../lib/model/entry.ts'
import { setFileMeta, setMode } from '../../lib/disk/set-meta.ts'
import { fileEntry, printAt } from './a-folder.ts'

t.test('mode and mtime are set, and the answer is what stands there', async (t) => {
  const file = join(t.testdir({ f: 'x' }), 'f')
  const before = printAt(file)
  const result = setFileMeta(file, fileEntry('x', 0o4600, '-5'), (now) => samePrint(before, now))
  t.same(result, { kind: 'done', print: printAt(file) })
  t.match(printAt(file), { mode: 0o600, mtimeNs: '-5' })
  t.same(
    setFileMeta(file, fileEntry('x', 0o644), (now) => samePrint(before, now)),
    { kind: 'differs' },
  )
  t.same(setMode(file, before, 0o777), { kind: 'differs' })
  t.same(setMode(file, printAt(file), 0o640), { kind: 'done', print: printAt(file) })
})

t.test('an edit that comes in between is left alone', async (t) => {
  const file = join(t.testdir({ f: 'x' }), 'f')
  const result = setFileMeta(file, fileEntry('x', 0o644, '5'), () => {
    writeFileSync(file, 'longer')
    return true
  })
  t.same(result, { kind: 'differs' })
  t.not(printAt(file).mtimeNs, '5')
  t.equal(readFileSync(file, 'utf8'), 'longer')
})

t.test('a link is not followed', async (t) => {
  const dir = t.testdir({ f: 'x' })
  symlinkSync('f', join(dir, 'l'))
  chmodSync(join(dir, 'f'), 0o600)
  t.same(
    setFileMeta(join(dir, 'l'), fileEntry('x', 0o777), () => true),
    { kind: 'differs' },
  )
  t.equal(printAt(join(dir, 'f')).mode, 0o600)
  t.throws(() => setMode(join(dir, 'none'), printAt(dir), 0o777), { code: 'ENOENT' })
})
