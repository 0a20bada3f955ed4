import t from 'tap'
import { contentStaged, largeName, largeNamed } from '../../lib/model/content.ts'
import { parseDigest } from '../../lib/model/digest.ts'

t.test('a large content is known by the name of its staged file, and nothing else is', (t) => {
  const sha256 = parseDigest('ab'.repeat(32))
  if (sha256 === undefined) throw new Error('no digest')
  t.equal(largeNamed(largeName(sha256)), sha256)
  for (const name of ['p-' + sha256, 'o-' + sha256.slice(1), 'o-', sha256, 'o-' + 'x'.repeat(64)])
    t.equal(largeNamed(name), undefined, name)
  t.end()
})

t.test('all that is staged of a content on its way in is known by its name, and nothing else is', (t) => {
  const sha256 = parseDigest('ab'.repeat(32))
  for (const kind of ['o', 'p', 'l']) t.equal(contentStaged(`${kind}-${String(sha256)}`), sha256)
  for (const name of [`d-${String(sha256)}`, 'p-lk3-1', 'o-brien', String(sha256), `pp-${String(sha256)}`])
    t.equal(contentStaged(name), undefined, name)
  t.end()
})
