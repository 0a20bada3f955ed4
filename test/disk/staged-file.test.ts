import {
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
import { aFolder, sha256 } from './a-folder.ts'
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
