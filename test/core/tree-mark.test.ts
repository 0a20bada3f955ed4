import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { sameMark, treeMark } from '../../lib/core/tree-mark.ts'
import { rebase } from '../../lib/model/path.ts'
import { rel } from '../support/builders.ts'

const known = (path: string, seq: number) => ({ path: rel(path), seq })
const DIR = rel('d')

const anyBelow = fc.uniqueArray(
  fc.record({
    path: fc
      .array(fc.constantFrom('a', 'b', 'ab', 'é'), { minLength: 1, maxLength: 3 })
      .map((names) => rel(`d/${names.join('/')}`)),
    seq: fc.integer({ min: 0, max: 5 }),
  }),
  { selector: ({ path }) => path, maxLength: 12 },
)

t.test('a mark depends on what is there, not on its order or on where the directory stands', async (t) => {
  const check = (below: { path: ReturnType<typeof rel>; seq: number }[], to: string) => {
    const mark = treeMark(DIR, below)
    assert.ok(sameMark(mark, treeMark(DIR, [...below].reverse())))
    const moved = below.map(({ path, seq }) => ({ path: rebase(path, DIR, rel(to)), seq }))
    assert.ok(sameMark(mark, treeMark(rel(to), moved)))
    assert.equal(mark.count, below.length)
    assert.match(mark.hash, /^[0-9a-f]{16}$/)
  }
  fc.assert(fc.property(anyBelow, fc.constantFrom('e', 'far/away'), check))
  t.pass()
})

t.test('a mark of anything else is another', async (t) => {
  fc.assert(
    fc.property(anyBelow, anyBelow, (some, others) => {
      const asText = (below: typeof some) =>
        below
          .map(({ path, seq }) => `${path} ${seq}`)
          .sort()
          .join()
      assert.equal(sameMark(treeMark(DIR, some), treeMark(DIR, others)), asText(some) === asText(others))
    }),
  )
  const mark = treeMark(DIR, [known('d/a', 1), known('d/b', 2)])
  for (const other of [
    [],
    [known('d/a', 1)],
    [known('d/a', 2), known('d/b', 1)],
    [known('d/a', 1), known('d/c', 2)],
    [known('d/a', 1), known('d/b', 3)],
    [known('d/a', 1), known('d/b', 2), known('d/b/c', 2)],
  ])
    t.notOk(sameMark(mark, treeMark(DIR, other)))
})

t.test('a hundred thousand paths have a hundred thousand marks', async (t) => {
  const marks = new Set<string>()
  for (let i = 0; i < 100_000; i++) marks.add(treeMark(DIR, [known(`d/file${i % 1000}`, Math.floor(i / 1000))]).hash)
  t.equal(marks.size, 100_000)
})
