// A large content on its way from one client to another, seen while it has not arrived: the author is played by hand.
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { parseDigest } from '../../lib/model/digest.ts'
import { putFrames } from '../../lib/ssh/client/frames-transfer.ts'
import { InProcess } from '../support/in-process.ts'

const MIB = 1024 * 1024
const SIZE = 24 * MIB
const HALF = 12 * MIB

const nodes = InProcess.open(t, {
  clients: ['ann', 'bob', 'carl'],
  folders: ['docs', 'private'],
  options: { docs: ['clients = ann, bob, carl'], private: ['clients = ann, carl'] },
})
await nodes.startServer()
await nodes.startClient('bob')

/** Ann by hand: says hello and that she will send `body`, and sends some of it. */
async function author(t: Test, body: Buffer, folder = 'docs') {
  const { session, peer } = await nodes.bare('ann')
  const folders = ['docs', 'private'].map((name) => ({ name, id: null, incarnation: null, cursor: 0 }))
  await nodes.ask(peer, 'mark_presence', { protocol: 1, node: 'ann', version: '0', folders })
  const sftp = await session.sftp()
  const sha256 = createHash('sha256').update(body)
  const hex = sha256.copy().digest('hex')
  const wire = sha256.digest('base64url')
  await nodes.ask(peer, 'req_push_file', { folder, files: [[wire, body.length]] })
  const local = `${nodes.dir}/body-${hex}`
  writeFileSync(local, body)
  const file = await open(local, 'r')
  t.teardown(() => file.close())
  const remote = `/${folder}/staging/ann/o-${hex}`
  return {
    hex,
    wire,
    peer,
    session,
    send: (from: number, size: number) => sftp.putFile(remote, file.fd, { from, size }, nodes.signal),
    sendFramed: (from: number, size: number) =>
      putFrames(
        sftp,
        { remote: `/${folder}/deflated/staging/ann/o-${hex}`, fd: file.fd },
        { from, size },
        nodes.signal,
      ),
    remove: () => sftp.remove(remote, nodes.signal),
    propose: () =>
      nodes.ask(peer, 'ack_push_file', {
        folder,
        proposals: [['big', 0, ['f', body.length, '1700000000000000000', 0o644, wire], Date.now(), `o-${hex}`]],
      }),
  }
}

const staging = (name: string): string => nodes.place(name).at('.systemsync/staging')

/** Bytes of the content that stand in bob's staging. */
function ahead(hex: string): number {
  const place = `${staging('bob')}/o-${hex}`
  return existsSync(place) ? statSync(place).size : -1
}

t.test('what is being sent is fetched meanwhile, and seen only when it is committed', async (t) => {
  const body = randomBytes(SIZE)
  const ann = await author(t, body)
  await ann.send(0, HALF)
  await nodes.eventually(() => ahead(ann.hex) >= 8 * MIB || `${ahead(ann.hex)} bytes are there`)
  t.notOk(nodes.place('bob').has('big'))
  await ann.send(HALF, SIZE)
  await nodes.eventually(() => ahead(ann.hex) > HALF || `${ahead(ann.hex)} bytes are there`)
  t.notOk(nodes.place('bob').has('big'), 'nothing is seen before the commit')
  const { result } = await ann.propose()
  t.match(result, { outcomes: [Number] })
  await nodes.inStep()
  t.ok(sameFile(body, 'big'))
  t.same(readdirSync(staging('bob')), [])
})

t.test('what is sent deflated, in legs of either kind, is read meanwhile byte by byte, and trusted', async (t) => {
  const body = Buffer.alloc(SIZE)
  for (let at = 0; at < SIZE; at += 32) body.write(`line ${at} of a long log\n`, at)
  const ann = await author(t, body)
  const { uploads } = nodes.hub().store
  await ann.send(0, MIB)
  await ann.sendFramed(MIB, HALF)
  await nodes.eventually(() => ahead(ann.hex) >= 8 * MIB || `${ahead(ann.hex)} bytes are there`)
  t.ok(readFileSync(`${staging('bob')}/o-${ann.hex}`).equals(body.subarray(0, ahead(ann.hex))))
  await ann.sendFramed(HALF, SIZE - MIB)
  await ann.send(SIZE - MIB, SIZE)
  const digest = parseDigest(ann.hex)
  t.equal(digest && uploads.growing(digest)?.end, SIZE, 'it was written once, in order')
  t.match((await ann.propose()).result, { outcomes: [Number] })
  await nodes.inStep()
  t.ok(sameFile(body, 'big'))
  t.same(readdirSync(staging('bob')), [])
})

t.test('an upload that broke off deflated is gone on with deflated, 4 MiB before', async (t) => {
  const body = Buffer.alloc(HALF, 'a dump of a table is mostly words; ')
  const ann = await author(t, body, 'private')
  await ann.sendFramed(0, 8 * MIB)
  const asked = await nodes.ask(ann.peer, 'req_push_file', { folder: 'private', files: [[ann.wire, HALF]] })
  t.same(asked.result, { answers: [4 * MIB] })
  await ann.sendFramed(4 * MIB, HALF)
  t.match((await ann.propose()).result, { outcomes: [Number] })
  const { server } = nodes
  await nodes.eventually(() => server.has('big', 'private') || 'it is not there')
  t.ok(server.bytes('big', 'private').equals(body))
})

t.test('what is taken back on the way leaves nothing behind', async (t) => {
  const ann = await author(t, randomBytes(SIZE))
  await ann.send(0, HALF)
  await nodes.eventually(() => ahead(ann.hex) >= 8 * MIB || `${ahead(ann.hex)} bytes are there`)
  await ann.remove()
  await nodes.eventually(() => ahead(ann.hex) === -1 || 'it is still there')
  t.equal(nodes.replica('bob').status().state, 'in step')
})

t.test('what is written anew on the way is not trusted, and arrives all the same', async (t) => {
  const body = randomBytes(SIZE)
  const ann = await author(t, body)
  await ann.send(0, HALF)
  await nodes.eventually(() => ahead(ann.hex) >= 8 * MIB || `${ahead(ann.hex)} bytes are there`)
  await ann.send(4 * MIB, SIZE)
  await nodes.eventually(() => ahead(ann.hex) === -1 || 'what was read before is still there')
  const head = nodes.hub().journal.seq()
  const { result } = await nodes.ask(ann.peer, 'ack_push_file', {
    folder: 'docs',
    proposals: [
      [
        'anew',
        0,
        ['f', SIZE, '1700000000000000000', 0o644, createHash('sha256').update(body).digest('base64url')],
        Date.now(),
        `o-${ann.hex}`,
      ],
    ],
  })
  t.match(result, { outcomes: [head + 1] })
  await nodes.inStep()
  t.ok(sameFile(body, 'anew'))
})

t.test('who does not share the folder hears nothing of it and reads nothing of it', async (t) => {
  const ann = await author(t, randomBytes(SIZE), 'private')
  await ann.send(0, HALF)
  const bob = await nodes.session('bob')
  const sftp = await bob.sftp()
  for (const folder of ['private', 'docs']) {
    await t.rejects(sftp.getRange(`/${folder}/coming/${ann.hex}`, 0, 10, nodes.signal), { message: /no such file/ })
  }
  t.equal(ahead(ann.hex), -1)
  const carl = await nodes.bare('carl')
  const folders = [{ name: 'private', id: null, incarnation: null, cursor: 0 }]
  await nodes.ask(carl.peer, 'mark_presence', { protocol: 1, node: 'carl', version: '0', folders })
  const shared = await carl.session.sftp()
  t.equal((await shared.getRange(`/private/coming/${ann.hex}`, 0, 10, nodes.signal)).length, 10)
  await t.rejects(shared.getRange(`/private/coming/${ann.hex}`, SIZE - 10, 10, nodes.signal), { message: /ends at/ })
  for (const name of ['..', 'x', `${ann.hex}/x`]) {
    await t.rejects(shared.getRange(`/private/coming/${name}`, 0, 1, nodes.signal))
  }
})

t.test('what was fetched ahead when the link broke is gone on with over the next', async (t) => {
  const body = randomBytes(SIZE)
  const ann = await author(t, body)
  await ann.send(0, HALF)
  await nodes.eventually(() => ahead(ann.hex) >= 8 * MIB || `${ahead(ann.hex)} bytes are there`)
  await nodes.stopClient('bob')
  const before = statSync(`${staging('bob')}/o-${ann.hex}`)
  await nodes.startClient('bob')
  await nodes.inStep(['server', 'bob'])
  await ann.send(HALF, SIZE)
  await nodes.eventually(() => ahead(ann.hex) > HALF || `${ahead(ann.hex)} bytes are there`)
  t.equal(statSync(`${staging('bob')}/o-${ann.hex}`).ino, before.ino)
  t.match((await ann.propose()).result, { outcomes: [Number] })
  await nodes.inStep()
  t.ok(sameFile(body, 'big'))
  t.same(readdirSync(staging('bob')), [])
})

function sameFile(body: Buffer, path: string): boolean {
  return nodes.place('bob').bytes(path).equals(body)
}
