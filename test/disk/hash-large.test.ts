import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import t from 'tap'
import { hashLarge, sampleChunks } from '../../lib/disk/hash-large.ts'
import { noise, recipeOf } from '../support/contents.ts'
import { aFolder, rel, sha256, type Folder } from './a-folder.ts'

const never = { shouldStop: () => false }
const of = (folder: Folder, name: string) => ({ path: rel(name), print: folder.print(name) })

t.test('a large file is hashed, and its recipe is that of its bytes however it is read', async (t) => {
  const folder = aFolder(t)
  const content = noise(9_000_001, 4)
  writeFileSync(folder.at('big'), content)
  const plain = hashLarge(folder.dirs, of(folder, 'big'), { like: undefined, ...never })
  t.match(plain, { kind: 'read', sha256: sha256(content), zeros: [], recipe: undefined })
  const alone = hashLarge(folder.dirs, of(folder, 'big'), { like: [], ...never })
  t.same(alone.kind === 'read' && alone.recipe?.bytes, recipeOf(content).bytes)
  t.equal(alone.kind === 'read' && alone.sha256, sha256(content))
})

t.test('with a source to compare with, the recipe is the same as without', async (t) => {
  const folder = aFolder(t)
  const before = noise(9_000_000, 5)
  for (const after of [
    before,
    Buffer.concat([noise(1024, 6), before]),
    Buffer.concat([before.subarray(0, 3_000_000), noise(99, 7), before.subarray(3_100_000)]),
    before.subarray(0, 8_888_888),
    before.subarray(0, 10_000),
    Buffer.concat([before, noise(1_000_000, 8)]),
    noise(5_000_000, 9),
  ]) {
    writeFileSync(folder.at('big'), after)
    const found = hashLarge(folder.dirs, of(folder, 'big'), { like: [recipeOf(before)], ...never })
    t.same(found.kind === 'read' && found.recipe?.bytes, recipeOf(after).bytes)
  }
})

t.test('long stretches of zeros are found', async (t) => {
  const folder = aFolder(t)
  const fd = openSync(folder.at('sparse'), 'w')
  writeSync(fd, noise(8192, 1))
  writeSync(fd, noise(4096, 2), 0, 4096, 6_000_000 - (6_000_000 % 4096))
  ftruncateSync(fd, 12_000_000)
  closeSync(fd)
  const start = 6_000_000 - (6_000_000 % 4096)
  const found = hashLarge(folder.dirs, of(folder, 'sparse'), { like: [], ...never })
  t.same(found.kind === 'read' && found.zeros, [
    { offset: 8192, length: start - 8192 },
    { offset: start + 4096, length: 12_000_000 - start - 4096 },
  ])
  t.equal(found.kind === 'read' && found.sha256, sha256(readFileSync(folder.at('sparse'))))
})

t.test('a file that is not what was expected, or no longer wanted, is not hashed', async (t) => {
  const folder = aFolder(t)
  writeFileSync(folder.at('big'), noise(300_000))
  const file = of(folder, 'big')
  t.equal(hashLarge(folder.dirs, file, { like: [], shouldStop: () => true }).kind, 'changed')
  writeFileSync(folder.at('big'), noise(300_001))
  t.equal(hashLarge(folder.dirs, file, { like: [], ...never }).kind, 'changed')
  t.equal(sampleChunks(folder.dirs, file).kind, 'changed')
})

t.test('samples of a file share chunks with it', async (t) => {
  const folder = aFolder(t)
  const content = noise(20_000_000, 3)
  writeFileSync(folder.at('big'), content)
  const sampled = sampleChunks(folder.dirs, of(folder, 'big'))
  if (sampled.kind !== 'read') throw new Error(sampled.kind)
  const marks = new Set(recipeOf(content).marks())
  const { recipe } = sampled
  const hits = recipe.marksAmong(Array.from({ length: recipe.count }, (_, i) => i)).filter((mark) => marks.has(mark))
  t.ok(hits.length >= 3, `${hits.length} hits`)
  t.ok(recipe.count < 150, 'and are much fewer')
})
