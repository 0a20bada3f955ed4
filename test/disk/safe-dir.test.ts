import { mkdirSync, readdirSync, renameSync, rmSync, rmdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DirsInRow, holdDir, SafeDirs } from '../../lib/disk/safe-dir.ts'
import { ROOT, hostPath, type RelPath } from '../../lib/model/path.ts'
import { aFolder, asNobody, isRoot, rel } from './a-folder.ts'

const namesAt = (fd: number | undefined): string[] | undefined =>
  fd === undefined ? undefined : readdirSync(`/proc/self/fd/${fd}`).sort()

t.test('a directory is opened through real directories only', async (t) => {
  const { root, outside, dirs, at } = aFolder(t)
  mkdirSync(at('a/b'), { recursive: true })
  writeFileSync(at('a/b/f'), '')
  writeFileSync(join(outside, 'secret'), '')
  symlinkSync(outside, at('link'))
  symlinkSync('a', at('inner'))
  t.same(namesAt(dirs.open(rel('a/b'))), ['f'])
  for (const path of ['link', 'link/x', 'inner', 'inner/b', 'a/b/f', 'a/b/f/x', 'none']) {
    t.equal(dirs.open(rel(path)), undefined, path)
  }
  t.ok(namesAt(dirs.open(ROOT))?.includes('a'))
  t.ok(root)
})

t.test('the root itself may be reached through a link', async (t) => {
  const { root, outside, at } = aFolder(t)
  mkdirSync(at('a'))
  symlinkSync(root, join(outside, 'way'))
  using dirs = new SafeDirs(hostPath(join(outside, 'way')))
  const fd = dirs.open(rel('a'))
  t.not(fd, undefined)
  t.equal(dirs.open(rel('a')), fd, 'and what is below it is remembered')
})

t.test('a directory that was moved, replaced or removed is not written to under its old name', async (t) => {
  const { outside, dirs, at } = aFolder(t)
  mkdirSync(at('a/b'), { recursive: true })
  writeFileSync(at('a/b/old'), '')
  t.same(namesAt(dirs.open(rel('a/b'))), ['old'])
  renameSync(at('a'), join(outside, 'a'))
  t.equal(dirs.open(rel('a/b')), undefined)
  symlinkSync(join(outside, 'a'), at('a'))
  t.equal(dirs.open(rel('a/b')), undefined)
  unlinkSync(at('a'))
  mkdirSync(at('a/b'), { recursive: true })
  t.same(namesAt(dirs.open(rel('a/b'))), [])
  rmdirSync(at('a/b'))
  t.equal(dirs.open(rel('a/b')), undefined)
})

t.test('in a row a directory is walked to once, until another is asked for or it is to be forgotten', async (t) => {
  const { dirs, at } = aFolder(t)
  mkdirSync(at('a'))
  mkdirSync(at('b'))
  const row = new DirsInRow(dirs)
  const first = row.open(rel('a'))
  renameSync(at('a'), at('moved'))
  t.equal(row.open(rel('a')), first, 'as if it were moved a moment later')
  row.forget()
  t.equal(row.open(rel('a')), undefined)
  t.ok(row.open(rel('b')) !== undefined)
  mkdirSync(at('a'))
  t.ok(row.open(rel('a')) !== undefined)
})

t.test(
  'a directory that cannot be opened leaves no closed descriptor in the row to read another file by',
  async (t) => {
    const { root, at } = aFolder(t)
    using dirs = new SafeDirs(root, 4)
    mkdirSync(at('a'))
    mkdirSync(at('b/b/b/b'), { recursive: true })
    writeFileSync(at('a/f'), '')
    const row = new DirsInRow(dirs)
    t.same(namesAt(row.open(rel('a'))), ['f'])
    t.throws(() => row.open(`b/b/b/b/${'n'.repeat(300)}` as RelPath), { code: 'ENAMETOOLONG' })
    t.same(namesAt(row.open(rel('a'))), ['f'])
  },
)

t.test('a directory that is held stays open whatever else is opened', async (t) => {
  const { root, at } = aFolder(t)
  using dirs = new SafeDirs(root, 4)
  mkdirSync(at('a'))
  mkdirSync(at('b/b/b/b'), { recursive: true })
  writeFileSync(at('a/f'), '')
  const before = readdirSync('/proc/self/fd').length
  {
    using held = holdDir(dirs.open(rel('a')) ?? -1)
    dirs.open(rel('b/b/b/b'))
    dirs.close()
    t.same(namesAt(held.fd), ['f'])
  }
  t.equal(readdirSync('/proc/self/fd').length, before)
})

t.test('a root that is swapped for another is opened anew, one that is gone is not there', async (t) => {
  const { root, dirs, at } = aFolder(t)
  mkdirSync(at('a'))
  dirs.open(rel('a'))
  renameSync(root, `${root}-old`)
  t.equal(dirs.open(ROOT), undefined)
  t.equal(dirs.open(rel('a')), undefined)
  mkdirSync(at('new'), { recursive: true })
  t.same(namesAt(dirs.open(ROOT)), ['new'])
  t.equal(dirs.open(rel('a')), undefined)
})

t.test('few descriptors are held, however many directories are asked for, and none after closing', async (t) => {
  const { root, at } = aFolder(t)
  const openNow = (): number => readdirSync('/proc/self/fd').length
  for (let i = 0; i < 40; i++) mkdirSync(at(`d${i}/e`), { recursive: true })
  const before = openNow()
  const dirs = new SafeDirs(root, 8)
  for (let i = 0; i < 40; i++) t.same(namesAt(dirs.open(rel(`d${i}/e`))), [])
  t.equal(openNow() - before, 8)
  t.same(namesAt(dirs.open(rel('d0/e'))), [])
  dirs.close()
  t.equal(openNow(), before)
  t.same(namesAt(dirs.open(rel('d0/e'))), [], 'it can be used again')
  dirs.close()
})

t.test('a very deep directory, whose place is too long to be told, is still opened', async (t) => {
  const { dirs } = aFolder(t)
  let path = ''
  for (let i = 0; i < 20; i++) {
    path += (i === 0 ? '' : '/') + String(i).padEnd(200, 'x')
    const parent = dirs.open(i === 0 ? ROOT : rel(path.slice(0, path.lastIndexOf('/'))))
    mkdirSync(`/proc/self/fd/${parent}/${path.slice(path.lastIndexOf('/') + 1)}`)
  }
  t.same(namesAt(dirs.open(rel(path))), [])
  t.same(namesAt(dirs.open(rel(path))), [])
})

t.test('names are taken as they are', async (t) => {
  const { dirs, at } = aFolder(t)
  for (const name of ['a\nb', ' ', '\u{1f600}', 'x'.repeat(255), 'gone (deleted)', '-', 'a\\b']) {
    mkdirSync(at(`${name}/in`), { recursive: true })
    t.same(namesAt(dirs.open(rel(name))), ['in'], name)
    t.same(namesAt(dirs.open(rel(name))), ['in'], name)
    rmSync(at(name), { recursive: true })
  }
})

t.test('a directory that may not be entered is a permission error, not an absence', async (t) => {
  if (!isRoot) t.comment('not root: runs as the current user')
  const base = aFolder(t).outside
  const code = asNobody(`
    import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs'
    import { SafeDirs } from '@lib/disk/safe-dir.js'
    const root = mkdtempSync('/tmp/disk-nobody-')
    mkdirSync(root + '/a/b', { recursive: true })
    chmodSync(root + '/a', 0o600)
    const dirs = new SafeDirs(root)
    let code
    try { dirs.open('a/b') } catch (error) { code = error.code }
    chmodSync(root + '/a', 0o300)
    const below = dirs.open('a/b') !== undefined
    chmodSync(root + '/a', 0o700)
    ;(await import('node:fs')).rmSync(root, { recursive: true })
    console.log(JSON.stringify([code, below]))
  `)
  t.same(code, ['EACCES', true])
  t.ok(base)
})
