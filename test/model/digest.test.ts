import { createHash } from 'node:crypto'
import t from 'tap'
import { EMPTY_DIGEST, parseDigest } from '../../lib/model/digest.ts'

t.test('a digest is 64 lower-case hex digits and nothing else', async (t) => {
  const text = 'ab'.repeat(32)
  t.equal(parseDigest(text), text)
  for (const wrong of ['', text.slice(1), `${text}0`, text.toUpperCase(), `${text}\n`, `../${text.slice(3)}`]) {
    t.equal(parseDigest(wrong), undefined, JSON.stringify(wrong))
  }
})

t.test('the digest of nothing is the one of SHA-256', async (t) => {
  t.equal(EMPTY_DIGEST, createHash('sha256').digest('hex'))
})
