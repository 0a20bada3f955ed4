import t from 'tap'

import type { Patch } from '../../lib/model/content.ts'
import { Journal } from '../../lib/store/journal.ts'
import { onEachEngine, tamper } from './engines.ts'
import type { Place } from './engines.ts'
import { digestOf } from './samples.ts'

const open = ({ file, engine }: Place): Journal => Journal.open(file, { engine })
const patch: Patch = {
  sources: [digestOf('source'), digestOf('other')],
  ops: [
    { kind: 'copy', source: 1, offset: 2 ** 40, length: 2 ** 33 },
    { kind: 'data', length: 7 },
    { kind: 'zero', length: 9 },
  ],
}

function keep(journal: Journal, content: string, how?: Patch): void {
  const contents = [{ sha256: digestOf(content), size: 16, place: { kind: 'object' as const }, patch: how }]
  journal.commit({ revisions: [], collisions: [], contents })
}

onEachEngine(t, 'how a content was made is told as long as it is kept', (t, place) => {
  using journal = open(place)
  keep(journal, 'made', patch)
  keep(journal, 'whole')
  t.same(journal.patch(digestOf('made')), patch)
  t.equal(journal.patch(digestOf('whole')), undefined)
  t.equal(journal.patch(digestOf('unknown')), undefined)
  journal.forgetContent([digestOf('made')])
  t.equal(journal.patch(digestOf('made')), undefined)
})

onEachEngine(t, 'of a content that came again, the newest way counts', (t, place) => {
  using journal = open(place)
  keep(journal, 'made', patch)
  keep(journal, 'made', { sources: [], ops: [{ kind: 'zero', length: 16 }] })
  t.same(journal.patch(digestOf('made')), { sources: [], ops: [{ kind: 'zero', length: 16 }] })
  keep(journal, 'made')
  t.equal(journal.patch(digestOf('made')), undefined)
})

for (const [what, sql] of [
  ['no list of steps', `UPDATE patches SET ops = '5'`],
  ['a step that is none', `UPDATE patches SET ops = '[0]'`],
  ['no sources', `UPDATE patches SET sources = 'text'`],
] as const) {
  onEachEngine(t, `a patch with ${what} is damage`, (t, place) => {
    const first = open(place)
    keep(first, 'made', patch)
    first.close()
    tamper(place, sql)
    using journal = open(place)
    t.throws(() => journal.patch(digestOf('made')), { code: 'DATABASE_DAMAGED' })
  })
}
