// Packets and fields of SFTP, whole, cut in pieces and broken.

import fc from 'fast-check'
import t from 'tap'
import {
  DATA_HEADER_BYTES,
  dataPacket,
  FieldReader,
  finishDataPacket,
  MalformedPacket,
  PacketReader,
  PacketWriter,
  REPLY,
  statusPacket,
} from '../../../lib/ssh/server/sftp-wire.ts'

function framed(body: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

t.test('packets come out whole, however the stream is cut', (t) => {
  const body = fc.uint8Array({ minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(fc.array(body), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (bodies, cuts) => {
      const stream = Buffer.concat(bodies.map(framed))
      const taken: Buffer[] = []
      const reader = new PacketReader(40, (packet) => taken.push(packet))
      for (let at = 0, i = 0; at < stream.length; i++) {
        const length = cuts[i % cuts.length] ?? 1
        reader.feed(stream.subarray(at, at + length))
        at += length
      }
      return taken.length === bodies.length && taken.every((packet, i) => packet.equals(bodies[i] ?? Buffer.alloc(0)))
    }),
  )
  t.end()
})

t.test('a packet inside one chunk is a view of it', (t) => {
  const chunk = framed(Buffer.from([5, 6, 7]))
  new PacketReader(100, (packet) => {
    t.equal(packet.buffer, chunk.buffer)
    t.end()
  }).feed(chunk)
})

t.test('a length of 0, or above the limit, ends the stream before anything is allocated', (t) => {
  const reader = () => new PacketReader(100, () => t.fail('a packet came out'))
  t.throws(() => reader().feed(Buffer.from([0, 0, 0, 0])), MalformedPacket)
  t.throws(() => reader().feed(Buffer.from([0, 0, 0, 101])), MalformedPacket)
  t.throws(() => reader().feed(Buffer.from([0xff, 0xff, 0xff, 0xff])), MalformedPacket)
  t.end()
})

t.test('fields are read in order', (t) => {
  const packet = Buffer.from('0000000700000000000000090000000268690000000500000000000000080000000000', 'hex')
  const fields = new FieldReader(packet, 0)
  t.equal(fields.uint32(), 7)
  t.equal(fields.uint64(), 9)
  t.equal(fields.text(), 'hi')
  t.same(fields.attrs(), { size: 8 }, 'flags 5: size and permissions')
  t.end()
})

t.test('all parts of ATTRS are read over', (t) => {
  const hex = [
    '8000000f',
    '0000000000000003',
    '0000000100000002',
    '000001ff',
    '0000000a0000000b',
    '00000001',
    '00000001',
    '61',
    '00000001',
    '62',
    '00000063',
  ]
  const fields = new FieldReader(Buffer.from(hex.join(''), 'hex'), 0)
  t.same(fields.attrs(), { size: 3 })
  t.equal(fields.uint32(), 0x63)
  t.same(new FieldReader(Buffer.alloc(4), 0).attrs(), { size: undefined })
  t.end()
})

const BROKEN: readonly [why: string, hex: string, read: (fields: FieldReader) => unknown][] = [
  ['a number that ends too early', '000000', (fields) => fields.uint32()],
  ['a long number that ends too early', '00000000000000', (fields) => fields.uint64()],
  ['a number above 2^53', '0020000000000000', (fields) => fields.uint64()],
  ['a string longer than the packet', '0000000361', (fields) => fields.bytes()],
  ['a string of 4 GiB', 'ffffffff61', (fields) => fields.bytes()],
  ['text that is not UTF-8', '00000002c328', (fields) => fields.text()],
  ['an encoded surrogate', '00000003eda080', (fields) => fields.text()],
  ['four thousand million attributes', '80000000ffffffff', (fields) => fields.attrs()],
  ['attributes that end too early', '0000000f0000', (fields) => fields.attrs()],
]

for (const [why, hex, read] of BROKEN) {
  t.test(`${why} is malformed`, (t) => {
    t.throws(() => read(new FieldReader(Buffer.from(hex, 'hex'), 0)), MalformedPacket)
    t.end()
  })
}

t.test('replies are what the grammar says', (t) => {
  t.equal(
    statusPacket(7, 4, 'No').toString('hex'),
    '00000013' + '65' + '00000007' + '00000004' + '00000002' + '4e6f' + '00000000',
  )
  t.equal(
    new PacketWriter(REPLY.handle, 1)
      .string(Buffer.from([9]))
      .done()
      .toString('hex'),
    '0000000a' + '66' + '00000001' + '00000001' + '09',
  )
  t.equal(new PacketWriter(REPLY.version, undefined).uint32(3).done().toString('hex'), '00000005' + '02' + '00000003')
  const { packet, data } = dataPacket(4)
  data.set([1, 2, 3, 4])
  t.equal(finishDataPacket(packet, 2, 4).toString('hex'), '0000000d' + '67' + '00000002' + '00000004' + '01020304')
  t.equal(finishDataPacket(packet, 2, 2).toString('hex'), '0000000b' + '67' + '00000002' + '00000002' + '0102')
  t.end()
})

t.test('what waits to be sent holds less than twice the memory that it is long', (t) => {
  for (const used of [0, 1, 1000, 60_000, 130_000, 200_000, 261_120]) {
    const { packet, data } = dataPacket(261_120)
    data.fill('x')
    const finished = finishDataPacket(packet, 2, used)
    t.equal(finished.length, DATA_HEADER_BYTES + used)
    t.ok(finished.subarray(DATA_HEADER_BYTES).every((byte) => byte === 0x78))
    t.ok(finished.buffer.byteLength < Math.max(2 * finished.length, 2 * Buffer.poolSize), `${used} bytes`)
  }
  t.end()
})

t.test('what is written is read again', (t) => {
  const bytes = new PacketWriter(REPLY.attrs, 5).attrs({ kind: 'dir', size: 2 ** 40, mode: 0o700, mtime: 12 }).done()
  const fields = new FieldReader(bytes, 5)
  t.equal(fields.uint32(), 5)
  t.same(fields.attrs(), { size: 2 ** 40 })
  t.end()
})
