import t from 'tap'
import type { Said } from '../../lib/model/snapshot.ts'
import { Base } from '../../lib/store/base.ts'
import { onEachEngine, tamper } from './engines.ts'
import { dir, file, path, printOf } from './samples.ts'

const said: readonly Said[] = [
  { path: path('a'), entry: file('a'), print: printOf(file('a')) },
  { path: path('b'), entry: undefined, print: undefined },
  { path: path('l'), entry: { kind: 'link', target: 'a' }, print: printOf({ kind: 'link', target: 'a' }) },
]
const moves = [{ from: path('d'), to: path('e'), print: printOf(dir) }]

onEachEngine(t, 'what was proposed is known until it is answered, in its order, after a restart too', (t, place) => {
  const first = Base.open(place.file, { engine: place.engine })
  const one = first.unheard.note({ said, moves: [] })
  const two = first.unheard.note({ said: [], moves })
  first.close()
  using base = Base.open(place.file, { engine: place.engine })
  t.same(base.unheard.all(), [
    { id: one, said, moves: [] },
    { id: two, said: [], moves },
  ])
  base.unheard.heard(one)
  const three = base.unheard.note({ said, moves: [] })
  t.not(three, two)
  t.same(
    base.unheard.all().map(({ id }) => id),
    [two, three],
  )
  base.forget()
  t.same(base.unheard.all(), [], 'another life of the coordinator answers nothing')
})

onEachEngine(t, 'a number is not given again while the process lives', (t, place) => {
  using base = Base.open(place.file, { engine: place.engine })
  const one = base.unheard.note({ said, moves: [] })
  base.unheard.heard(one)
  t.not(base.unheard.note({ said, moves: [] }), one)
})

onEachEngine(t, 'what no version writes there is told as damage', (t, place) => {
  const first = Base.open(place.file, { engine: place.engine })
  first.unheard.note({ said, moves: [] })
  first.close()
  for (const text of ['{}', '{"said":[{"path":"../a"}],"moves":[]}']) {
    tamper(place, `UPDATE unheard SET saying = '${text}'`)
    using base = Base.open(place.file, { engine: place.engine })
    t.throws(() => base.unheard.all(), { code: 'DATABASE_DAMAGED' })
  }
})
