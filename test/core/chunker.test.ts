import { createHash } from 'node:crypto'
import t from 'tap'
import { CHUNK_MAX, CHUNK_MIN, chunkLength } from '../../lib/core/chunker.ts'
import { chunksOf, noise } from '../support/contents.ts'

t.test('the chunks of a content are the content, and none but the last is outside the limits', async (t) => {
  const content = noise(4_000_000, 7)
  const chunks = chunksOf(content)
  t.ok(Buffer.concat(chunks).equals(content))
  t.ok(chunks.slice(0, -1).every((chunk) => chunk.length >= CHUNK_MIN && chunk.length <= CHUNK_MAX))
  const mean = content.length / chunks.length
  t.ok(mean > 24_000 && mean < 50_000, `about 32 KiB each, got ${mean}`)
})

t.test('the cuts are part of what is kept: they are the same for ever', async (t) => {
  const lengths = chunksOf(noise(1_000_000, 3)).map((chunk) => chunk.length)
  const digest = createHash('sha256').update(lengths.join()).digest('hex')
  t.equal(digest.slice(0, 16), 'abef3025ecee5a8e', 'change CHUNKER_VERSION when this changes')
})

t.test('an insertion moves only the cuts around it', async (t) => {
  const before = noise(3_000_000, 5)
  const at = 1_234_567
  const after = Buffer.concat([before.subarray(0, at), Buffer.from('something new'), before.subarray(at)])
  const known = new Set(chunksOf(before).map((chunk) => Buffer.from(chunk).toString('base64')))
  const news = chunksOf(after).filter((chunk) => !known.has(Buffer.from(chunk).toString('base64')))
  t.ok(news.length >= 1 && news.length <= 3, `${news.length} new chunks`)
})

t.test('a cut is not told before enough bytes are known, and is the same however many are known', async (t) => {
  const content = noise(600_000, 11)
  const length = chunkLength(content, 0, content.length)
  t.equal(chunkLength(content, 0, CHUNK_MIN - 1), 0)
  t.equal(chunkLength(content, 0, length - 1), 0)
  t.equal(chunkLength(content, 0, length), length)
  t.equal(chunkLength(Buffer.concat([noise(99, 2), content]), 99, content.length), length, 'wherever it starts')
})

t.test('bytes without any cut are cut at the limit', async (t) => {
  const zeros = new Uint8Array(CHUNK_MAX + 1)
  t.equal(chunkLength(zeros, 0, zeros.length), CHUNK_MAX)
  t.equal(chunkLength(zeros, 0, CHUNK_MAX - 1), 0)
})
