// The SFTP server, byte by byte: what it answers, in which order, how much it holds, and what no peer can do to it.

import fc from 'fast-check'
import t from 'tap'
import { OpenRoom } from '../../../lib/ssh/server/open-room.ts'
import { FieldReader, OPEN_FLAG, PacketWriter, REPLY, REQUEST, STATUS } from '../../../lib/ssh/server/sftp-wire.ts'
import { Gate, MemoryTree, openRequest, RawPeer, request } from './sftp-fixture.ts'

const { read, write, create, append, truncate } = OPEN_FLAG

t.test('a greeting is answered with version 3 and the extensions that ssh2 clients look for', async (t) => {
  const peer = new RawPeer(new MemoryTree())
  const chunk = new Promise<Buffer>((resolve) => peer.channel.once('data', resolve))
  peer.greet()
  const fields = new FieldReader(await chunk, 4)
  t.equal((await chunk)[4], REPLY.version)
  t.equal(new FieldReader(await chunk, 5).uint32(), 3)
  const text = (await chunk).toString('latin1')
  for (const name of ['posix-rename@openssh.com', 'fsync@openssh.com', 'limits@openssh.com']) t.match(text, name)
  t.ok(fields)
  peer.channel.end()
  await peer.served
})

t.test('a file is written, read, cut, synced and closed', async (t) => {
  const tree = new MemoryTree()
  const peer = new RawPeer(tree).greet().send(openRequest(1, '/a', write | create | truncate))
  const handle = await peer.handle(1)
  t.equal(handle.length, 4, 'as aligned writes expect')
  peer.send(
    request(REQUEST.write, 2).string(handle).uint64(0).string('hello '),
    request(REQUEST.write, 3).string(handle).uint64(6).string('world'),
    request(REQUEST.fsetstat, 4).string(handle).uint32(1).uint64(11),
    request(REQUEST.fsetstat, 5).string(handle).uint32(4).uint32(0o644),
    request(REQUEST.extended, 6).string('fsync@openssh.com').string(handle),
    request(REQUEST.fstat, 7).string(handle),
    request(REQUEST.close, 8).string(handle),
    request(REQUEST.close, 9).string(handle),
    openRequest(10, 'a', read),
  )
  for (const id of [2, 3, 4, 5, 6, 8]) t.equal(await peer.status(id), STATUS.ok, `request ${id}`)
  t.equal(await peer.status(9), STATUS.failure, 'closed twice')
  t.same((await peer.reply(7))?.fields.attrs(), { size: 11 })
  t.same(tree.done, ['write a', 'write a', 'truncate a 11', 'sync a', 'close a'])
  const reader = await peer.handle(10)
  peer.send(
    request(REQUEST.read, 11).string(reader).uint64(6).uint32(100),
    request(REQUEST.read, 12).string(reader).uint64(11).uint32(100),
    request(REQUEST.read, 13).string(reader).uint64(2).uint32(3),
    request(REQUEST.write, 14).string(reader).uint64(0).string('x'),
    request(REQUEST.fsetstat, 15).string(reader).uint32(1).uint64(0),
  )
  t.equal((await peer.reply(11))?.fields.text(), 'world')
  t.equal(await peer.status(12), STATUS.eof)
  t.equal((await peer.reply(13))?.fields.text(), 'llo')
  t.equal(await peer.status(14), STATUS.permissionDenied)
  t.equal(await peer.status(15), STATUS.permissionDenied)
  peer.channel.end()
  await peer.served
  t.equal(tree.openHandles, 0, 'the handle left open is closed with the channel')
})

const SIMPLE: readonly [why: string, packet: PacketWriter, status: number][] = [
  ['an unknown request', request(99, 1), STATUS.opUnsupported],
  ['an unknown extension', request(REQUEST.extended, 1).string('copy-data'), STATUS.opUnsupported],
  ['READLINK', request(REQUEST.readlink, 1).string('/a'), STATUS.permissionDenied],
  ['SYMLINK', request(REQUEST.symlink, 1).string('/a').string('/b'), STATUS.permissionDenied],
  ['a missing file', request(REQUEST.stat, 1).string('/no'), STATUS.noSuchFile],
  ['REMOVE', request(REQUEST.remove, 1).string('/a'), STATUS.ok],
  ['MKDIR', request(REQUEST.mkdir, 1).string('/d').uint32(0), STATUS.permissionDenied],
  ['a bug in the tree', request(REQUEST.rmdir, 1).string('/d'), STATUS.failure],
  ['SETSTAT of a mode', request(REQUEST.setstat, 1).string('/a').uint32(4).uint32(0o600), STATUS.ok],
  ['SETSTAT of a missing file', request(REQUEST.setstat, 1).string('/no').uint32(0), STATUS.noSuchFile],
  ['SETSTAT of a size', request(REQUEST.setstat, 1).string('/a').uint32(1).uint64(3), STATUS.ok],
  ['opening for appending', openRequest(1, '/a', write | append), STATUS.opUnsupported],
  ['opening for nothing', openRequest(1, '/a', 0), STATUS.badMessage],
  ['a path with a NUL', request(REQUEST.stat, 1).string('/a\0b'), STATUS.badMessage],
  ['a path that is not UTF-8', request(REQUEST.stat, 1).string(Buffer.from([0xc3, 0x28])), STATUS.badMessage],
  ['a request that ends too early', request(REQUEST.open, 1).string('/a'), STATUS.badMessage],
  [
    'an offset above 2^53',
    request(REQUEST.setstat, 1)
      .string('/a')
      .uint32(1)
      .uint64(2 ** 60),
    STATUS.badMessage,
  ],
  ['a handle that was never given', request(REQUEST.close, 1).string('abcd'), STATUS.failure],
  ['a handle of another length', request(REQUEST.fstat, 1).string('abcdefgh'), STATUS.failure],
]

for (const [why, packet, status] of SIMPLE) {
  t.test(`${why} is answered with status ${status}, and the next request as ever`, async (t) => {
    const peer = new RawPeer(new MemoryTree({ a: Buffer.from('abc') })).greet()
    peer.send(packet, request(REQUEST.stat, 2).string('/'))
    t.equal(await peer.status(1), status)
    t.equal((await peer.reply(2))?.type, REPLY.attrs)
    peer.channel.end()
    await peer.served
  })
}

t.test('no message names a place of this machine', async (t) => {
  const peer = new RawPeer(new MemoryTree()).greet()
  peer.send(request(REQUEST.rmdir, 1).string('/d'), request(REQUEST.stat, 2).string('/no'))
  for (const id of [1, 2]) {
    const reply = await peer.reply(id)
    reply?.fields.uint32()
    t.notMatch(reply?.fields.text(), /secret|srv/)
  }
  peer.channel.end()
  await peer.served
})

t.test('a directory is listed in parts until its end', async (t) => {
  const files = Object.fromEntries(Array.from({ length: 130 }, (_, i) => [`f${i}`, Buffer.alloc(i)]))
  const peer = new RawPeer(new MemoryTree(files)).greet().send(request(REQUEST.opendir, 1).string('/'))
  const handle = await peer.handle(1)
  for (const id of [2, 3, 4]) peer.send(request(REQUEST.readdir, id).string(handle))
  t.equal((await peer.reply(2))?.fields.uint32(), 128)
  const rest = await peer.reply(3)
  t.equal(rest?.fields.uint32(), 2)
  t.equal(rest?.fields.text(), 'f128')
  t.match(rest?.fields.text(), /^-rw------- .* 128 .* f128$/)
  t.equal(await peer.status(4), STATUS.eof)
  peer.send(request(REQUEST.fstat, 5).string(handle), request(REQUEST.read, 6).string(handle).uint64(0).uint32(1))
  t.equal(await peer.status(5), STATUS.failure)
  t.equal(await peer.status(6), STATUS.permissionDenied)
  peer.send(openRequest(7, '/f1', read))
  peer.send(request(REQUEST.readdir, 8).string(await peer.handle(7)))
  t.equal(await peer.status(8), STATUS.failure)
  peer.channel.end()
  await peer.served
})

t.test('REALPATH stays inside the root, and limits are told', async (t) => {
  const peer = new RawPeer(new MemoryTree()).greet()
  peer.send(
    request(REQUEST.realpath, 1).string('../../x/./y/..'),
    request(REQUEST.extended, 2).string('limits@openssh.com'),
  )
  const name = await peer.reply(1)
  t.equal(name?.fields.uint32(), 1)
  t.equal(name?.fields.text(), '/x')
  const limits = await peer.reply(2)
  t.same(
    Array.from({ length: 4 }, () => limits?.fields.uint64()),
    [262144, 261120, 261120, 128],
  )
  peer.channel.end()
  await peer.served
})

t.test('only posix-rename replaces', async (t) => {
  const tree = new MemoryTree()
  const peer = new RawPeer(tree).greet()
  peer.send(
    request(REQUEST.rename, 1).string('/a').string('/b'),
    request(REQUEST.extended, 2).string('posix-rename@openssh.com').string('/c').string('/d'),
  )
  t.equal(await peer.status(2), STATUS.ok)
  t.same(tree.done, ['rename a b', 'rename c d replace'])
  peer.channel.end()
  await peer.served
})

t.test('what is sent at once happens in order: writes, close, rename, stat', async (t) => {
  const gate = new Gate()
  const tree = new MemoryTree({}, gate)
  const peer = new RawPeer(tree).greet().send(openRequest(1, '/a', write | create))
  const handle = await peer.handle(1)
  peer.send(
    request(REQUEST.write, 2).string(handle).uint64(0).string('first'),
    request(REQUEST.write, 3).string(handle).uint64(0).string('later'),
    request(REQUEST.close, 4).string(handle),
    request(REQUEST.rename, 5).string('/a').string('/b'),
    request(REQUEST.stat, 6).string('/a'),
  )
  gate.open()
  await peer.reply(6)
  t.same(tree.done, ['write a', 'write a', 'close a', 'rename a b', 'stat a'])
  t.equal(tree.files.get('a')?.toString(), 'later', 'the later write to the same bytes wins')
  t.same(
    peer.replies.map(({ id }) => id),
    [1, 2, 3, 4, 5, 6],
  )
  peer.channel.end()
  await peer.served
})

t.test('at most so many handles are open', async (t) => {
  const tree = new MemoryTree({ a: Buffer.from('x') })
  const peer = new RawPeer(tree, { handles: 2 }).greet()
  peer.send(
    openRequest(1, '/a', read),
    openRequest(2, '/a', read),
    openRequest(3, '/a', read),
    request(REQUEST.opendir, 4).string('/'),
  )
  t.equal(await peer.status(3), STATUS.failure)
  t.equal(await peer.status(4), STATUS.failure)
  peer.send(request(REQUEST.close, 5).string(await peer.handle(1)), openRequest(6, '/a', read))
  t.ok(await peer.handle(6), 'one that is closed makes room')
  peer.channel.end()
  await peer.served
  t.equal(tree.openHandles, 0)
})

t.test('on all channels together at most so many handles are open, whatever becomes of them', async (t) => {
  const tree = new MemoryTree({ a: Buffer.from('x') })
  const room = new OpenRoom(2)
  const [one, two] = [new RawPeer(tree, { handles: room }).greet(), new RawPeer(tree, { handles: room }).greet()]
  for (let id = 100; id < 110; id++) one.send(openRequest(id, '/none', read))
  t.equal(await one.status(109), STATUS.noSuchFile, 'what cannot be opened takes no room')
  one.send(openRequest(1, '/a', read), request(REQUEST.opendir, 2).string('/'))
  const listing = await one.handle(2)
  two.send(openRequest(1, '/a', read), request(REQUEST.opendir, 2).string('/'))
  t.equal(await two.status(1), STATUS.failure)
  t.equal(await two.status(2), STATUS.failure)
  one.send(request(REQUEST.close, 3).string(listing))
  t.equal(await one.status(3), STATUS.ok)
  two.send(openRequest(3, '/a', read), openRequest(4, '/a', read))
  t.ok(await two.handle(3))
  t.equal(await two.status(4), STATUS.failure)
  one.channel.end()
  await one.served
  two.send(openRequest(5, '/a', read))
  t.ok(await two.handle(5), 'a channel that is gone makes room')
  two.channel.end()
  await two.served
  t.equal(tree.openHandles, 0)
})

t.test('with too many requests waiting nothing more is read, until half of them are done', async (t) => {
  const gate = new Gate()
  const peer = new RawPeer(new MemoryTree({}, gate), { requests: 8 }).greet()
  peer.send(openRequest(1, '/a', write | create))
  const handle = await peer.handle(1)
  const more = Array.from({ length: 100 }, (_, i) =>
    request(REQUEST.write, 10 + i)
      .string(handle)
      .uint64(i)
      .string('x'.repeat(20_000)),
  )
  for (const packet of more) peer.send(packet)
  await turns()
  t.ok(peer.channel.writableLength > 0, 'the peer is held back')
  gate.open()
  t.equal(await peer.status(109), STATUS.ok)
  peer.channel.end()
  await peer.served
})

t.test('a peer that does not take its replies gets no more read for it', async (t) => {
  const gate = new Gate()
  gate.open()
  const size = 1024 * 1024
  const peer = new RawPeer(new MemoryTree({ a: Buffer.alloc(size) }, gate), { replyBytes: 1024 * 1024 }).greet()
  peer.send(openRequest(1, '/a', read))
  const handle = await peer.handle(1)
  peer.channel.pause()
  const many = Array.from({ length: 60 }, (_, i) =>
    request(REQUEST.read, 10 + i)
      .string(handle)
      .uint64(0)
      .uint32(250_000),
  )
  peer.send(...many)
  await turns()
  t.ok(gate.reached <= 6, `begun ${gate.reached} of 60`)
  peer.channel.resume()
  t.equal((await peer.reply(69))?.type, REPLY.data)
  peer.channel.end()
  await peer.served
})

t.test('READ gives no more than announced, and nothing beyond the end', async (t) => {
  const peer = new RawPeer(new MemoryTree({ a: Buffer.alloc(300_000, 7) })).greet().send(openRequest(1, '/a', read))
  const handle = await peer.handle(1)
  peer.send(
    request(REQUEST.read, 2).string(handle).uint64(0).uint32(0xffff_ffff),
    request(REQUEST.read, 3)
      .string(handle)
      .uint64(2 ** 50)
      .uint32(1),
  )
  t.equal((await peer.reply(2))?.fields.uint32(), 261120)
  t.equal(await peer.status(3), STATUS.eof)
  peer.channel.end()
  await peer.served
})

t.test('writes under way are finished before their file is closed', async (t) => {
  const gate = new Gate()
  const tree = new MemoryTree({}, gate)
  const peer = new RawPeer(tree).greet().send(openRequest(1, '/a', write | create))
  const handle = await peer.handle(1)
  peer.send(request(REQUEST.write, 2).string(handle).uint64(0).string('x'))
  await turns()
  peer.channel.destroy()
  await turns()
  t.same(tree.done, [])
  gate.open()
  await turns()
  t.ok(peer.isClosed)
})

t.test('an aborted signal ends the channel and closes the files', async (t) => {
  const tree = new MemoryTree({ a: Buffer.from('x') })
  const stop = new AbortController()
  const peer = new RawPeer(tree, {}, stop.signal).greet().send(openRequest(1, '/a', read))
  await peer.handle(1)
  stop.abort()
  await peer.served
  t.equal(tree.openHandles, 0)
  await new RawPeer(tree, {}, stop.signal).served
})

const FATAL: readonly [why: string, bytes: Uint8Array | PacketWriter][] = [
  ['a request before the greeting', request(REQUEST.stat, 1).string('/')],
  ['a length of 0', Buffer.from([0, 0, 0, 0])],
  ['a packet above 257 KiB', Buffer.from([0, 4, 4, 1, 1])],
  ['a greeting that ends too early', Buffer.from([0, 0, 0, 1, 1])],
]

for (const [why, bytes] of FATAL) {
  t.test(`${why} ends the channel`, async (t) => {
    const peer = new RawPeer(new MemoryTree()).send(bytes)
    await peer.served
    t.same(peer.replies, [])
  })
}

t.test('a second greeting, or a request without an id, ends the channel', async (t) => {
  await new RawPeer(new MemoryTree()).greet().greet().served
  await new RawPeer(new MemoryTree()).greet().send(Buffer.from([0, 0, 0, 3, 17, 0, 0])).served
  t.pass('both ended')
})

t.test('2,000 random packets are answered, or end the channel; nothing breaks', async (t) => {
  const types = [...Object.values(REQUEST), 0, 21, 101, 255].filter((type) => type !== REQUEST.init)
  const field = fc.oneof(
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    fc.nat().map((value) => new PacketWriter(0, value).done().subarray(5)),
    fc.constantFrom('/', 'a', '../..', 'fsync@openssh.com', 'posix-rename@openssh.com').map(string),
    fc.constantFrom(1, 2, 3).map((key) => Buffer.from([0, 0, 0, 4, 0, 0, 0, key])),
  )
  const packets = fc.array(fc.tuple(fc.constantFrom(...types), fc.array(field, { maxLength: 5 })), {
    minLength: 20,
    maxLength: 20,
  })
  const [...rounds] = fc.sample(packets, 100)
  for (const round of rounds) {
    const tree = new MemoryTree({ a: Buffer.from('abc') })
    const peer = new RawPeer(tree).greet()
    round.forEach(([type, fields], id) => {
      const body = Buffer.concat(fields)
      const packet = request(type, id).done()
      packet.writeUInt32BE(packet.length - 4 + body.length)
      peer.send(packet, body)
    })
    for (const id of round.keys()) if ((await peer.reply(id)) === undefined) t.ok(peer.isClosed)
    peer.channel.end()
    await peer.served
    t.equal(tree.openHandles, 0)
  }
})

function string(text: string): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(Buffer.byteLength(text))
  return Buffer.concat([head, Buffer.from(text)])
}

/** Lets everything happen that can happen without the gate. */
async function turns(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
}
