// Frames: what they hold comes out as it went in, and nothing else is taken for one.

import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { AS_IS_HEADER, frameInPlace, Looks, parseFrame, STRETCH_MAX, stretchOf } from '../../lib/ssh/deflated-frames.ts'
import { noise } from '../support/contents.ts'

const text = Buffer.alloc(STRETCH_MAX, 'a log of many lines is mostly words; ')

async function frameOf(bytes: Uint8Array, looks = new Looks()): Promise<Buffer> {
  const target = Buffer.alloc(AS_IS_HEADER + bytes.length)
  target.set(bytes, AS_IS_HEADER)
  return target.subarray(0, await frameInPlace(target, bytes.length, looks))
}

async function heldBy(frame: Buffer, most = STRETCH_MAX): Promise<Buffer | undefined> {
  const framed = parseFrame(frame, most)
  return framed === undefined ? undefined : await stretchOf(framed)
}

function deflated(length: number, bytes: Uint8Array): Buffer {
  const header = Buffer.from([1, 0, 0, 0, 0])
  header.writeUInt32BE(length, 1)
  return Buffer.concat([header, bytes])
}

t.test('a stretch comes out of its frame as it went in, and is deflated when it shrinks', async (t) => {
  for (const [what, bytes, isSmaller] of [
    ['text', text, true],
    ['zeros', Buffer.alloc(STRETCH_MAX), true],
    ['noise', noise(STRETCH_MAX), false],
    ['little', text.subarray(0, 5000), false],
    ['just enough', text.subarray(0, 8192), true],
    ['one byte', text.subarray(0, 1), false],
    ['noise first', Buffer.concat([noise(20_000), text.subarray(0, 100_000)]), false],
    ['noise after', Buffer.concat([text.subarray(0, 20_000), noise(200_000)]), false],
  ] as const) {
    const frame = await frameOf(bytes)
    t.equal(frame.length < bytes.length, isSmaller, what)
    t.ok(frame.length <= bytes.length + AS_IS_HEADER, what)
    t.ok((await heldBy(frame))?.equals(bytes), what)
  }
})

t.test('what is no frame, or holds more than it may, is not taken for one', async (t) => {
  const good = deflateSync(text)
  const broken = Buffer.from(good)
  broken.writeUInt8((broken[100] ?? 0) ^ 0x55, 100)
  for (const [what, frame] of [
    ['nothing', Buffer.alloc(0)],
    ['nothing as it is', Buffer.from([0])],
    ['another kind', Buffer.concat([Buffer.from([2]), text])],
    ['a bare header', deflated(text.length, Buffer.alloc(0))],
    ['a cut header', Buffer.from([1, 0, 0])],
    ['more than it may as it is', Buffer.concat([Buffer.from([0]), text, text])],
    ['more than it may deflated', deflated(text.length + 1, deflateSync(Buffer.concat([text, Buffer.from('x')])))],
    ['4 GiB', deflated(0xffff_ffff, good)],
    ['too little to be worth it', deflated(100, deflateSync(text.subarray(0, 100)))],
    ['a byte more than it says', deflated(text.length - 1, good)],
    ['a byte less than it says', deflated(text.length, deflateSync(text.subarray(1)))],
    ['a bomb', deflated(8192, deflateSync(Buffer.alloc(64 * 1024 * 1024)))],
    ['something behind', deflated(text.length, Buffer.concat([good, Buffer.from('x')]))],
    ['cut short', deflated(text.length, good.subarray(0, -5))],
    ['broken', deflated(text.length, broken)],
    ['noise', deflated(100_000, noise(50_000))],
  ] as const)
    t.equal(await heldBy(frame), undefined, what)
  t.ok((await heldBy(deflated(text.length, good)))?.equals(text), 'and the right one is')
})

t.test('no bytes at all break the reader', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(2), async (bytes, kind) => {
      const held = await heldBy(Buffer.from([kind, ...bytes]), 100)
      t.ok(held === undefined || held.length <= 100)
    }),
  )
})

t.test('after four stretches in a row that do not shrink, only one of many is looked at until one shrinks', (t) => {
  const looks = new Looks()
  const lookedAt = (count: number, shrank: boolean) => {
    let looked = 0
    for (let i = 0; i < count; i++) {
      if (!looks.take()) continue
      looked++
      looks.tried(shrank)
    }
    return looked
  }
  t.equal(lookedAt(3, false), 3)
  t.equal(lookedAt(10, true), 10, 'one that shrinks in between')
  t.equal(lookedAt(4, false), 4)
  t.equal(lookedAt(170, false), 10, 'one of 17')
  t.equal(lookedAt(17 + 20, true), 21)
  t.end()
})
