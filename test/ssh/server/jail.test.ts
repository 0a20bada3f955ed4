// The jail: what a client can reach, and above all what it cannot.

import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { hostPath } from '../../../lib/model/path.ts'
import { jail, type JailFolder } from '../../../lib/ssh/server/jail.ts'
import type { Attrs, ReadHandle, SftpTree, WriteHandle } from '../../../lib/ssh/server/sftp-tree.ts'
import { STATUS } from '../../../lib/ssh/server/sftp-wire.ts'
import { parseVirtualPath } from '../../../lib/ssh/server/virtual-path.ts'
import { statusWhen } from './sftp-fixture.ts'

const SHA = 'ab' + '0'.repeat(62)
const NEW = { create: true, exclusive: false, truncate: true }
const OLD = { create: false, exclusive: false, truncate: false }

function setUp(t: Test, client = 'ann') {
  const root = t.testdir({
    docs: {
      'private.txt': 'private',
      '.systemsync': {
        'journal.db': 'secret',
        objects: { ab: { [SHA]: 'object' }, zz: {}, 'not.dir': 'x' },
        packs: { p1: 'pack' },
        staging: { ann: { mine: 'mine' }, bob: { his: 'his' } },
      },
    },
    other: { '.systemsync': { packs: { p2: 'other' } } },
  })
  const view: { client: string | undefined; visible: string[] } = { client, visible: ['docs'] }
  const folders = (): JailFolder[] => view.visible.map((name) => ({ name, root: hostPath(`${root}/${name}`) }))
  const tree = jail({
    folders,
    get client() {
      return view.client
    },
  })
  return { root, own: `${root}/docs/.systemsync`, tree, view }
}

function at(path: string): string[] {
  const names = parseVirtualPath(path)
  if (names === undefined) throw new Error('not a path')
  return names
}

async function readAll(tree: SftpTree, path: string): Promise<string> {
  const file: ReadHandle = await tree.openRead(at(path))
  const target = Buffer.alloc(file.size)
  await file.read(target, 0, file.size)
  await file.close()
  return target.toString()
}

async function writeAll(tree: SftpTree, path: string, bytes: Buffer): Promise<void> {
  const file: WriteHandle = await tree.openWrite(at(path), NEW)
  await file.write(bytes, 0)
  await file.close()
}

t.test('a client reads objects and packs by their names', async (t) => {
  const { tree } = setUp(t)
  t.equal(await readAll(tree, `/docs/objects/${SHA}`), 'object')
  t.equal(await readAll(tree, '/docs/packs/p1'), 'pack')
  t.match(await tree.stat(at(`/docs/objects/${SHA}`)), { kind: 'file', size: 6 })
})

t.test('a client writes, reads, renames and removes in its own staging', async (t) => {
  const { tree, own } = setUp(t)
  await writeAll(tree, '/docs/staging/ann/new', Buffer.from('hello'))
  t.equal(statSync(`${own}/staging/ann/new`).mode & 0o777, 0o600)
  t.equal(await readAll(tree, '/docs/staging/ann/new'), 'hello')
  t.equal(
    await statusWhen(() => tree.rename(at('/docs/staging/ann/new'), at('/docs/staging/ann/mine'), { replace: false })),
    STATUS.failure,
  )
  await tree.rename(at('/docs/staging/ann/new'), at('/docs/staging/ann/mine'), { replace: true })
  await tree.rename(at('/docs/staging/ann/mine'), at('/docs/staging/ann/free'), { replace: false })
  t.same(readdirSync(`${own}/staging/ann`), ['free'])
  await tree.remove(at('/docs/staging/ann/free'))
  t.same(readdirSync(`${own}/staging/ann`), [])
})

t.test('large writes and reads are whole, at any offset', async (t) => {
  const { tree } = setUp(t)
  const bytes = Buffer.alloc(300_000, 'abcdefg')
  await writeAll(tree, '/docs/staging/ann/big', bytes)
  const file = await tree.openWrite(at('/docs/staging/ann/big'), OLD)
  await file.write(Buffer.alloc(40_000, 'x'), 299_000)
  await file.truncate(310_000)
  await file.sync()
  t.match(await file.stat(), { size: 310_000 })
  await file.close()
  const wanted = Buffer.concat([bytes.subarray(0, 299_000), Buffer.alloc(11_000, 'x')])
  t.ok(Buffer.from(await readAll(tree, '/docs/staging/ann/big')).equals(wanted))
})

t.test('the directory of a client is made when it is first written to', async (t) => {
  const { tree, own, view } = setUp(t)
  view.client = 'carl'
  t.match(await tree.stat(at('/docs/staging/carl')), { kind: 'dir' })
  t.same(await tree.list(at('/docs/staging/carl')), [])
  t.equal(await statusWhen(() => tree.openWrite(at('/docs/staging/carl/a'), OLD)), STATUS.noSuchFile)
  t.notOk(readdirSync(`${own}/staging`).includes('carl'), 'looking makes nothing')
  await writeAll(tree, '/docs/staging/carl/a', Buffer.from('a'))
  t.equal(statSync(`${own}/staging/carl`).mode & 0o777, 0o700)
})

t.test('a folder that has lost its own directory gets no new one', async (t) => {
  const { tree, own } = setUp(t)
  renameSync(own, `${own}-gone`)
  t.equal(await statusWhen(() => tree.openWrite(at('/docs/staging/ann/a'), NEW)), STATUS.noSuchFile)
})

const UNREACHABLE: readonly [why: string, path: string][] = [
  ['the files of the folder', '/docs/private.txt'],
  ['the own directory', '/docs/.systemsync'],
  ['the journal', '/docs/.systemsync/journal.db'],
  ['the journal by way of packs', '/docs/packs/../journal.db'],
  ['what lies above', '/../../etc/passwd'],
  ['an absolute place', '/etc/passwd'],
  ["another client's directory", '/docs/staging/bob'],
  ["another client's file", '/docs/staging/bob/his'],
  ["another client's file by way of the own", '/docs/staging/ann/../bob/his'],
  ['a folder that is not shared', '/other/packs/p2'],
  ['a folder that is not shared, itself', '/other'],
  ['a place below a file', '/docs/packs/p1/x'],
  ['a place below a staged file', '/docs/staging/ann/mine/x'],
  ['an object by another name', '/docs/objects/not.dir'],
  ['an object by its upper-case name', `/docs/objects/${SHA.toUpperCase()}`],
  ['the place of an object on disk', `/docs/objects/ab/${SHA}`],
  ['a missing object', `/docs/objects/${'1'.repeat(64)}`],
  ['an unknown area', '/docs/base/x'],
  ['an unknown folder', '/nope/packs/p1'],
]

for (const [why, path] of UNREACHABLE) {
  t.test(`cannot be reached: ${why}`, async (t) => {
    const { tree, own } = setUp(t)
    t.equal(await statusWhen(() => tree.stat(at(path))), STATUS.noSuchFile)
    t.not(await statusWhen(() => tree.openRead(at(path))), STATUS.ok)
    t.not(await statusWhen(() => tree.list(at(path))), STATUS.ok)
    t.not(await statusWhen(() => tree.openWrite(at(path), NEW)), STATUS.ok)
    t.not(await statusWhen(() => tree.remove(at(path))), STATUS.ok)
    t.not(await statusWhen(() => tree.rename(at(path), at('/docs/staging/ann/x'), { replace: true })), STATUS.ok)
    t.not(await statusWhen(() => tree.rename(at('/docs/staging/ann/mine'), at(path), { replace: true })), STATUS.ok)
    t.equal(readFileSync(`${own}/staging/bob/his`, 'utf8'), 'his')
    t.equal(readFileSync(`${own}/journal.db`, 'utf8'), 'secret')
  })
}

for (const path of [`/docs/objects/${SHA}`, '/docs/packs/p1', '/docs/packs/new', `/docs/objects/${'1'.repeat(64)}`]) {
  t.test(`cannot be changed: ${path}`, async (t) => {
    const { tree, own } = setUp(t)
    t.equal(await statusWhen(() => tree.openWrite(at(path), NEW)), STATUS.permissionDenied)
    t.equal(await statusWhen(() => tree.remove(at(path))), STATUS.permissionDenied)
    t.equal(
      await statusWhen(() => tree.rename(at('/docs/staging/ann/mine'), at(path), { replace: true })),
      STATUS.permissionDenied,
    )
    t.same(readdirSync(`${own}/packs`), ['p1'])
  })
}

for (const name of ['a b', 'ä', 'a\\b', 'x'.repeat(81), '-;', '$HOME']) {
  t.test(`no staged file is called ${JSON.stringify(name)}`, async (t) => {
    const { tree } = setUp(t)
    t.equal(await statusWhen(() => tree.openWrite(['docs', 'staging', 'ann', name], NEW)), STATUS.permissionDenied)
  })
}

t.test('directories can be neither made nor removed, and are no files', async (t) => {
  const { tree } = setUp(t)
  t.equal(await statusWhen(() => tree.makeDirectory(at('/docs/staging/ann/d'))), STATUS.permissionDenied)
  t.equal(await statusWhen(() => tree.removeDirectory(at('/docs/staging/ann'))), STATUS.permissionDenied)
  for (const path of ['/', '/docs', '/docs/staging', '/docs/staging/ann', '/docs/objects', '/docs/packs']) {
    t.match(await tree.stat(at(path)), { kind: 'dir' })
    t.equal(await statusWhen(() => tree.openRead(at(path))), STATUS.failure)
    t.equal(await statusWhen(() => tree.openWrite(at(path), NEW)), STATUS.permissionDenied)
    t.equal(await statusWhen(() => tree.remove(at(path))), STATUS.permissionDenied)
  }
  t.equal(await statusWhen(() => tree.list(at('/docs/packs/p1'))), STATUS.failure)
})

t.test('a link planted in the own directory leads nowhere', async (t) => {
  const { tree, own, root } = setUp(t)
  mkdirSync(`${root}/outside`)
  writeFileSync(`${root}/outside/secret`, 'secret')
  symlinkSync(`${root}/outside/secret`, `${own}/staging/ann/file-link`)
  symlinkSync(`${root}/outside/new`, `${own}/staging/ann/dangling`)
  symlinkSync(`${root}/outside`, `${own}/objects/00`)
  for (const path of ['file-link', 'dangling']) {
    t.equal(await statusWhen(() => tree.openRead(at(`/docs/staging/ann/${path}`))), STATUS.permissionDenied)
    t.equal(await statusWhen(() => tree.openWrite(at(`/docs/staging/ann/${path}`), NEW)), STATUS.permissionDenied)
    t.equal(await statusWhen(() => tree.stat(at(`/docs/staging/ann/${path}`))), STATUS.noSuchFile)
  }
  t.equal(await statusWhen(() => tree.openRead(at(`/docs/objects/${'0'.repeat(64)}`))), STATUS.permissionDenied)
  t.same(
    (await tree.list(at('/docs/staging/ann'))).map(({ name }) => name),
    ['mine'],
  )
  t.same(readdirSync(`${root}/outside`), ['secret'])
})

t.test('a directory that is a link is no directory', async (t) => {
  const { tree, own, root, view } = setUp(t)
  mkdirSync(`${root}/outside`)
  writeFileSync(`${root}/outside/secret`, 'secret')
  view.client = 'carl'
  symlinkSync(`${root}/outside`, `${own}/staging/carl`)
  t.equal(await statusWhen(() => tree.openRead(at('/docs/staging/carl/secret'))), STATUS.permissionDenied)
  t.equal(await statusWhen(() => tree.openWrite(at('/docs/staging/carl/new'), NEW)), STATUS.permissionDenied)
  t.equal(await statusWhen(() => tree.list(at('/docs/staging/carl'))), STATUS.permissionDenied)
  t.equal(await statusWhen(() => tree.stat(at('/docs/staging/carl'))), STATUS.permissionDenied)
  renameSync(`${own}/packs`, `${own}/packs-real`)
  symlinkSync('packs-real', `${own}/packs`)
  t.equal(await statusWhen(() => tree.openRead(at('/docs/packs/p1'))), STATUS.permissionDenied)
  t.same(readdirSync(`${root}/outside`), ['secret'])
})

t.test('a folder whose root is reached through a link works', async (t) => {
  const { root } = setUp(t)
  symlinkSync('docs', `${root}/docs-link`)
  const tree = jail({ folders: () => [{ name: 'docs', root: hostPath(`${root}/docs-link`) }], client: 'ann' })
  t.equal(await readAll(tree, '/docs/packs/p1'), 'pack')
})

t.test('a pipe is not opened, and nobody waits for its other end', async (t) => {
  const { tree, own } = setUp(t)
  execFileSync('mkfifo', [`${own}/staging/ann/pipe`])
  t.equal(await statusWhen(() => tree.openRead(at('/docs/staging/ann/pipe'))), STATUS.permissionDenied)
  t.not(await statusWhen(() => tree.openWrite(at('/docs/staging/ann/pipe'), OLD)), STATUS.ok)
})

t.test('without a name there is no staging', async (t) => {
  const { tree, view } = setUp(t)
  for (const client of [undefined, '', '.', '..', 'a/b', '../staging/bob']) {
    view.client = client
    t.equal(await statusWhen(() => tree.stat(at('/docs/staging'))), STATUS.noSuchFile)
    t.equal(await statusWhen(() => tree.openWrite(['docs', 'staging', client ?? '', 'x'], NEW)), STATUS.noSuchFile)
    t.same(
      (await tree.list(at('/docs'))).map(({ name }) => name),
      ['objects', 'packs'],
    )
  }
})

t.test('access that is taken away ends at once, also for open files', async (t) => {
  const { tree, view } = setUp(t)
  const reader = await tree.openRead(at('/docs/packs/p1'))
  const writer = await tree.openWrite(at('/docs/staging/ann/mine'), OLD)
  view.visible = []
  t.same(await tree.list([]), [])
  t.equal(await statusWhen(() => reader.read(Buffer.alloc(4), 0, 4)), STATUS.noSuchFile)
  t.equal(await statusWhen(() => writer.write(Buffer.from('x'), 0)), STATUS.noSuchFile)
  await reader.close()
  await writer.close()
})

t.test('a handle kept open does not reach a file that was taken out of staging', async (t) => {
  const { tree, own } = setUp(t)
  const writer = await tree.openWrite(at('/docs/staging/ann/mine'), OLD)
  renameSync(`${own}/staging/ann/mine`, `${own}/objects/ab/taken`)
  t.equal(await statusWhen(() => writer.write(Buffer.from('evil'), 0)), STATUS.noSuchFile)
  t.equal(await statusWhen(() => writer.truncate(0)), STATUS.noSuchFile)
  writeFileSync(`${own}/staging/ann/mine`, 'another')
  t.equal(await statusWhen(() => writer.write(Buffer.from('evil'), 0)), STATUS.noSuchFile)
  t.equal(readFileSync(`${own}/objects/ab/taken`, 'utf8'), 'mine')
  await writer.close()
})

t.test('what waits to be written does not reach a file that was taken out of staging meanwhile', async (t) => {
  const { tree, own } = setUp(t)
  const writer = await tree.openWrite(at('/docs/staging/ann/mine'), OLD)
  const large = 64 * 1024
  const begun = statusWhen(() => writer.write(Buffer.alloc(large, 'a'), 0))
  const waiting = [1, 2].map((at) => statusWhen(() => writer.write(Buffer.alloc(large, 'evil'), at * large)))
  const small = statusWhen(() => writer.write(Buffer.from('evil'), 0))
  renameSync(`${own}/staging/ann/mine`, `${own}/objects/ab/taken`)
  t.equal(await begun, STATUS.ok, 'what was begun before is done')
  t.same(await Promise.all(waiting), [STATUS.noSuchFile, STATUS.noSuchFile])
  t.equal(await small, STATUS.noSuchFile)
  t.ok(readFileSync(`${own}/objects/ab/taken`).equals(Buffer.alloc(large, 'a')))
  await writer.close()
})

t.test('an exclusive file is not opened twice', async (t) => {
  const { tree } = setUp(t)
  t.equal(
    await statusWhen(() => tree.openWrite(at('/docs/staging/ann/mine'), { ...NEW, exclusive: true })),
    STATUS.failure,
  )
})

t.test('a listing shows what exists and may be seen', async (t) => {
  const { tree } = setUp(t)
  const names = async (path: string) => (await tree.list(at(path))).map(({ name }) => name).sort()
  t.same(await names('/'), ['docs'])
  t.same(await names('/docs'), ['objects', 'packs', 'staging'])
  t.same(await names('/docs/staging'), ['ann'])
  t.same(await names('/docs/staging/ann'), ['mine'])
  t.same(await names('/docs/objects'), [SHA])
  t.same(await names('/docs/packs'), ['p1'])
})

t.test('a listing is bounded', async (t) => {
  const { tree, own } = setUp(t)
  for (let i = 0; i < 1010; i++) linkSync(`${own}/packs/p1`, `${own}/packs/p1-${i}`)
  t.equal((await tree.list(at('/docs/packs'))).length, 1000)
})

t.test('times before 1970 are told as 1970', async (t) => {
  const { tree, own } = setUp(t)
  execFileSync('touch', ['-d', '1960-01-01', `${own}/packs/p1`])
  const attrs: Attrs = await tree.stat(at('/docs/packs/p1'))
  t.equal(attrs.mtime, 0)
})
