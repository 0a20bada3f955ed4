import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isEmptyFolder, readMarker, rootIdentity, writeMarker } from '../../lib/disk/marker.ts'
import { hostPath } from '../../lib/model/path.ts'
import { aFolder, asNobody } from './a-folder.ts'

t.test('a marker that was written is read again, and writing it twice keeps the last', async (t) => {
  const root = hostPath(t.testdir({}))
  t.same(readMarker(root), { kind: 'none' })
  writeMarker(root, 'one')
  writeMarker(root, 'two \u{1f600}"')
  t.same(readMarker(root), { kind: 'marker', id: 'two \u{1f600}"' })
  t.same(readdirSync(join(root, '.systemsync')).sort(), ['marker', 'staging'])
  t.equal(statSync(join(root, '.systemsync')).mode & 0o777, 0o700)
  t.equal(statSync(join(root, '.systemsync/staging')).mode & 0o777, 0o700)
})

t.test('a directory of ours that is open to others is closed', async (t) => {
  const root = hostPath(t.testdir({ '.systemsync': {} }))
  chmodSync(join(root, '.systemsync'), 0o777)
  writeMarker(root, 'one')
  t.equal(statSync(join(root, '.systemsync')).mode & 0o777, 0o700)
})

t.test('a root that is missing or no directory is no root', async (t) => {
  const dir = t.testdir({ file: '' })
  t.same(readMarker(hostPath(join(dir, 'none'))), { kind: 'no-root' })
  t.same(readMarker(hostPath(join(dir, 'file'))), { kind: 'no-root' })
  t.throws(() => writeMarker(hostPath(join(dir, 'none')), 'x'), { code: 'ENOENT' })
})

t.test('a .systemsync or a marker that is a link is refused', async (t) => {
  const { root, outside } = aFolder(t)
  renameSync(join(root, '.systemsync'), join(outside, 'own'))
  symlinkSync(join(outside, 'own'), join(root, '.systemsync'))
  t.match(readMarker(root), { kind: 'unreadable', reason: /link/ })
  t.throws(() => writeMarker(root, 'other'), { code: 'OWN_DIR', hint: /Remove/ })
  rmSync(join(root, '.systemsync'))
  renameSync(join(outside, 'own'), join(root, '.systemsync'))
  renameSync(join(root, '.systemsync/marker'), join(outside, 'marker'))
  symlinkSync(join(outside, 'marker'), join(root, '.systemsync/marker'))
  t.match(readMarker(root), { kind: 'unreadable', reason: /link/ })
})

t.test('a damaged marker is unreadable, not absent', async (t) => {
  const { root } = aFolder(t)
  for (const text of ['', '{', '[]', 'null', '{"folder":7}', '{"folder":""}', '{"id":"x"}', 'x'.repeat(10_000)]) {
    writeFileSync(join(root, '.systemsync/marker'), text)
    t.match(readMarker(root), { kind: 'unreadable', reason: /damaged/ }, text.slice(0, 20))
  }
  rmSync(join(root, '.systemsync/marker'))
  t.same(readMarker(root), { kind: 'none' })
  mkdirSync(join(root, '.systemsync/marker'))
  t.match(readMarker(root), { kind: 'unreadable' })
  t.throws(() => writeMarker(root, 'x'), { code: 'EISDIR' })
  t.same(readdirSync(join(root, '.systemsync')).sort(), ['marker', 'staging'], 'and leaves no litter')
})

t.test('a marker that may not be read is unreadable', async (t) => {
  const found = asNobody(`
    import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
    import { readMarker, writeMarker } from '@lib/disk/marker.js'
    const root = mkdtempSync('/tmp/disk-nobody-')
    writeMarker(root, 'x')
    chmodSync(root + '/.systemsync', 0)
    const found = [readMarker(root)]
    chmodSync(root + '/.systemsync', 0o700)
    rmSync(root, { recursive: true })
    console.log(JSON.stringify(found))
  `)
  t.same(found, [{ kind: 'unreadable', reason: 'permission denied' }])
})

t.test('the identity of a root changes with the directory, not with its name', async (t) => {
  const dir = t.testdir({ a: {}, b: {}, file: '' })
  const [a, b] = [hostPath(join(dir, 'a')), hostPath(join(dir, 'b'))]
  const before = rootIdentity(a)
  t.match(before, { dev: /^\d+$/, ino: /^\d+$/ })
  t.notSame(rootIdentity(b), before)
  renameSync(a, join(dir, 'c'))
  t.equal(rootIdentity(a), undefined)
  t.same(rootIdentity(hostPath(join(dir, 'c'))), before)
  t.equal(rootIdentity(hostPath(join(dir, 'file'))), undefined)
})

t.test('a folder that holds only .systemsync is empty', async (t) => {
  const { root, at } = aFolder(t)
  t.equal(isEmptyFolder(root), true)
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), '')
  t.equal(isEmptyFolder(root), false)
  t.ok(at)
  t.throws(() => isEmptyFolder(hostPath(`${root}/none`)), { code: 'ENOENT' })
})
