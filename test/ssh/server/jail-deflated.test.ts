// Files of the jail as frames: the same files, the same rights, and no more of anything than plain READs and WRITEs get.

import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { parseDigest } from '../../../lib/model/digest.ts'
import { hostPath } from '../../../lib/model/path.ts'
import { parseFrame, STRETCH_MAX, stretchOf } from '../../../lib/ssh/deflated-frames.ts'
import { WorkRoom } from '../../../lib/ssh/server/jail-deflated.ts'
import { jail } from '../../../lib/ssh/server/jail.ts'
import { SftpError, type ReadHandle } from '../../../lib/ssh/server/sftp-tree.ts'
import { OPEN_FLAG, REPLY, REQUEST, STATUS } from '../../../lib/ssh/server/sftp-wire.ts'
import { noise } from '../../support/contents.ts'
import { Gate, openRequest, RawPeer, request, statusWhen } from './sftp-fixture.ts'

const text = Buffer.alloc(1_000_000, 'a log of many lines is mostly words; ')
const mixed = Buffer.concat([text.subarray(0, 300_000), noise(300_000), text.subarray(0, 5000)])
const name = createHash('sha256').update('any').digest('hex')
const NEW = { create: true, exclusive: false, truncate: true }

function setUp(t: Test, frames: WorkRoom | 'none' = new WorkRoom(2)) {
  const root = t.testdir({ docs: { '.systemsync': { packs: {}, objects: { [name.slice(0, 2)]: {} } } }, other: {} })
  const own = `${root}/docs/.systemsync`
  writeFileSync(`${own}/objects/${name.slice(0, 2)}/${name}`, text)
  writeFileSync(`${own}/packs/mixed`, mixed)
  writeFileSync(`${own}/journal.db`, text)
  const view = { visible: ['docs'], told: [] as string[], canWrite: true }
  const tree = jail({
    folders: () => view.visible.map((folder) => ({ name: folder, root: hostPath(`${root}/${folder}`) })),
    client: 'ann',
    coming: (_, digest) => (digest === parseDigest(name) ? { place: `${own}/packs/mixed`, end: 100_000 } : undefined),
    watch: () => ({
      opened: () => ({
        began: (at) => {
          if (!view.canWrite) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
          view.told.push(`began ${at}`)
        },
        ended: (end) => void view.told.push(`ended ${String(end)}`),
        resized: () => undefined,
        closed: () => void view.told.push('closed'),
      }),
      forget: () => undefined,
    }),
    ...(frames === 'none' ? {} : { frames }),
  })
  const staged = (file: string) => readFileSync(`${own}/staging/ann/${file}`)
  const open = async (path: string) => await tree.openRead(path.split('/'))
  const create = async (path: string) => await tree.openWrite(path.split('/'), NEW)
  return { root, own, tree, view, staged, open, create }
}

function deflated(bytes: Uint8Array, length = bytes.length): Buffer {
  const header = Buffer.from([1, 0, 0, 0, 0])
  header.writeUInt32BE(length, 1)
  return Buffer.concat([header, deflateSync(bytes)])
}

/** The first `length` bytes from `position` on, and how long their frame was. */
async function read(file: ReadHandle, position: number, length: number) {
  const target = Buffer.alloc(length + 1)
  const got = await file.read(target, position, Math.min(target.length, file.size - position))
  const framed = parseFrame(target.subarray(0, got), length)
  return { got, bytes: framed === undefined ? undefined : await stretchOf(framed) }
}

t.test('a READ gets the bytes of its place in the file, deflated when they shrink', async (t) => {
  const { open } = setUp(t)
  for (const [path, whole, position, length, isSmaller] of [
    [`objects/${name}`, text, 0, 200_000, true],
    [`objects/${name}`, text, 999_000, 200_000, false],
    [`objects/${name}`, text, 900_000, 200_000, true],
    ['packs/mixed', mixed, 1234, 200_000, true],
    ['packs/mixed', mixed, 350_000, 200_000, false],
    [`coming/${name}`, mixed.subarray(0, 100_000), 0, 200_000, true],
    [`coming/${name}`, mixed.subarray(0, 100_000), 99_000, 200_000, false],
  ] as const) {
    const file = await open(`docs/deflated/${path}`)
    const wanted = whole.subarray(position, position + length)
    const { got, bytes } = await read(file, position, length)
    t.ok(bytes?.equals(wanted), `${path} ${position}`)
    t.equal(got < wanted.length, isSmaller)
    t.equal((await read(file, whole.length, 100)).got, 0, 'nothing is beyond its end')
    await file.close()
  }
})

t.test('a WRITE puts what its frame holds where a plain one would, and the same watch is told', async (t) => {
  const { create, staged, view } = setUp(t)
  const file = await create('docs/deflated/staging/ann/o-1')
  await file.write(deflated(text.subarray(0, 200_000)), 0)
  await file.write(Buffer.concat([Buffer.from([0]), text.subarray(200_000, 300_000)]), 200_000)
  await file.write(deflated(text.subarray(300_000, 500_000)), 300_000)
  t.ok(staged('o-1').equals(text.subarray(0, 500_000)))
  t.match(await file.stat(), { size: 500_000 })
  await file.close()
  t.same(view.told, [
    ...['began 0', 'ended 200000', 'began 200000', 'ended 300000', 'began 300000', 'ended 500000', 'closed'],
  ])
})

const good = deflated(text.subarray(0, 100_000))
const LIES: readonly (readonly [string, Buffer])[] = [
  ['no kind', Buffer.from([7, 1, 2, 3])],
  ['nothing in it', Buffer.from([0])],
  ['cut short', good.subarray(0, -10)],
  ['a bomb', deflated(Buffer.alloc(64 * 1024 * 1024), 100_000)],
  ['an honest bomb', deflated(Buffer.alloc(64 * 1024 * 1024))],
  ['a byte too long', deflated(text.subarray(0, 100_000), 99_999)],
  ['a byte too short', deflated(text.subarray(0, 100_000), 100_001)],
  ['one stretch too long', deflated(text.subarray(0, STRETCH_MAX + 1))],
  ['followed by more', Buffer.concat([good, good])],
]

for (const [what, frame] of LIES) {
  t.test(`of a frame that is not right nothing is written, and the connection lives: ${what}`, async (t) => {
    const { tree, staged, view } = setUp(t)
    const peer = new RawPeer(tree).greet()
    peer.send(openRequest(1, '/docs/deflated/staging/ann/o-1', OPEN_FLAG.write | OPEN_FLAG.create))
    const handle = await peer.handle(1)
    peer.send(request(REQUEST.write, 2).string(handle).uint64(0).string(frame))
    t.equal(await peer.status(2), STATUS.badMessage)
    t.equal(staged('o-1').length, 0)
    t.same(view.told, [])
    peer.send(request(REQUEST.write, 3).string(handle).uint64(0).string(good))
    t.equal(await peer.status(3), STATUS.ok, 'the right one after it is')
    t.ok(staged('o-1').equals(text.subarray(0, 100_000)))
  })
}

t.test('frames that come at once are written in order, and CLOSE waits for them', async (t) => {
  const { tree, staged, view } = setUp(t, new WorkRoom(4))
  const peer = new RawPeer(tree).greet()
  peer.send(openRequest(1, '/docs/deflated/staging/ann/o-1', OPEN_FLAG.write | OPEN_FLAG.create))
  const handle = await peer.handle(1)
  const step = 50_000
  for (let i = 0; i < 20; i++) {
    const bytes = text.subarray(i * step, (i + 1) * step)
    const frame = i % 3 === 0 ? Buffer.concat([Buffer.from([0]), bytes]) : deflated(bytes)
    peer.send(
      request(REQUEST.write, 10 + i)
        .string(handle)
        .uint64(i * step)
        .string(frame),
    )
  }
  peer.send(request(REQUEST.close, 50).string(handle))
  t.equal(await peer.status(50), STATUS.ok)
  t.ok(staged('o-1').equals(text))
  t.same(
    view.told.filter((line) => line.startsWith('began')),
    Array.from({ length: 20 }, (_, i) => `began ${i * step}`),
  )
})

t.test('where little is left on the disk a frame fails as a plain write does', async (t) => {
  const { tree, view, staged } = setUp(t)
  view.canWrite = false
  const peer = new RawPeer(tree).greet()
  peer.send(openRequest(1, '/docs/deflated/staging/ann/o-1', OPEN_FLAG.write | OPEN_FLAG.create))
  peer.send(
    request(REQUEST.write, 2)
      .string(await peer.handle(1))
      .uint64(0)
      .string(good),
  )
  const reply = await peer.reply(2)
  t.equal(reply?.fields.uint32(), STATUS.failure)
  t.match(reply?.fields.text(), /No space left/)
  t.equal(staged('o-1').length, 0)
})

t.test('nothing can be reached below deflated that cannot be reached without it', async (t) => {
  const { open, create, tree, own } = setUp(t)
  mkdirSync(`${own}/staging/bob`, { recursive: true })
  writeFileSync(`${own}/staging/bob/o-1`, text)
  for (const path of [
    ...['docs/deflated', 'docs/deflated/objects', 'docs/deflated/objects/x', 'docs/deflated/journal.db'],
    ...[`docs/deflated/deflated/objects/${name}`, 'docs/deflated/packed/mixed.0-100000'],
    ...['docs/deflated/staging/bob/o-1', 'docs/deflated/../journal.db', `other/deflated/objects/${name}`],
    ...[`nope/deflated/objects/${name}`, 'deflated/docs/packs/mixed', 'docs/deflated/packs/none'],
  ]) {
    t.not(await statusWhen(() => open(path)), STATUS.ok, path)
    t.not(await statusWhen(() => create(path)), STATUS.ok, path)
  }
  for (const path of [`docs/deflated/objects/${name}`, 'docs/deflated/packs/mixed', `docs/deflated/coming/${name}`]) {
    t.not(await statusWhen(() => create(path)), STATUS.ok, `write ${path}`)
    t.equal(await statusWhen(() => tree.stat(path.split('/'))), STATUS.noSuchFile)
    t.not(await statusWhen(() => tree.remove(path.split('/'))), STATUS.ok)
    t.not(await statusWhen(() => tree.rename(path.split('/'), ['docs', 'staging', 'ann', 'x'], { replace: true })), 0)
  }
  t.equal(await statusWhen(() => tree.list(['docs', 'deflated'])), STATUS.noSuchFile)
  t.same(
    (await tree.list(['docs'])).map((entry) => entry.name),
    ['staging', 'objects', 'packs'],
  )
  t.same(readdirSync(`${own}/staging`), ['bob'])
  const { open: never } = setUp(t, 'none')
  t.equal(await statusWhen(() => never(`docs/deflated/objects/${name}`)), STATUS.noSuchFile, 'without room for it')
})

t.test('access that is taken away, or a file that is renamed away, ends a handle at once', async (t) => {
  const { open, create, view, own } = setUp(t)
  const [reading, writing] = [
    await open(`docs/deflated/objects/${name}`),
    await create('docs/deflated/staging/ann/o-1'),
  ]
  view.visible = []
  t.equal(await statusWhen(() => read(reading, 0, 1000)), STATUS.noSuchFile)
  t.equal(await statusWhen(() => writing.write(good, 0)), STATUS.noSuchFile)
  view.visible = ['docs']
  const late = writing.write(good, 0)
  renameSync(`${own}/staging/ann/o-1`, `${own}/taken`)
  t.equal(await statusWhen(() => late), STATUS.noSuchFile, 'while it was inflated')
  t.equal(readFileSync(`${own}/taken`).length, 0)
})

t.test('so much is deflated or inflated at once and no more, for one and for all; the others wait', async (t) => {
  const all = new WorkRoom(3)
  const [ann, bob] = [new WorkRoom(2, all), new WorkRoom(2, all)]
  const gate = new Gate()
  const work = () => gate.pass()
  const done = Promise.all([...Array.from({ length: 5 }, () => ann.use(work)), ...[1, 2].map(() => bob.use(work))])
  const failed = ann.use(() => Promise.reject(new SftpError(STATUS.failure, 'no')))
  failed.catch(() => undefined)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(gate.reached, 3)
  gate.open()
  await done
  await t.rejects(failed, 'what fails gives its place back')
  t.equal(gate.reached, 7)
  await ann.use(work)
})

t.test('answers that nobody reads hold no more memory than they are long', async (t) => {
  const { tree } = setUp(t)
  const peer = new RawPeer(tree).greet()
  let held = 0
  peer.channel.on('data', (sent: Buffer) => (held += sent.buffer.byteLength))
  peer.send(openRequest(1, `/docs/deflated/objects/${name}`, OPEN_FLAG.read))
  const handle = await peer.handle(1)
  held = 0
  peer.send(request(REQUEST.read, 2).string(handle).uint64(0).uint32(STRETCH_MAX))
  const reply = await peer.reply(2)
  t.equal(reply?.type, REPLY.data)
  const data = reply?.fields.bytes() ?? Buffer.alloc(0)
  t.ok(data.length < 10_000)
  t.ok(held < 10_000, `${held} bytes are held for ${data.length}`)
})
