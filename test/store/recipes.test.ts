import t from 'tap'

import { recipeOf, noise } from '../support/contents.ts'
import { PACKED_MAX, PATCH_MAX } from '../../lib/model/content.ts'
import { Base } from '../../lib/store/base.ts'
import { connect } from '../../lib/store/engine.ts'
import { onEachEngine, tamper } from './engines.ts'
import type { Place } from './engines.ts'
import { digestOf, dir, file, row } from './samples.ts'

const open = ({ file, engine }: Place): Base => Base.open(file, { engine })
const large = (content: string, size = 1_000_000) => file(content, { size })

onEachEngine(t, 'a recipe comes back as it was kept, also to a reader, until no path has its content', (t, place) => {
  const recipe = recipeOf(noise(3_000_000))
  using base = open(place)
  base.put([row('a', large('one')), row('b', large('two'))])
  base.putRecipe(digestOf('one'), recipeOf(noise(400_000)))
  base.putRecipe(digestOf('one'), recipe)
  base.putRecipe(digestOf('two'), recipeOf(noise(500_000, 2)))
  using reader = Base.open(place.file, { engine: place.engine, readOnly: true })
  t.same(Buffer.from(reader.recipe(digestOf('one'))?.bytes ?? []), Buffer.from(recipe.bytes))
  t.equal(reader.recipe(digestOf('three')), undefined)
  t.equal(base.pruneRecipes(), 0)
  t.same(base.contentsMarked(recipe.marks(), 4), [digestOf('one')])
  base.put([row('a', large('three'))])
  t.same(base.contentsMarked(recipe.marks(), 4), [], 'what no path has is not named')
  t.equal(base.pruneRecipes(), 1)
  t.equal(base.recipe(digestOf('one')), undefined)
  base.put([row('a', large('one'))])
  t.same(base.contentsMarked(recipe.marks(), 4), [], 'its marks are gone too')
  t.not(base.recipe(digestOf('two')), undefined)
})

onEachEngine(t, 'a content is found by its marks, the one that shares most first', (t, place) => {
  using base = open(place)
  t.notOk(base.hasMarks())
  const shared = noise(6_000_000, 1)
  const recipes = {
    all: recipeOf(shared),
    part: recipeOf(Buffer.concat([shared.subarray(0, 2_000_000), noise(2_000_000, 2)])),
  }
  base.put([row('all', large('all')), row('part', large('part')), row('none', large('none'))])
  base.putRecipe(digestOf('part'), recipes.part)
  base.putRecipe(digestOf('all'), recipes.all)
  base.putRecipe(digestOf('none'), recipeOf(noise(2_000_000, 3)))
  t.ok(base.hasMarks())
  const marks = recipes.all.marksAmong(Array.from({ length: recipes.all.count }, (_, chunk) => chunk))
  t.same(base.contentsMarked(marks, 4), [digestOf('all'), digestOf('part')])
  t.same(base.contentsMarked(marks, 1), [digestOf('all')])
  t.same(base.contentsMarked([], 4), [])
})

onEachEngine(t, 'large contents without a recipe are named one after the other', (t, place) => {
  using base = open(place)
  const before = base.largePuts
  base.put([
    row('dir', dir),
    row('small', file('small', { size: PACKED_MAX })),
    row('huge', file('huge', { size: PATCH_MAX + 1 })),
    row('x', large('x')),
    row('y', large('y', PACKED_MAX + 1)),
    row('same as x', large('x')),
  ])
  t.equal(base.largePuts - before, 4)
  const wanted = [digestOf('x'), digestOf('y')].sort()
  const first = base.lackingRecipe(undefined)
  t.same([first, base.lackingRecipe(first)], wanted)
  t.equal(base.lackingRecipe(wanted[1]), undefined)
  for (const sha256 of wanted) base.putRecipe(sha256, recipeOf(noise(300_000)))
  t.equal(base.lackingRecipe(undefined), undefined)
})

onEachEngine(t, 'a recipe of another version of the cuts is not read, and goes', (t, place) => {
  const first = open(place)
  first.put([row('x', large('x'))])
  first.putRecipe(digestOf('x'), recipeOf(noise(300_000)))
  first.close()
  tamper(place, 'UPDATE recipes SET version = version + 1')
  using base = open(place)
  t.equal(base.recipe(digestOf('x')), undefined)
  t.equal(base.lackingRecipe(undefined), digestOf('x'))
  t.equal(base.pruneRecipes(), 1)
})

onEachEngine(t, 'a recipe that no version writes is damage', (t, place) => {
  const first = open(place)
  first.put([row('x', large('x'))])
  first.putRecipe(digestOf('x'), recipeOf(noise(300_000)))
  first.close()
  tamper(place, `UPDATE recipes SET chunks = 'text'`)
  using base = open(place)
  t.throws(() => base.recipe(digestOf('x')), { code: 'DATABASE_DAMAGED' })
})

onEachEngine(t, 'a base of the first version keeps its rows and learns to keep recipes', (t, place) => {
  const first = open(place)
  first.put([row('x', large('x'))])
  first.close()
  const connection = connect(place.file, place.engine)
  connection.exec(
    'DROP TABLE recipes; DROP TABLE marks; DROP TABLE unheard; DROP INDEX base_large; PRAGMA user_version = 1',
  )
  connection.close()
  using base = open(place)
  t.same(base.row(row('x').path), row('x', large('x')))
  t.equal(base.lackingRecipe(undefined), digestOf('x'))
})
