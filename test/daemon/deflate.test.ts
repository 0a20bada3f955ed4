import fc from 'fast-check'
import { deflateSync } from 'node:zlib'
import t from 'tap'
import {
  DEFLATED_MIN,
  deflateIfWorth,
  inflateExactly,
  inflateExactlySync,
  worthBelow,
} from '../../lib/daemon/deflate.ts'
import { noise } from '../support/contents.ts'

const KIB = 1024
const words = (size: number): Buffer => Buffer.alloc(size, 'the same few words, again and again; ')

t.test('what shrinks is deflated, and comes out as it was', async (t) => {
  for (const size of [DEFLATED_MIN, 100 * KIB, 256 * KIB + 1, 4096 * KIB]) {
    const bytes = words(size)
    const deflated = await deflateIfWorth(bytes)
    t.ok(deflated !== undefined && deflated.length < size / 2, `${size} bytes`)
    const back = await inflateExactly(deflated ?? bytes, size)
    t.ok(back !== undefined && bytes.equals(back))
    t.ok(bytes.equals(inflateExactlySync(deflated ?? bytes, size) ?? Buffer.alloc(0)))
  }
})

t.test('what is few, has no pattern, or is deflated already is left alone', async (t) => {
  t.equal(await deflateIfWorth(words(DEFLATED_MIN - 1)), undefined)
  for (const size of [DEFLATED_MIN, 256 * KIB, 1024 * KIB]) t.equal(await deflateIfWorth(noise(size)), undefined)
  t.equal(await deflateIfWorth(deflateSync(Buffer.from(noise(1024 * KIB).toString('hex')))), undefined)
})

t.test('a little that shrinks in much that does not is left alone, wherever it is', async (t) => {
  for (const at of [0, 500 * KIB, 900 * KIB]) {
    const bytes = noise(1024 * KIB)
    words(100 * KIB).copy(bytes, at)
    t.equal(await deflateIfWorth(bytes), undefined, `at ${at}`)
  }
})

t.test('what is deflated is always worth it, and comes out as it was', async () => {
  const parts = fc.array(fc.record({ size: fc.integer({ min: 1, max: 200 * KIB }), isNoise: fc.boolean() }), {
    minLength: 1,
    maxLength: 6,
  })
  await fc.assert(
    fc.asyncProperty(parts, async (parts) => {
      const bytes = Buffer.concat(parts.map(({ size, isNoise }) => (isNoise ? noise(size) : words(size))))
      const deflated = await deflateIfWorth(bytes)
      if (deflated === undefined) return true
      const back = await inflateExactly(deflated, bytes.length)
      return deflated.length < worthBelow(bytes.length) && back !== undefined && bytes.equals(back)
    }),
    { numRuns: 30 },
  )
})

t.test('what is broken, cut short, longer, shorter or followed by more does not come out at all', async (t) => {
  const size = 300 * KIB
  const deflated = deflateSync(words(size))
  const changed = Buffer.from(deflated)
  changed.writeUInt8((changed.at(-1) ?? 0) ^ 1, changed.length - 1)
  const spoiled: readonly (readonly [string, Buffer, number])[] = [
    ['nothing', Buffer.alloc(0), size],
    ['no such format', noise(1000), size],
    ['a check sum that is not right', changed, size],
    ['cut short', deflated.subarray(0, -5), size],
    ['one byte more than is expected', deflated, size - 1],
    ['one byte less', deflated, size + 1],
    ['a thousand times what is expected', deflateSync(Buffer.alloc(10_000 * KIB)), 10 * KIB],
    ['more after its end', Buffer.concat([deflated, Buffer.from('x')]), size],
    ['two of them', Buffer.concat([deflated, deflated]), 2 * size],
    ['nothing that is nothing', deflateSync(Buffer.alloc(0)), 0],
  ]
  for (const [why, bytes, length] of spoiled) {
    t.equal(await inflateExactly(bytes, length), undefined, why)
    t.equal(inflateExactlySync(bytes, length), undefined, why)
  }
})

t.test('what comes out has a buffer of its own, that can be given away', async (t) => {
  for (const size of [DEFLATED_MIN, 300 * KIB]) {
    const back = await inflateExactly(deflateSync(words(size)), size)
    t.ok(back !== undefined && back.buffer.byteLength < size + KIB && back.byteOffset === 0)
  }
})
