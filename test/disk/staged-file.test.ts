import {
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { StagedFile, cleanStaging, stagedPlace } from '../../lib/disk/staged-file.ts'
import { aFolder, asNobody, isRoot, sha256 } from './a-folder.ts'
import { withTinyDisk } from './tiny-disk.ts'

t.test('a content arrives in pieces, across a restart, and is whole', async (t) => {
  const { root } = aFolder(t)
  const first = StagedFile.create(root, 'one')
  first.writeAt(0, Buffer.from('hello '))
  first.sync()
  t.equal(first.size(), 6)
  first.close()
  first.close()
  using again = StagedFile.reopen(root, 'one')
  t.equal(again?.size(), 6)
  again?.writeAt(6, Buffer.from('world!!'))
  again?.finish(11)
  t.equal(again?.digest(), sha256('hello world'))
  t.equal(
    again?.digest(() => true),
    undefined,
  )
  t.equal(readFileSync(stagedPlace(root, 'one'), 'utf8'), 'hello world')
  t.equal(lstatSync(stagedPlace(root, 'one')).mode & 0o777, 0o600)
})

t.test('a name is staged once, and one that is not there cannot be gone on with', async (t) => {
  const { root } = aFolder(t)
  using one = StagedFile.create(root, 'one')
  t.throws(() => StagedFile.create(root, 'one'), { code: 'EEXIST' })
  t.equal(StagedFile.reopen(root, 'two'), undefined)
  for (const name of ['', '.', '..', '../x', 'a/b']) t.throws(() => StagedFile.create(root, name), /not one name/)
  one.discard()
  one.discard()
  t.equal(StagedFile.reopen(root, 'one'), undefined)
})

t.test('a read-only content that did not come to its place is gone on with, also by who is not root', async (t) => {
  const found = asNobody(`
    import { chmodSync, lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
    import { createHash } from 'node:crypto'
    import { SafeDirs } from '@lib/disk/safe-dir.js'
    import { FolderWriter } from '@lib/disk/folder-writer.js'
    import { StagedFile, stagedPlace } from '@lib/disk/staged-file.js'
    import { writeMarker } from '@lib/disk/marker.js'
    const root = mkdtempSync('/tmp/disk-nobody-')
    writeMarker(root, 'x')
    const [body, name] = [Buffer.alloc(300_000, 'x'), 'o-1']
    const staged = StagedFile.create(root, name)
    staged.writeAt(0, body)
    staged.close()
    writeFileSync(root + '/pack', 'an edit in the last instant')
    const sha256 = createHash('sha256').update(body).digest('hex')
    const [result] = new FolderWriter(root, new SafeDirs(root)).apply([
      { do: 'place-file', path: 'pack', entry: { kind: 'file', size: body.length, mtimeNs: '1', mode: 0o444, sha256 },
        expect: undefined, body: { kind: 'staged', place: stagedPlace(root, name) } },
    ])
    const mode = () => (lstatSync(stagedPlace(root, name)).mode & 0o777).toString(8)
    chmodSync(stagedPlace(root, name), 0o444) // as a process leaves it that is killed before it is placed
    const left = StagedFile.reopen(root, name)
    const size = left?.size()
    left?.writeAt(0, Buffer.from('y'))
    const after = mode()
    left?.discard()
    rmSync(root, { recursive: true })
    console.log(JSON.stringify([result.kind, size, after]))
  `)
  t.same(found, ['differs', 300_000, '600'])
})

t.test('a staged file that has a second name is not gone on with, and its other name stays', async (t) => {
  const { root, at } = aFolder(t)
  const staged = StagedFile.create(root, 'one')
  staged.writeAt(0, Buffer.from('placed'))
  staged.close()
  linkSync(stagedPlace(root, 'one'), at('placed'))
  t.equal(StagedFile.reopen(root, 'one'), undefined)
  t.equal(readFileSync(at('placed'), 'utf8'), 'placed')
  StagedFile.create(root, 'one').discard()
})

t.test('a staged file of somebody else is not gone on with, and is in nobody’s way', { skip: !isRoot }, async (t) => {
  const { root } = aFolder(t)
  for (const name of ['.systemsync', '.systemsync/staging']) chownSync(`${root}/${name}`, 65534, 65534)
  writeFileSync(stagedPlace(root, 'one'), 'x', { mode: 0o600 })
  const found = asNobody(`
    import { StagedFile } from '@lib/disk/staged-file.js'
    const left = StagedFile.reopen('${root}', 'one')
    StagedFile.create('${root}', 'one').close()
    console.log(JSON.stringify(left === undefined))
  `)
  t.equal(found, true)
})

t.test('links in and on the way to staging are not followed', async (t) => {
  const { root, outside, at } = aFolder(t)
  writeFileSync(join(outside, 'victim'), 'keep')
  symlinkSync(join(outside, 'victim'), stagedPlace(root, 'one'))
  t.throws(() => StagedFile.create(root, 'one'), { code: 'EEXIST' })
  t.equal(StagedFile.reopen(root, 'one'), undefined)
  renameSync(at('.systemsync/staging'), join(outside, 'staging'))
  symlinkSync(join(outside, 'staging'), at('.systemsync/staging'))
  t.throws(() => StagedFile.create(root, 'two'), { code: 'ENOTDIR' })
  t.throws(() => StagedFile.reopen(root, 'two'), { code: 'ENOTDIR' })
  t.equal(readFileSync(join(outside, 'victim'), 'utf8'), 'keep')
})

t.test('holes stay holes, and zeros written over other bytes are zeros', async (t) => {
  const { root } = aFolder(t)
  using staged = StagedFile.create(root, 'one')
  const size = 4 * 1024 * 1024
  staged.writeAt(0, Buffer.from('start'))
  staged.writeAt(8192, Buffer.alloc(size - 8192))
  staged.finish(size)
  const stats = lstatSync(staged.place)
  t.equal(stats.size, size)
  t.ok(stats.blocks * 512 < size / 4, 'it takes little room')
  staged.writeAt(0, Buffer.alloc(8192))
  t.ok(readFileSync(staged.place).equals(Buffer.alloc(size)))
})

t.test('litter is cleaned away, but for what is kept, and never through a link', async (t) => {
  const { root, outside, staged } = aFolder(t)
  writeFileSync(join(outside, 'victim'), 'keep')
  for (const name of ['a', 'b', 'c']) StagedFile.create(root, name).close()
  symlinkSync(outside, stagedPlace(root, 'link'))
  mkdirSync(stagedPlace(root, 'dir'))
  symlinkSync(outside, join(stagedPlace(root, 'dir'), 'link'))
  t.equal(
    cleanStaging(root, (name) => name === 'b'),
    4,
  )
  t.same(staged(), ['b'])
  t.same(readdirSync(outside), ['victim'])
  rmSync(join(root, '.systemsync/staging'), { recursive: true })
  t.equal(
    cleanStaging(root, () => false),
    0,
  )
  symlinkSync(outside, join(root, '.systemsync/staging'))
  t.throws(() => cleanStaging(root, () => false), { code: 'ENOTDIR' })
  t.same(readdirSync(outside), ['victim'])
})

t.test('a full disk is told as such, with what to do', async (t) => {
  await withTinyDisk(t, ({ root, staged }) => {
    using file = StagedFile.create(root, 'big')
    const failure = { code: 'NO_SPACE', retry: 'later', hint: /Free some space/ }
    t.throws(() => file.writeAt(0, Buffer.alloc(2_000_000, 'x')), failure)
    file.discard()
    t.same(staged(), [])
  })
})
