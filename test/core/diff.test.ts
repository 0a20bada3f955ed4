import t from 'tap'
import { diffListing, diffSeen } from '../../lib/core/diff.ts'
import type { Listing, Seen } from '../../lib/model/snapshot.ts'
import { dir, file, printOf, rel, row, seen, symlink } from '../support/builders.ts'

const none = () => false

function listing(names: readonly Seen[], more: Partial<Listing> = {}): Listing {
  return { dir: rel('d'), state: 'read', seen: names, unknown: [], problems: [], ...more }
}

t.test('what is as it was is no change', async (t) => {
  const rows = [row('d/f', file(1)), row('d/sub', dir()), row('d/l', symlink('x'))]
  const diff = diffListing(rows, listing([seen('f', file(1)), seen('sub', dir()), seen('l', symlink('x'))]), none)
  t.same(diff, { changes: [], goneDirs: [], newDirs: [] })
})

t.test('a new name is put, and a new directory is to be looked into', async (t) => {
  const diff = diffListing([], listing([seen('f', file(1)), seen('sub', dir()), seen('l', symlink('x'))]), none)
  t.same(diff.changes, [
    { kind: 'put', path: 'd/f', print: printOf(file(1)), base: undefined },
    { kind: 'put', path: 'd/sub', print: printOf(dir()), base: undefined },
    { kind: 'put', path: 'd/l', print: printOf(symlink('x')), target: 'x', base: undefined },
  ])
  t.same(diff.newDirs, ['d/sub'])
})

t.test('names in the folder itself have no directory before them', async (t) => {
  t.match(diffListing([], listing([seen('f', file(1))], { dir: '' }), none).changes, [{ path: 'f' }])
})

t.test('a file whose change time alone moved is put, as only reading it tells', async (t) => {
  const old = row('d/f', file(1))
  const now = seen('f', file(1), '1', { ctimeNs: '2' })
  t.same(diffListing([old], listing([now]), none).changes, [{ kind: 'put', path: 'd/f', print: now.print, base: old }])
})

t.test('a missing name is gone, and a missing directory with all below it', async (t) => {
  const rows = [row('d/f', file(1)), row('d/sub', dir())]
  const diff = diffListing(rows, listing([]), none)
  t.same(
    diff.changes,
    rows.map((base) => ({ kind: 'gone', path: base.path, base })),
  )
  t.same(diff.goneDirs, ['d/sub'])
})

t.test('a directory that became a file is put, and all below it gone', async (t) => {
  const diff = diffListing([row('d/s', dir())], listing([seen('s', file(1))]), none)
  t.match(diff, { changes: [{ kind: 'put', path: 'd/s' }], goneDirs: ['d/s'], newDirs: [] })
})

t.test('a file that became a directory is put, and is to be looked into', async (t) => {
  const diff = diffListing([row('d/s', file(1))], listing([seen('s', dir())]), none)
  t.match(diff, { changes: [{ kind: 'put', path: 'd/s' }], goneDirs: [], newDirs: ['d/s'] })
})

t.test('a directory whose mode changed is put, and keeps what is below', async (t) => {
  const diff = diffListing([row('d/s', dir())], listing([seen('s', dir(0o700))]), none)
  t.match(diff, { changes: [{ kind: 'put', path: 'd/s' }], goneDirs: [], newDirs: [] })
})

t.test('a directory that cannot be read, or is not there, deletes nothing', async (t) => {
  for (const state of ['unreadable', 'missing'] as const) {
    t.same(diffListing([row('d/f', file(1))], listing([], { state }), none).changes, [])
  }
})

t.test('a name that cannot be looked at is neither changed nor gone', async (t) => {
  const diff = diffListing([row('d/f', file(1))], listing([seen('g', file(2))], { unknown: ['f', 'g'] }), none)
  t.same(diff.changes, [])
})

t.test('what is ignored now is not gone', async (t) => {
  const asked: [string, boolean][] = []
  const diff = diffListing([row('d/f', file(1)), row('d/s', dir())], listing([]), (path, isDir) => {
    asked.push([path, isDir])
    return true
  })
  t.same(diff, { changes: [], goneDirs: [], newDirs: [] })
  t.same(asked, [
    ['d/f', false],
    ['d/s', true],
  ])
})

t.test('one path is compared alone', async (t) => {
  const path = rel('d/f')
  const old = row('d/f', file(1))
  t.equal(diffSeen(path, undefined, undefined), undefined)
  t.equal(diffSeen(path, old, seen('f', file(1))), undefined)
  t.same(diffSeen(path, old, undefined), { kind: 'gone', path, base: old })
  t.match(diffSeen(path, undefined, seen('f', file(1))), { kind: 'put', path })
})
