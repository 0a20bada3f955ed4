// Deflated stretches of packs: what they hold, who may have them, and how much they may take.

import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { inflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { hostPath } from '../../../lib/model/path.ts'
import { parsePackedName } from '../../../lib/ssh/server/jail-packed.ts'
import { OpenRoom } from '../../../lib/ssh/server/open-room.ts'
import { jail } from '../../../lib/ssh/server/jail.ts'
import type { ReadHandle } from '../../../lib/ssh/server/sftp-tree.ts'
import { STATUS } from '../../../lib/ssh/server/sftp-wire.ts'
import { statusWhen } from './sftp-fixture.ts'
import { noise } from '../../support/contents.ts'

const MIB = 1024 * 1024
const text = Buffer.alloc(5 * MIB, 'a pack of texts is mostly words; ')
const mixed = Buffer.concat([text.subarray(0, 100_000), noise(200_000)])

function setUp(t: Test, room: OpenRoom | 'none' = new OpenRoom(2)) {
  const root = t.testdir({
    docs: { '.systemsync': { packs: {}, objects: {} } },
    other: { '.systemsync': { packs: {} } },
  })
  const packs = `${root}/docs/.systemsync/packs`
  writeFileSync(`${packs}/text`, text)
  writeFileSync(`${packs}/mixed`, mixed)
  writeFileSync(`${packs}/a.b-c.0-10`, text.subarray(0, 50_000))
  writeFileSync(`${root}/other/.systemsync/packs/text`, text)
  const view = { visible: ['docs'] }
  const tree = jail({
    folders: () => view.visible.map((name) => ({ name, root: hostPath(`${root}/${name}`) })),
    client: 'ann',
    ...(room === 'none' ? {} : { packed: room }),
  })
  const open = async (path: string) => await tree.openRead(path.split('/'))
  return { root, packs, tree, view, open }
}

async function whole(file: ReadHandle): Promise<Buffer> {
  const target = Buffer.alloc(file.size + 10)
  let end = 0
  for (let got = 1; got > 0; end += got) got = await file.read(target.subarray(end), end, 7000)
  return target.subarray(0, end)
}

t.test('a stretch of a pack comes deflated, whole and in any pieces', async (t) => {
  const { open } = setUp(t)
  for (const [name, pack, from, to] of [
    ['text', text, 0, 4 * MIB],
    ['text', text, 5 * MIB - 10_000, 5 * MIB],
    ['mixed', mixed, 0, 90_000],
    ['a.b-c.0-10', text, 5, 40_000],
  ] as const) {
    const file = await open(`docs/packed/${name}.${from}-${to}`)
    t.ok(file.size < (to - from) / 2)
    t.match(await file.stat(), { kind: 'file', size: file.size })
    t.ok(inflateSync(await whole(file)).equals(pack.subarray(from, to)), `${name} ${from} ${to}`)
    t.equal(await file.read(Buffer.alloc(10), file.size + 5, 10), 0, 'nothing is beyond its end')
    await file.close()
  }
})

t.test('a name says one stretch of bounded length, in one way', (t) => {
  t.same(parsePackedName('k0.0-1'), { pack: 'k0', from: 0, to: 1 })
  t.same(parsePackedName('k.1-2.30-45'), { pack: 'k.1-2', from: 30, to: 45 })
  t.same(parsePackedName(`k.1-${4 * MIB + 1}`), { pack: 'k', from: 1, to: 4 * MIB + 1 })
  for (const name of [
    ...['', 'k', 'k.', 'k.1', 'k.1-', 'k.-1', 'k.1-2-3', 'k1-2', '.1-2', 'k.2-2', 'k.3-2', 'k.0-0'],
    ...['k.01-2', 'k.1-02', 'k.+1-2', 'k. 1-2', 'k.1-2 ', 'k.1e3-2000', 'k.0x1-2', 'k.1-2\n', 'k.1.5-2', 'k.1-١'],
    ...[`k.0-${4 * MIB + 1}`, 'k.0-9007199254740993', 'k.0-9999999999999', `k.${'9'.repeat(400)}-${'9'.repeat(401)}`],
  ])
    t.equal(parsePackedName(name), undefined, JSON.stringify(name))
  t.end()
})

t.test('nothing but a stretch of a pack that may be seen is opened', async (t) => {
  const { open, tree, packs, root } = setUp(t)
  mkdirSync(`${packs}/dir`)
  symlinkSync(`${root}/other/.systemsync/packs/text`, `${packs}/link`)
  execFileSync('mkfifo', [`${packs}/pipe`])
  writeFileSync(`${root}/docs/.systemsync/journal.db`, text)
  for (const [path, status] of [
    ['docs/packed', STATUS.noSuchFile],
    ['docs/packed/text', STATUS.noSuchFile],
    ['docs/packed/none.0-10000', STATUS.noSuchFile],
    ['docs/packed/text.0-10000/x', STATUS.noSuchFile],
    [`docs/packed/text.0-${5 * MIB}`, STATUS.noSuchFile],
    [`docs/packed/text.${5 * MIB - 10_000}-${5 * MIB + 1}`, STATUS.failure],
    ['docs/packed/text.99999999999-99999999999', STATUS.noSuchFile],
    ['docs/packed/text.99999990000-99999999999', STATUS.failure],
    ['other/packed/text.0-10000', STATUS.noSuchFile],
    ['nope/packed/text.0-10000', STATUS.noSuchFile],
    ['docs/packed/...0-10000', STATUS.noSuchFile],
    ['docs/packed/dir.0-10000', STATUS.permissionDenied],
    ['docs/packed/link.0-10000', STATUS.permissionDenied],
    ['docs/packed/pipe.0-10000', STATUS.permissionDenied],
  ] as const)
    t.equal(await statusWhen(() => open(path)), status, path)
  for (const name of ['..', '../journal.db.0-10000', '../packs/text.0-10000', '/etc/passwd.0-10', 'a\0.0-10'])
    t.equal(await statusWhen(() => tree.openRead(['docs', 'packed', name])), STATUS.noSuchFile, JSON.stringify(name))
  const file = ['docs', 'packed', 'text.0-10000']
  t.equal(await statusWhen(() => tree.stat(file)), STATUS.noSuchFile)
  t.equal(await statusWhen(() => tree.list(['docs', 'packed'])), STATUS.noSuchFile)
  t.not(await statusWhen(() => tree.openWrite(file, { create: true, exclusive: false, truncate: true })), STATUS.ok)
  t.not(await statusWhen(() => tree.remove(file)), STATUS.ok)
  t.same(
    (await tree.list(['docs'])).map(({ name }) => name),
    ['staging', 'objects', 'packs'],
  )
  renameSync(packs, `${packs}-real`)
  symlinkSync('packs-real', packs)
  t.equal(await statusWhen(() => open('docs/packed/text.0-10000')), STATUS.permissionDenied, 'packs is a link')
})

t.test('what does not shrink, or is little, is not given so', async (t) => {
  const { open } = setUp(t)
  t.equal(await statusWhen(() => open('docs/packed/mixed.100000-300000')), STATUS.failure)
  t.equal(await statusWhen(() => open('docs/packed/text.0-100')), STATUS.failure)
})

t.test('access that is taken away ends at once', async (t) => {
  const { open, view } = setUp(t)
  const file = await open('docs/packed/text.0-100000')
  view.visible = []
  t.equal(await statusWhen(() => file.read(Buffer.alloc(10), 0, 10)), STATUS.noSuchFile)
  t.equal(await statusWhen(() => open('docs/packed/text.0-100000')), STATUS.noSuchFile)
  await file.close()
})

t.test('so many are open and no more, each gives its place back once, and who fails takes none', async (t) => {
  const { open } = setUp(t)
  const good = () => open('docs/packed/text.0-100000')
  for (let i = 0; i < 5; i++) t.equal(await statusWhen(() => open('docs/packed/mixed.100000-300000')), STATUS.failure)
  for (let i = 0; i < 5; i++) t.equal(await statusWhen(() => open('docs/packed/none.0-10000')), STATUS.noSuchFile)
  const [first] = [await good(), await good()]
  t.equal(await statusWhen(good), STATUS.failure)
  await first?.close()
  await first?.close()
  await good()
  t.equal(await statusWhen(good), STATUS.failure)
  const { open: never } = setUp(t, 'none')
  t.equal(
    await statusWhen(() => never('docs/packed/text.0-100000')),
    STATUS.noSuchFile,
    'where there is no room at all',
  )
})

t.test('opened at once they count as much as one after the other', async (t) => {
  const { open } = setUp(t)
  const all = await Promise.allSettled(Array.from({ length: 6 }, () => open('docs/packed/text.0-4000000')))
  t.equal(all.filter(({ status }) => status === 'fulfilled').length, 2)
})
