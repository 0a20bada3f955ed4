import t from 'tap'
import { sameContent, sameEntry, samePrint } from '../../lib/model/entry.ts'
import { dir, file, printOf, symlink } from '../support/builders.ts'

t.test('content is what a file holds, where a link points, that a directory is one', async (t) => {
  t.equal(sameContent(file(1), file(1, { mode: 0, mtimeNs: '5' })), true)
  t.equal(sameContent(file(1), file(2)), false)
  t.equal(sameContent(symlink('x'), symlink('x')), true)
  t.equal(sameContent(symlink('x'), symlink('y')), false)
  t.equal(sameContent(dir(0o700), dir()), true)
})

t.test('kinds never hold the same content, and nothing is only like nothing', async (t) => {
  t.equal(sameContent(file(1), symlink('x')), false)
  t.equal(sameContent(symlink('x'), dir()), false)
  t.equal(sameContent(dir(), file(1)), false)
  t.equal(sameContent(undefined, undefined), true)
  t.equal(sameContent(undefined, dir()), false)
  t.equal(sameContent(dir(), undefined), false)
})

t.test('entries are the same when mode and mtime are too', async (t) => {
  t.equal(sameEntry(file(1), file(1)), true)
  t.equal(sameEntry(file(1), file(1, { mode: 0 })), false)
  t.equal(sameEntry(file(1), file(1, { mtimeNs: '5' })), false)
  t.equal(sameEntry(file(1), file(2)), false)
  t.equal(sameEntry(dir(), dir()), true)
  t.equal(sameEntry(dir(), dir(0o700)), false)
  t.equal(sameEntry(symlink('x'), symlink('x')), true)
  t.equal(sameEntry(undefined, undefined), true)
})

t.test('any touch of a file shows in its fingerprint', async (t) => {
  const print = printOf(file(1))
  t.equal(samePrint(print, { ...print }), true)
  for (const touch of [
    { size: 9 },
    { mtimeNs: '9' },
    { ctimeNs: '9' },
    { ino: '9' },
    { mode: 0 },
    { kind: 'link' },
  ] as const) {
    t.equal(samePrint(print, { ...print, ...touch }), false, JSON.stringify(touch))
  }
})

t.test('what happens in a directory does not touch it, its mode does', async (t) => {
  const print = printOf(dir())
  t.equal(samePrint(print, { ...print, mtimeNs: '9', ctimeNs: '9', size: 9 }), true)
  t.equal(samePrint(print, { ...print, mode: 0o700 }), false)
})
