import t from 'tap'
import type { DirPath, RelPath } from '../../lib/model/path.ts'
import { EventBatch } from '../../lib/watch/event-batch.ts'

const [a, b] = ['a', 'b'] as RelPath[] as [RelPath, RelPath]

t.test('of events in a row for one path the last is kept, and the order stays', (t) => {
  const batch = new EventBatch()
  batch.add({ kind: 'open', path: a })
  batch.add({ kind: 'whole', path: a })
  batch.add({ kind: 'gone', path: b })
  batch.add({ kind: 'open', path: a })
  batch.add({ kind: 'tree', dir: a as DirPath, why: 'new' })
  batch.add({ kind: 'tree', dir: a as DirPath, why: 'new' })
  batch.add({ kind: 'tree', dir: a as DirPath, why: 'lost' })
  t.same(batch.take(), [
    { kind: 'whole', path: a },
    { kind: 'gone', path: b },
    { kind: 'open', path: a },
    { kind: 'tree', dir: a, why: 'new' },
    { kind: 'tree', dir: a, why: 'lost' },
  ])
  t.same(batch.take(), [])
  t.end()
})

t.test('a path is open from its first write to its close, or until events were lost', (t) => {
  const batch = new EventBatch()
  t.equal(batch.isOpen(a), false)
  batch.add({ kind: 'open', path: a })
  batch.add({ kind: 'open', path: b })
  batch.take()
  t.equal(batch.isOpen(a), true)
  batch.add({ kind: 'whole', path: a })
  t.equal(batch.isOpen(a), false)
  batch.forgetOpen()
  t.equal(batch.isOpen(b), false)
  t.end()
})

t.test('files whose close is never told do not pile up', (t) => {
  const batch = new EventBatch()
  for (let i = 0; i <= 10_000; i++) batch.add({ kind: 'open', path: `f${i}` as RelPath })
  t.equal(batch.isOpen('f0' as RelPath), false)
  t.equal(batch.isOpen('f1' as RelPath), true)
  t.end()
})
