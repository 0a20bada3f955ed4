import { renameSync, rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Base } from '../../lib/store/base.ts'
import { rel } from '../support/builders.ts'
import { MemoryHub } from '../support/memory-hub.ts'
import { AGREED, ReplicaBench } from '../support/replica-bench.ts'

/** A replica in step; then the hub deletes some of it and forgets that it did, while nobody listens. */
async function outdated(t: Test) {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (const path of ['stays', 'edited there', 'deleted', 'deleted, edited here', 'd/deleted', 'deleted on both'])
    bench.write(path, path)
  await bench.start(hub)
  bench.leave()
  const cursor = bench.replica.cursor
  hub.other({
    'edited there': 'newer',
    deleted: undefined,
    'deleted, edited here': undefined,
    'd/deleted': undefined,
    d: undefined,
    'deleted on both': undefined,
    'new there': 'new',
  })
  const { heads, revisions } = hub.journal
  for (const [path, { entry }] of heads) if (entry === undefined) heads.delete(path)
  t.ok(cursor < revisions.length)
  return { bench, hub, agreed: { ...AGREED, pruned: revisions.length - 1 } }
}

t.test('a base older than forgotten tombstones brings no deleted file back', async (t) => {
  const { bench, hub, agreed } = await outdated(t)
  bench.put('deleted, edited here', 'edited')
  bench.put('new here', 'mine')
  bench.remove('deleted on both')
  bench.join(hub, agreed)
  await bench.rest()
  const all = {
    ...{ stays: 'stays', 'edited there': 'newer', 'new there': 'new', 'new here': 'mine' },
    'deleted, edited here': 'edited',
  }
  t.same(bench.files(), all)
  t.same(hub.live(), all, 'an edit beats a delete, as ever')
  t.equal(bench.replica.status().state, 'in step')
  t.equal(bench.replica.cursor, hub.journal.revisions.length)
  hub.calls.length = 0
  bench.join(hub, { ...agreed, pruned: bench.replica.cursor })
  await bench.rest()
  t.notOk(hub.calls.includes('changes 0'), 'who has passed them is not compared again')
})

t.test('a head that waited and is gone since is not brought to the disk', async (t) => {
  const { bench, hub, agreed } = await outdated(t)
  await bench.close()
  const place = { kind: 'object' as const }
  const stale = { head: { path: rel('was there'), seq: 1, entry: hub.fileOf('once') }, place }
  {
    using base = Base.open(`${bench.dir}/base.db`)
    base.takeIncoming([stale], base.cursor())
  }
  await bench.open()
  bench.join(hub, agreed)
  await bench.rest()
  t.same(bench.files(), hub.live())
})

t.test('a comparison that is cut off begins anew', async (t) => {
  const { bench, hub, agreed } = await outdated(t)
  hub.moments.beforeChanges = () => {
    delete hub.moments.beforeChanges
    bench.leave()
  }
  bench.join(hub, agreed)
  await bench.until('it was asked', () => hub.calls.includes('changes 0'))
  t.equal(bench.read('deleted'), 'deleted')
  hub.calls.length = 0
  await bench.close()
  await bench.open()
  bench.join(hub, agreed)
  await bench.rest()
  t.ok(hub.calls.includes('changes 0'))
  t.same(bench.files(), hub.live())
  t.notOk('deleted' in bench.files())
})

for (const [what, edit, meanwhile, expected] of [
  ['a file deleted', { path: 'new', text: 'short-lived' }, 'rm', { stays: 'stays' }],
  ['a file put back', { path: 'back', text: undefined }, 'put', { stays: 'stays', back: 'back' }],
] as const) {
  t.test(`${what} after its last answer was lost is found so by a base older than forgotten tombstones`, async (t) => {
    const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
    for (const path of ['stays', 'back']) bench.write(path, path)
    await bench.start(hub)
    if (meanwhile === 'rm') bench.remove('back')
    await bench.rest()
    hub.moments.afterCommit = () => {
      delete hub.moments.afterCommit
      bench.leave()
      throw new Error('cut')
    }
    if (edit.text === undefined) {
      renameSync(bench.at(edit.path), `${bench.dir}/bin`)
      bench.tell({ kind: 'gone', path: rel(edit.path) })
    } else bench.put(edit.path, edit.text)
    await bench.until('the answer is lost', () => hub.moments.afterCommit === undefined)
    await bench.close()
    if (meanwhile === 'rm') rmSync(bench.at(edit.path))
    else renameSync(`${bench.dir}/bin`, bench.at(edit.path))
    hub.other({ passing: 'by' })
    hub.other({ passing: undefined })
    const { heads, revisions } = hub.journal
    for (const [path, { entry }] of heads) if (entry === undefined) heads.delete(path)
    await bench.open()
    bench.join(hub, { ...AGREED, pruned: revisions.length - 1 })
    await bench.rest()
    t.ok(hub.calls.includes('changes 0'))
    t.same(bench.files(), expected)
    t.same(hub.live(), expected)
  })
}
