import t from 'tap'
import { findMovedDirs, findMoves } from '../../lib/core/move-detection.ts'
import type { Entry, Fingerprint } from '../../lib/model/entry.ts'
import { dir, file, printOf, rel, row } from '../support/builders.ts'

function gone(path: string, entry: Entry, ino: string) {
  return { kind: 'gone', path: rel(path), base: row(path, entry, 1, ino) } as const
}

function put(path: string, entry: Entry, ino: string, more: Partial<Fingerprint> = {}) {
  return {
    kind: 'put',
    path: rel(path),
    print: printOf(entry, ino, { ctimeNs: '9', ...more }),
    base: undefined,
  } as const
}

t.test('a file that stands elsewhere with its inode was moved, also into another directory', async (t) => {
  const { moves, dirMoves } = findMoves([gone('a', file(1), '7')], [put('d/b', file(1), '7')])
  t.match(moves, [{ from: 'a', to: 'd/b', base: { path: 'a' }, print: { ctimeNs: '9' } }])
  t.equal(moves.length, 1)
  t.same(dirMoves, [])
})

t.test('an inode that was used again for another content is no move', async (t) => {
  const left = [gone('a', file(1), '7')]
  t.same(findMoves(left, [put('b', file(1, { mtimeNs: '2' }), '7')]).moves, [])
  t.same(findMoves(left, [put('b', file(2), '7')]).moves, [])
  t.same(findMoves(left, [put('b', dir(), '7')]).moves, [])
})

t.test('two names of one inode make one move each', async (t) => {
  const { moves } = findMoves(
    [gone('a', file(1), '7'), gone('b', file(1), '7')],
    [put('c', file(1), '7'), put('d', file(1), '7'), put('e', file(1), '7')],
  )
  t.same(moves.map((move) => move.from).sort(), ['a', 'b'])
})

t.test('a directory that moved with all below it is one move with its members', async (t) => {
  const { moves, dirMoves } = findMoves(
    [
      gone('a/s/f', file(1), '3'),
      gone('a', dir(), '1'),
      gone('a/s', dir(), '2'),
      gone('a-z', file(9), '9'),
      gone('z', dir(), '8'),
    ],
    [
      put('b', dir(), '1'),
      put('b/s', dir(), '2'),
      put('b/s/f', file(1), '3'),
      put('b/new', file(4), '4'),
      put('y', dir(), '8'),
    ],
  )
  t.same(moves, [])
  t.match(dirMoves, [
    { from: 'a', to: 'b' },
    { from: 'z', to: 'y', members: [] },
  ])
  t.same(
    dirMoves[0]?.members.map((member) => [member.from, member.to]),
    [
      ['a/s', 'b/s'],
      ['a/s/f', 'b/s/f'],
    ],
  )
})

t.test('a directory of which something stayed behind is moved piece by piece', async (t) => {
  const { moves, dirMoves } = findMoves(
    [gone('a', dir(), '1'), gone('a/f', file(1), '2'), gone('a/g', file(2), '3')],
    [put('b', dir(), '1'), put('b/f', file(1), '2'), put('c', file(2), '3')],
  )
  t.same(dirMoves, [])
  t.same(moves.map((move) => move.to).sort(), ['b', 'b/f', 'c'])
})

const DIR = [gone('a', dir(), '1'), gone('a/s', dir(), '2'), gone('a/s/f', file(1), '3'), gone('a/g', file(2), '4')]
const stays = (path: string, entry: Entry, ino: string) => put(path, entry, ino, { ctimeNs: '1' })

t.test('a directory that stands elsewhere with all its files was moved as one', async (t) => {
  const puts = [
    put('b', dir(), '1'),
    stays('b/s', dir(), '2'),
    stays('b/s/f', file(1), '3'),
    stays('b/g', file(2), '4'),
  ]
  const [moved, ...others] = findMovedDirs([...DIR, gone('a-z', file(9), '9')], [...puts, put('new', file(5), '5')])
  t.match(moved, { from: 'a', to: 'b', base: { path: 'a' }, put: { path: 'b' }, isWhole: true })
  t.same(moved?.gone.map(({ path }) => path).sort(), ['a/g', 'a/s', 'a/s/f'])
  t.same(moved?.untouched.map(({ path }) => path).sort(), ['b/g', 'b/s', 'b/s/f'])
  t.same(others, [])
})

t.test('what changed in a moved directory does not keep it from being moved', async (t) => {
  const puts = [put('b', dir(), '1'), stays('b/s', dir(), '2'), stays('b/s/f', file(1), '3'), put('b/g', file(8), '4')]
  const [moved] = findMovedDirs(DIR, puts)
  t.match(moved, { from: 'a', to: 'b', isWhole: false })
  t.same(moved?.untouched.map(({ path }) => path).sort(), ['b/s', 'b/s/f'])
})

t.test('a directory with the inode of another is that one only when its files bear witness', async (t) => {
  const b = put('b', dir(), '1')
  for (const [what, left, puts] of [
    ['no files', [gone('a', dir(), '1')], [b]],
    ['none of them', DIR, [b, stays('b/s', dir(), '2')]],
    ['other inodes', DIR, [b, stays('b/s/f', file(1), '7'), stays('b/g', file(2), '8')]],
    ['changed', DIR, [b, put('b/s/f', file(1), '3'), put('b/g', file(2), '4')]],
    ['one of three', [...DIR, gone('a/h', file(3), '5')], [b, stays('b/g', file(2), '4')]],
    ['no directory', DIR, [put('b', file(7), '1'), stays('b/g', file(2), '4')]],
    ['not new', DIR, [{ ...b, base: row('b', file(1)) }, stays('b/s/f', file(1), '3'), stays('b/g', file(2), '4')]],
    ['inside itself', DIR, [put('a/t', dir(), '1'), stays('a/t/s/f', file(1), '3'), stays('a/t/g', file(2), '4')]],
  ] as const)
    t.same(findMovedDirs(left, puts), [], what)
  const up = [gone('a/s', dir(), '2'), gone('a/s/f', file(1), '3')]
  t.same(findMovedDirs(up, [put('a', dir(), '2'), stays('a/f', file(1), '3')]), [], 'in place of what it was in')
})

t.test('of directories in each other the outermost is moved first', async (t) => {
  const left = [...DIR, gone('z', dir(), '8'), gone('z/f', file(9), '9')]
  const puts = [
    ...[put('b', dir(), '1'), stays('b/g', file(2), '4'), put('c', dir(), '2'), stays('c/f', file(1), '3')],
    ...[put('y', dir(), '8'), stays('y/f', file(9), '9')],
  ]
  t.same(
    findMovedDirs(left, puts).map(({ from, to }) => `${from} ${to}`),
    ['a b', 'z y'],
  )
})
