import { lstatSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { printOf, sameButCtime } from '../../lib/disk/fingerprint.ts'
import { setTimesNs } from '../../lib/disk/native.ts'
import { MTIME, printAt } from './a-folder.ts'

t.test('a fingerprint is what lstat says, to the nanosecond', async (t) => {
  const file = join(t.testdir(), 'f')
  writeFileSync(file, 'hello', { mode: 0o640 })
  setTimesNs(file, MTIME)
  const stats = lstatSync(file, { bigint: true })
  t.same(printOf(stats), {
    kind: 'file',
    size: 5,
    mtimeNs: MTIME,
    ctimeNs: stats.ctimeNs.toString(),
    ino: stats.ino.toString(),
    mode: 0o640,
  })
})

t.test('special files have none', async (t) => {
  t.equal(printOf(lstatSync('/dev/null', { bigint: true })), undefined)
})

t.test('a rename changes nothing but the ctime, an edit more', async (t) => {
  const dir = t.testdir({ f: 'x', d: {} })
  const f = printAt(join(dir, 'f'))
  const d = printAt(join(dir, 'd'))
  t.equal(sameButCtime(f, { ...f, ctimeNs: '1' }), true)
  t.equal(sameButCtime(d, { ...d, size: 1, mtimeNs: '1' }), true)
  for (const other of [{ size: 2 }, { mtimeNs: '1' }, { ino: '1' }, { mode: 0 }, { kind: 'link' } as const]) {
    t.equal(sameButCtime(f, { ...f, ...other }), false)
  }
})
