import t from 'tap'
import { Recipe, RecipeWriter } from '../../lib/core/recipe.ts'
import { chunksOf, noise, recipeOf } from '../support/contents.ts'

t.test('a recipe tells the chunks in order, also when it was written down and read back', async (t) => {
  const content = noise(3_000_000)
  const recipe = new Recipe(Uint8Array.from(recipeOf(content).bytes))
  t.same(
    Array.from({ length: recipe.count }, (_, chunk) => recipe.lengthOf(chunk)),
    chunksOf(content).map((chunk) => chunk.length),
  )
})

t.test('chunks are the same when their bytes are', async (t) => {
  const recipe = recipeOf(noise(300_000, 1))
  const other = recipeOf(Buffer.concat([noise(300_000, 1), noise(100_000, 2)]))
  t.ok(recipe.isSame(0, other, 0))
  t.notOk(recipe.isSame(0, other, 1))
})

t.test('a torn last row is left out', async (t) => {
  const { bytes, count } = recipeOf(noise(300_000))
  t.equal(new Recipe(bytes.subarray(0, bytes.length - 1)).count, count - 1)
  t.equal(new Recipe(new Uint8Array()).count, 0)
})

t.test('a content is marked by about one chunk in eight, and every mark can be asked for', async (t) => {
  const recipe = recipeOf(noise(20_000_000))
  const marks = recipe.marks()
  t.ok(marks.length > recipe.count / 16 && marks.length < recipe.count / 4, `${marks.length} of ${recipe.count}`)
  const askable = new Set(recipe.marksAmong(Array.from({ length: recipe.count }, (_, chunk) => chunk)))
  t.ok(marks.every((mark) => askable.has(mark)))
})

t.test('a large content has marks of bounded number', async (t) => {
  const writer = new RecipeWriter()
  const digest = new Uint8Array(32)
  const view = new DataView(digest.buffer)
  for (let i = 0; i < 80_000; i++) {
    view.setInt32(0, Math.imul(i, 0x9e3779b1), true)
    writer.add(32_768, digest)
  }
  const marks = writer.finish().marks()
  t.ok(marks.length > 1000 && marks.length < 6000, String(marks.length))
})
