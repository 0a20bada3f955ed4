import t from 'tap'
import { answered, bySaidPath, saidOfMove } from '../../lib/core/unheard.ts'
import type { Entry, Fingerprint } from '../../lib/model/entry.ts'
import type { Said } from '../../lib/model/snapshot.ts'
import { dir, file, rel } from '../support/builders.ts'

const printOf = (entry: Entry, ino: string): Fingerprint => ({
  ...{ kind: entry.kind, size: 0, mtimeNs: '0', ctimeNs: '0', ino },
  mode: entry.kind === 'link' ? 0o777 : entry.mode,
})
const said = (path: string, entry: Entry | undefined, ino = '1'): Said => ({
  path: rel(path),
  entry,
  print: entry && printOf(entry, ino),
})
const head = (path: string, entry: Entry | undefined) => ({ path: rel(path), seq: 7, entry })

t.test('a head that is what was said answers it, the newest that was said so', async (t) => {
  const [first, second, third] = [said('a', file(1), '1'), said('a', file(2)), said('a', file(1), '3')]
  t.equal(answered(head('a', file(1)), [first, second, third]), third)
  t.equal(answered(head('a', file(2)), [first, second, third]), second)
})

t.test('a tombstone answers a delete', async (t) => {
  const gone = said('a', undefined)
  t.equal(answered(head('a', undefined), [gone]), gone)
})

t.test('any other head is news', async (t) => {
  t.equal(answered(head('a', file(3)), [said('a', file(1)), said('a', undefined)]), undefined)
  t.equal(answered(head('a', file(3)), undefined), undefined)
})

t.test('the move of a directory says what is gone and what stands there now', async (t) => {
  const rows = [
    { path: rel('d'), seq: 1, entry: dir(), print: printOf(dir(), '1') },
    { path: rel('d/f'), seq: 2, entry: file(1), print: printOf(file(1), '2') },
  ]
  const move = { from: rel('d'), to: rel('e'), print: printOf(dir(), '9') }
  t.same(
    [...saidOfMove(move, rows)],
    [
      said('e', dir(), '9'),
      said('d', undefined),
      { ...said('e/f', file(1)), print: rows[1]?.print },
      said('d/f', undefined),
    ],
  )
  const [closed] = saidOfMove({ ...move, print: printOf(dir(0o700), '9') }, rows)
  t.equal(closed?.print, rows[0]?.print, 'another mode is not said by a move')
})

t.test('what was said of a path stays in order', async (t) => {
  const [a, b, c] = [said('a', file(1)), said('b', file(2)), said('a', undefined)]
  t.same(
    [...bySaidPath([a, b, c])],
    [
      [rel('a'), [a, c]],
      [rel('b'), [b]],
    ],
  )
})
