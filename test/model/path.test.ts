import fc from 'fast-check'
import t from 'tap'
import {
  ancestorsOf,
  depthOf,
  hostPath,
  isBelow,
  isName,
  joinPath,
  nameOf,
  parentOf,
  parseRelPath,
  placeOf,
  rebase,
  ROOT,
  utf8Length,
} from '../../lib/model/path.ts'
import { rel } from '../support/builders.ts'

t.test('a path that leads out of the folder, or is no path, is none', async (t) => {
  for (const text of ['', '/', '/a', 'a/', 'a//b', '.', '..', 'a/..', '../a', 'a/./b', 'a\0b', '\ud800']) {
    t.equal(parseRelPath(text), undefined, JSON.stringify(text))
  }
})

t.test('what is ours in the folder is no path of it, a like name elsewhere is', async (t) => {
  t.equal(parseRelPath('.systemsync'), undefined)
  t.equal(parseRelPath('.systemsync/objects'), undefined)
  t.equal(parseRelPath('a/.systemsync'), 'a/.systemsync')
  t.equal(parseRelPath('.systemsync2'), '.systemsync2')
})

t.test('names end at 255 bytes, paths at 4096', async (t) => {
  t.equal(isName('x'.repeat(255)), true)
  t.equal(isName('x'.repeat(256)), false)
  t.equal(isName('é'.repeat(128)), false)
  t.ok(parseRelPath(`${'a/'.repeat(2047)}bc`))
  t.equal(parseRelPath(`${'a/'.repeat(2047)}bcd`), undefined)
})

t.test('a path is taken apart and put together', async (t) => {
  t.equal(joinPath(ROOT, 'a'), 'a')
  t.equal(joinPath(rel('a'), 'b'), 'a/b')
  t.equal(parentOf(rel('a')), ROOT)
  t.equal(parentOf(rel('a/b/c')), 'a/b')
  t.equal(nameOf(rel('a')), 'a')
  t.equal(nameOf(rel('a/b')), 'b')
  t.same(ancestorsOf(rel('a')), [])
  t.same(ancestorsOf(rel('a/b/c')), ['a', 'a/b'])
  t.equal(depthOf(ROOT), 0)
  t.equal(depthOf(rel('a/b')), 2)
})

t.test('below means inside, not merely beginning with the same letters', async (t) => {
  t.equal(isBelow(rel('a'), rel('a/b')), true)
  t.equal(isBelow(rel('a'), rel('a')), false)
  t.equal(isBelow(rel('a'), rel('ab')), false)
  t.equal(isBelow(rel('a'), rel('ab/c')), false)
  t.equal(isBelow(ROOT, rel('a')), true)
  t.equal(isBelow(ROOT, ROOT), false)
})

t.test('a renamed directory takes along what is below it', async (t) => {
  t.equal(rebase(rel('a/b/c'), rel('a'), rel('x/y')), 'x/y/b/c')
})

t.test('a place on this machine is below the root', async (t) => {
  t.equal(placeOf(hostPath('/srv'), ROOT), '/srv')
  t.equal(placeOf(hostPath('/srv'), rel('a/b')), '/srv/a/b')
})

t.test('lengths in UTF-8 are those of the encoder', async () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      (text) => !text.isWellFormed() || utf8Length(text) === Buffer.byteLength(text),
    ),
  )
})

t.test('whatever is parsed stays in the folder', async () => {
  const parts = fc.constantFrom('', '.', '..', 'a', '.systemsync', 'b\0', '/')
  fc.assert(
    fc.property(fc.array(parts), (drawn) => {
      const path = parseRelPath(drawn.join('/'))
      return path === undefined || (!path.startsWith('/') && !path.split('/').some((part) => /^\.{0,2}$/.test(part)))
    }),
  )
})
