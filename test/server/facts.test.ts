import t from 'tap'
import { Refused } from '../../lib/errors.ts'
import { behindOf, historyOf, logOf } from '../../lib/server/facts.ts'
import { rel } from '../support/builders.ts'
import { Served } from '../support/served-folder.ts'

t.test('the log is the newest, in order, of one path or below it; history is all of one path', async (t) => {
  const served = new Served(t)
  const hub = await served.open()
  await served.push('a', 'one')
  await served.push('b', 'b')
  await served.push('a', 'two')
  await served.remove('b')
  const paths = logOf([hub], undefined, 3).map(({ revision }) => [revision.seq, revision.path, revision.what])
  t.same(paths, [
    [2, 'b', 'create'],
    [3, 'a', 'update'],
    [4, 'b', 'delete'],
  ])
  t.same(
    logOf([hub], rel('a'), 10).map(({ revision }) => revision.seq),
    [1, 3],
  )
  t.same(
    historyOf(hub, rel('a')).map(({ revision, live }) => [revision.seq, live]),
    [
      [1, false],
      [3, true],
    ],
  )
  t.same(
    historyOf(hub, rel('b')).map(({ live }) => live),
    [false, false],
    'a tombstone does not live',
  )
  t.throws(() => historyOf(hub, rel('nowhere')), Refused)
})

t.test('logs of several folders are one, by time', async (t) => {
  const [left, right] = [new Served(t), new Served(t)]
  const hubs = [await left.open(), await right.open()]
  await left.push('a', '1')
  await right.push('b', '2', { writtenAtMs: Date.now() + 50 })
  left.aheadMs = 100
  await left.push('c', '3')
  t.same(
    logOf(hubs, undefined, 10).map(({ revision }) => revision.path),
    ['a', 'b', 'c'],
  )
})

t.test('who was told all is not behind; who was never here is behind by all', async (t) => {
  const served = new Served(t)
  const hub = await served.open()
  await served.push('a', '1')
  await served.push('b', '2')
  t.equal(behindOf([hub], 'bob'), 2)
  hub.journal.setCursor('bob', 1, Date.now())
  t.equal(behindOf([hub], 'bob'), 1)
})
