import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import t from 'tap'
import { copySparse } from '../../lib/disk/copy-sparse.ts'
import { noise } from '../support/contents.ts'

t.test('a copy is equal, and its zeros take no room', async (t) => {
  const dir = t.testdir()
  const fd = openSync(`${dir}/a`, 'w')
  writeSync(fd, noise(100_001, 1), 0, 100_001, 3_000_000)
  ftruncateSync(fd, 9_000_000)
  closeSync(fd)
  await copySparse(`${dir}/a`, `${dir}/b`, new AbortController().signal)
  t.ok(readFileSync(`${dir}/b`).equals(readFileSync(`${dir}/a`)))
  t.ok(statSync(`${dir}/b`).blocks * 512 < 400_000)
})

t.test('it replaces nothing, and stops when it is no longer wanted', async (t) => {
  const dir = t.testdir({ a: 'x', b: 'y' })
  await t.rejects(copySparse(`${dir}/a`, `${dir}/b`, new AbortController().signal), { code: 'EEXIST' })
  await t.rejects(copySparse(`${dir}/a`, `${dir}/c`, AbortSignal.abort()), { name: 'AbortError' })
})
