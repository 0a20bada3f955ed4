import t from 'tap'
import type { DirPath } from '../../lib/model/path.ts'
import { topmost, WatchMap } from '../../lib/watch/watch-map.ts'

t.test('a renamed directory takes all below along in one step', (t) => {
  const map = new WatchMap()
  const a = map.child(map.root, 'a')
  const b = map.child(a, 'b')
  map.bind(b, 2)
  map.detach(a)
  t.equal(map.pathOf(b), undefined)
  map.attach(a, map.child(map.root, 'z'), 'c')
  t.equal(map.pathOf(b), 'z/c/b')
  t.equal(map.byWd(2), b)
  t.equal(map.find('z/c/b' as DirPath), b)
  t.equal(map.find('a' as DirPath), undefined)
  t.end()
})

t.test('what stood at the new place is given back', (t) => {
  const map = new WatchMap()
  const [a, z] = [map.child(map.root, 'a'), map.child(map.root, 'z')]
  t.equal(map.attach(a, map.root, 'z'), z)
  t.equal(map.pathOf(z), undefined)
  t.equal(map.pathOf(a), 'z')
  t.end()
})

t.test('a watch found elsewhere moves there with its children', (t) => {
  const map = new WatchMap()
  const old = map.child(map.root, 'old')
  const child = map.child(old, 'child')
  map.bind(old, 1)
  map.bind(child, 2)
  const found = map.child(map.root, 'new')
  t.equal(map.bind(found, 1), undefined)
  t.equal(map.byWd(1), found)
  t.equal(map.pathOf(child), 'new/child')
  t.equal(map.find('old' as DirPath), undefined)
  t.equal(map.size, 2)
  t.end()
})

t.test('a directory with another watch than before names the former one', (t) => {
  const map = new WatchMap()
  const a = map.child(map.root, 'a')
  map.bind(a, 1)
  t.equal(map.bind(a, 1), undefined)
  t.equal(map.bind(a, 2), 1)
  t.equal(map.byWd(1), undefined)
  t.end()
})

t.test('a directory mounted inside itself leaves the watch where it was', (t) => {
  const map = new WatchMap()
  map.bind(map.root, 1)
  const inside = map.child(map.child(map.root, 'a'), 'b')
  t.equal(map.bind(inside, 1), undefined)
  t.equal(inside.wd, undefined)
  t.equal(map.byWd(1), map.root)
  t.end()
})

t.test('forgetting tells of every watch below and leaves the rest', (t) => {
  const map = new WatchMap()
  const a = map.child(map.root, 'a')
  map.bind(a, 1)
  map.bind(map.child(a, 'b'), 2)
  map.bind(map.child(map.root, 'c'), 3)
  const watches: (number | undefined)[] = []
  map.forget(a, (_node, wd) => watches.push(wd))
  t.same(watches, [1, 2])
  t.equal(map.size, 1)
  t.equal(map.find('a' as DirPath), a)
  t.equal(map.find('a/b' as DirPath), undefined)
  t.end()
})

t.test('the topmost of directories are those below no other', (t) => {
  t.same(topmost(['a/b', 'a', 'ab', 'c/d/e', 'c/d'] as DirPath[]), ['a', 'ab', 'c/d'])
  t.same(topmost(['a', '', 'b'] as DirPath[]), [''])
  t.end()
})
