import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { CHUNK_MAX } from '../../lib/core/chunker.ts'
import { ChunkIndex, deltaOps, Expectation, isWorthIt, withoutUnused, zeroOps } from '../../lib/core/delta.ts'
import { literalBytes } from '../../lib/core/patch.ts'
import { Recipe, RecipeWriter } from '../../lib/core/recipe.ts'
import type { PatchOp } from '../../lib/model/content.ts'
import { digestOf } from '../support/builders.ts'
import { noise, patched, recipeOf } from '../support/contents.ts'

const SIZE = 1_500_000
const sources = [noise(SIZE, 21), noise(SIZE, 22)]
const recipes = sources.map(recipeOf)

/** Up to five edits of the first source; `fresh` counts bytes that are nowhere yet. */
const edits = fc.array(
  fc.record({
    how: fc.constantFrom('insert', 'overwrite', 'remove', 'paste', 'append', 'front'),
    at: fc.nat({ max: SIZE }),
    size: fc.integer({ min: 1, max: 60_000 }),
    seed: fc.integer({ min: 100, max: 1000 }),
  }),
  { minLength: 1, maxLength: 5 },
)

function edited(script: Parameters<Parameters<typeof edits.map>[0]>[0]): Buffer {
  let content = Buffer.from(sources[0] ?? '')
  for (const { how, at: wanted, size, seed } of script) {
    const at = how === 'front' ? 0 : how === 'append' ? content.length : Math.min(wanted, content.length)
    const isOver = how === 'overwrite' || how === 'remove'
    const piece =
      how === 'remove'
        ? Buffer.alloc(0)
        : how === 'paste'
          ? (sources[1] ?? Buffer.alloc(0)).subarray(at, at + 400_000)
          : noise(size, seed)
    content = Buffer.concat([content.subarray(0, at), piece, content.subarray(isOver ? at + size : at)])
  }
  return content
}

t.test('whatever was edited, the patch makes the new content and little more than what changed travels', async (t) => {
  fc.assert(
    fc.property(edits, (script) => {
      const fresh = edited(script)
      const ops = deltaOps(recipeOf(fresh), recipes, { zeros: [] })
      if (!patched(ops, sources, fresh).equals(fresh)) return false
      const changed = script.reduce((sum, { how, size }) => sum + (how === 'remove' || how === 'paste' ? 0 : size), 0)
      return literalBytes(ops) <= changed + script.length * 4 * CHUNK_MAX
    }),
    { numRuns: 40 },
  )
  t.pass()
})

t.test('an unchanged content is one copy, and one of which nothing is known is one stretch of data', async (t) => {
  const [recipe, other] = recipes
  t.same(deltaOps(recipe ?? recipeOf(noise(1)), recipes, { zeros: [] }), [
    { kind: 'copy', source: 0, offset: 0, length: SIZE },
  ])
  const lacking: number[] = []
  const ops = deltaOps(recipe ?? recipeOf(noise(1)), other === undefined ? [] : [other], {
    zeros: [],
    unfound: (chunk) => lacking.push(chunk),
  })
  t.same(ops, [{ kind: 'data', length: SIZE }])
  t.equal(lacking.length, recipe?.count)
})

t.test('zeros are a number, not bytes and not a copy', async (t) => {
  const fresh = Buffer.concat([noise(200_000, 1), Buffer.alloc(900_000), noise(100_000, 2), Buffer.alloc(300_000)])
  const zeros = [
    { offset: 200_000, length: 900_000 },
    { offset: 1_200_000, length: 300_000 },
  ]
  const ops = deltaOps(recipeOf(fresh), [recipeOf(fresh)], { zeros })
  t.ok(patched(ops, [fresh], fresh).equals(fresh))
  t.equal(literalBytes(ops), 0)
  t.ok(ops.some((op) => op.kind === 'zero' && op.length > 600_000))
  const bare = deltaOps(recipeOf(fresh), [], { zeros })
  t.same(bare, [
    { kind: 'data', length: 200_000 },
    { kind: 'zero', length: 900_000 },
    { kind: 'data', length: 100_000 },
    { kind: 'zero', length: 300_000 },
  ])
  t.same(zeroOps(fresh.length, zeros), bare)
})

t.test('a content of equal chunks finds one of them, quickly', async (t) => {
  const zeros = new Uint8Array(100 * CHUNK_MAX)
  const index = new ChunkIndex([recipeOf(zeros)])
  t.same(index.find(recipeOf(zeros), 5, undefined), { source: 0, chunk: 0 })
  t.same(index.find(recipeOf(zeros), 5, { source: 0, chunk: 7 }), { source: 0, chunk: 8 }, 'the next one goes before')
  t.equal(index.find(recipeOf(noise(300_000)), 0, undefined), undefined)
  t.notOk(index.isEmpty)
  t.ok(new ChunkIndex([]).isEmpty)
})

t.test(
  'while a content is read its chunks are expected in the order of the source, anew after each change',
  async (t) => {
    const source = noise(1_000_000, 31)
    const recipe = recipeOf(source)
    const expected = new Expectation([recipe])
    const first = recipe.lengthOf(0)
    t.equal(expected.nextLength(), first)
    t.notOk(expected.isNext(new Uint8Array(32)))
    const digest = createHash('sha256').update(source.subarray(0, first)).digest()
    t.ok(expected.isNext(digest))
    expected.cameAsExpected()
    t.equal(expected.nextLength(), recipe.lengthOf(1))
    expected.came(recipeOf(noise(20_000, 32)))
    t.equal(expected.nextLength(), 0, 'nothing is known of what follows something new')
    t.notOk(expected.isNext(digest))
    expected.cameAsExpected()
    const writer = new RecipeWriter()
    writer.add(first, digest)
    expected.came(writer.finish())
    t.equal(expected.nextLength(), recipe.lengthOf(1), 'found again')
  },
)

t.test('the last chunk of a source was cut by its end, and nothing absurd is expected', async (t) => {
  const one = recipeOf(noise(5000))
  t.equal(new Expectation([one]).nextLength(), 0)
  t.equal(new Expectation([]).nextLength(), 0)
  const writer = new RecipeWriter()
  for (let i = 0; i < 3; i++) writer.add(0x7fffffff, new Uint8Array(32).fill(i))
  t.equal(new Expectation([new Recipe(writer.finish().bytes)]).nextLength(), 0)
})

t.test('sources that no step uses are left out, and steps keep naming theirs', async (t) => {
  const ops: PatchOp[] = [
    { kind: 'copy', source: 2, offset: 0, length: 5 },
    { kind: 'data', length: 1 },
    { kind: 'copy', source: 0, offset: 9, length: 5 },
  ]
  t.same(withoutUnused({ sources: [digestOf(1), digestOf(2), digestOf(3)], ops }), {
    sources: [digestOf(1), digestOf(3)],
    ops: [
      { kind: 'copy', source: 1, offset: 0, length: 5 },
      { kind: 'data', length: 1 },
      { kind: 'copy', source: 0, offset: 9, length: 5 },
    ],
  })
})

t.test('a patch is worth it when it spares three tenths and is not cut to pieces', async (t) => {
  const patch = (...ops: PatchOp[]) => ({ sources: [], ops })
  t.ok(isWorthIt(patch({ kind: 'data', length: 600_000 }, { kind: 'zero', length: 400_000 }), 1_000_000))
  t.notOk(isWorthIt(patch({ kind: 'data', length: 800_000 }, { kind: 'zero', length: 200_000 }), 1_000_000))
  const pieces = Array.from({ length: 5001 }, (): PatchOp => ({ kind: 'zero', length: 1_000_000 }))
  t.notOk(isWorthIt(patch(...pieces), 5_001_000_000))
})

t.test('wherever zeros are, the steps are as long as the content, and no zero travels', async (t) => {
  const runs = fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 1000 })), { maxLength: 10 })
  fc.assert(
    fc.property(runs, fc.nat(1000), (gaps, rest) => {
      let at = 0
      const zeros = gaps.map(([gap, length]) => {
        at += gap + 1 + length
        return { offset: at - length, length }
      })
      const ops = zeroOps(at + rest, zeros)
      const sum = (kind: PatchOp['kind']): number =>
        ops.reduce((total, op) => total + (op.kind === kind ? op.length : 0), 0)
      const zero = zeros.reduce((total, { length }) => total + length, 0)
      return sum('zero') === zero && sum('data') === at + rest - zero
    }),
  )
  t.pass()
})
