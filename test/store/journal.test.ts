import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'

import type { ContentPlace, HeadPlace } from '../../lib/model/content.ts'
import { sameEntry } from '../../lib/model/entry.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { ROOT, ancestorsOf, isBelow, joinPath, rebase } from '../../lib/model/path.ts'
import type { RelPath } from '../../lib/model/path.ts'
import type { Collision, Revision, Seq } from '../../lib/model/revision.ts'
import type { KeptContent } from '../../lib/store/contents.ts'
import type { HeadPage } from '../../lib/store/heads.ts'
import { Journal } from '../../lib/store/journal.ts'
import { onEachEngine, tamper } from './engines.ts'
import type { Place } from './engines.ts'
import { anyEntry, anyName, anyPath, digestOf, dir, file, path, revision } from './samples.ts'

function open({ file, engine }: Place): Journal {
  return Journal.open(file, { engine })
}

function commit(journal: Journal, ...revisions: Revision[]): void {
  journal.commit({ revisions, collisions: [], contents: [], nowMs: 5_000_000 })
}

function kept(content: string, place: ContentPlace = { kind: 'object' }): KeptContent {
  return { sha256: digestOf(content), size: content.length, place }
}

function keep(journal: Journal, ...contents: KeptContent[]): void {
  journal.commit({ revisions: [], collisions: [], contents })
}

function livePaths(journal: Journal, under = ROOT as RelPath | ''): string[] {
  return [...journal.liveBelow(under)].map((head) => `${head.path} ${head.seq}`)
}

function headPaths(journal: Journal, since: Seq, limit: number, live = false): unknown {
  const { heads, upTo, more } = journal.headsAfter(since, limit, { live })
  return [heads.map(({ head }) => `${head.path} ${head.seq}${head.entry === undefined ? ' gone' : ''}`), upTo, more]
}

onEachEngine(t, 'a journal has its ids once it is created, and for good', (t, place) => {
  const first = open(place)
  t.notOk(first.isCreated())
  t.throws(() => first.folderId(), /not been created/)
  t.throws(() => first.incarnation(), /not been created/)
  first.create({ folderId: '007', incarnation: '1e3' })
  t.throws(() => {
    first.create({ folderId: 'other', incarnation: 'other' })
  }, /is a journal already/)
  first.close()
  using journal = open(place)
  t.ok(journal.isCreated())
  t.same([journal.folderId(), journal.incarnation(), journal.seq()], ['007', '1e3', 0])
})

onEachEngine(t, 'a revision comes back exactly, and is the head', (t, place) => {
  using journal = open(place)
  let seq = 0
  fc.assert(
    fc.property(
      anyName,
      fc.option(anyEntry, { nil: undefined }),
      fc.double({ min: 0, max: 4e12, noNaN: true }),
      (at, entry, timeMs) => {
        seq++
        const stamp = { timeMs: Math.abs(timeMs), peer: 'bob' }
        const one: Revision = { seq, path: at, what: entry ? 'update' : 'delete', entry, stamp, loser: false }
        commit(journal, one)
        t.strictSame(journal.revision(seq), one)
        t.strictSame(journal.head(at), { path: at, seq, entry, stamp })
      },
    ),
    { numRuns: 100 },
  )
  t.equal(journal.seq(), seq)
})

onEachEngine(t, 'a loser is in history and never the head', (t, place) => {
  using journal = open(place)
  const lost = revision(2, 'a', file('lost'), { what: 'update', loser: true, stamp: { timeMs: 1.25, peer: 'bob' } })
  const collision: Collision = {
    path: path('a'),
    timeMs: 7.5,
    winner: { peer: 'ann', rev: 1 },
    loser: { peer: 'bob', rev: 2 },
  }
  commit(journal, revision(1, 'a', file('won')))
  journal.commit({ revisions: [lost], collisions: [collision], contents: [] })
  t.equal(journal.head(path('a'))?.seq, 1)
  t.strictSame(journal.revisionsOf(path('a')), [revision(1, 'a', file('won')), lost])
  t.strictSame(journal.revisionsAfter(path('a'), 1), [lost])
  t.strictSame(journal.collisions(), [collision])
  t.equal(journal.seq(), 2)
})

onEachEngine(t, 'a commit is whole or nothing', (t, place) => {
  using journal = open(place)
  commit(journal, revision(1, 'a', file('a')))
  const half = {
    revisions: [revision(2, 'b', file('b')), revision(2, 'c', file('c'))],
    collisions: [],
    contents: [kept('b')],
  }
  t.throws(() => {
    journal.commit(half)
  }, /the newest is 2/)
  t.equal(journal.seq(), 1)
  t.equal(journal.head(path('b')), undefined)
  t.notOk(journal.holds(digestOf('b')))
  t.throws(() => {
    journal.transaction(() => {
      commit(journal, revision(2, 'b', file('b')))
      throw new Error('later')
    })
  }, /later/)
  t.equal(journal.seq(), 1)
})

onEachEngine(t, 'a number is never given twice, not even after everything is expired', (t, place) => {
  using journal = open(place)
  commit(journal, revision(1, 'a', file('a')), revision(5, 'a', undefined))
  journal.pruneTombstones(5)
  journal.deleteRevisions([1, 5])
  t.equal(journal.seq(), 5)
  t.throws(() => {
    commit(journal, revision(5, 'b', file('b')))
  }, /the newest is 5/)
})

onEachEngine(t, 'what lives below a directory leaves tombstones out', (t, place) => {
  using journal = open(place)
  commit(
    journal,
    revision(1, 'a', dir),
    revision(2, 'a/b', dir),
    revision(3, 'a/b/c', file('c')),
    revision(4, 'a-', file('x')),
  )
  t.same(livePaths(journal), ['a 1', 'a- 4', 'a/b 2', 'a/b/c 3'])
  commit(journal, revision(5, 'a/b/c', undefined))
  t.same(livePaths(journal, path('a')), ['a/b 2'])
  t.ok(journal.hasLiveBelow(path('a')))
  t.notOk(journal.hasLiveBelow(path('a/b')))
  t.equal(journal.head(path('a/b/c'))?.seq, 5, 'the tombstone is a head all the same')
})

onEachEngine(t, 'heads are told by number, in pages that say up to where', (t, place) => {
  using journal = open(place)
  t.same(headPaths(journal, 0, 2), [[], 0, false])
  commit(journal, revision(1, 'a', file('a')), revision(2, 'b', file('b')), revision(3, 'c', file('c')))
  commit(
    journal,
    revision(4, 'b', undefined),
    revision(5, 'd', file('d')),
    revision(6, 'd', file('e'), { loser: true }),
  )
  t.same(headPaths(journal, 0, 2), [['a 1', 'c 3'], 3, true], 'who knows nothing is told of no tombstone')
  t.same(headPaths(journal, 3, 2, true), [['d 5'], 6, false])
  t.same(headPaths(journal, 3, 1), [['b 4 gone'], 4, true])
  t.same(headPaths(journal, 4, 1), [['d 5'], 6, false], 'a loser ends the last page')
  t.same(headPaths(journal, 6, 1), [[], 6, false])
})

onEachEngine(t, 'heads are found by any names, many at once', (t, place) => {
  using journal = open(place)
  const some = fc.uniqueArray(anyName, { minLength: 1, maxLength: 140, size: 'max' })
  fc.assert(
    fc.property(some, (paths) => {
      const first = journal.seq() + 1
      commit(journal, ...paths.map((at, i) => ({ ...revision(first + i, 'x', dir), path: at })))
      const found = journal.heads(paths)
      t.strictSame(found, new Map(paths.flatMap((at) => [[at, journal.head(at)] as const])))
      t.equal(found.size, paths.length)
    }),
    { numRuns: 15 },
  )
})

onEachEngine(t, 'the places of many contents are those of each', (t, place) => {
  using journal = open(place)
  const all = Array.from({ length: 300 }, (_, i) => kept(`content ${i}`, { kind: 'pack', pack: 'p', offset: i }))
  keep(journal, ...all.filter((_, i) => i % 3 !== 0))
  for (const count of [0, 1, 2, 9, 64, 65, 300]) {
    const wanted = all.slice(0, count)
    const found = journal.places(wanted.map(({ sha256 }) => sha256))
    t.strictSame(
      found,
      new Map(wanted.filter((_, i) => i % 3 !== 0).map((content) => [content.sha256, content])),
      `of ${count}`,
    )
  }
})

onEachEngine(t, 'a head is told with the place of its content', (t, place) => {
  using journal = open(place)
  const pack: ContentPlace = { kind: 'pack', pack: 'p1', offset: 17 }
  commit(
    journal,
    revision(1, 'a', file('a')),
    revision(2, 'b', file('bb')),
    revision(3, 'c', file('c')),
    revision(4, 'd', dir),
  )
  keep(journal, kept('a', pack), kept('bb'))
  const { heads } = journal.headsAfter(0, 9, { live: true })
  t.strictSame(
    heads.map((h) => h.place),
    [pack, { kind: 'object' }, undefined, undefined],
  )
  t.strictSame(
    heads.map((h) => h.head.entry),
    [file('a'), file('bb'), file('c'), dir],
  )
})

onEachEngine(t, 'the log is what happened at or below a place, newest last', (t, place) => {
  using journal = open(place)
  commit(journal, ...['a', 'a/b', 'a-', 'a/b/c', 'a'].map((at, i) => revision(i + 1, at, dir)))
  const seqs = (under: string, limit: number) =>
    journal.log({ under: under === '' ? ROOT : path(under), limit }).map((one) => one.seq)
  t.same(
    journal.log({ limit: 2 }).map((one) => one.seq),
    [4, 5],
  )
  t.same(seqs('', 9), [1, 2, 3, 4, 5])
  t.same(seqs('a', 9), [1, 2, 4, 5])
  t.same(seqs('a', 2), [4, 5])
  t.same(seqs('a/b/c', 9), [4])
})

onEachEngine(t, 'a moved directory takes what lives along and leaves tombstones', (t, place) => {
  using journal = open(place)
  commit(
    journal,
    revision(1, 'a', dir),
    revision(2, 'a/x', file('x')),
    revision(3, 'a/s', dir),
    revision(4, 'a/s/y', file('y')),
  )
  commit(journal, revision(5, 'a/old', file('o')), revision(6, 'a/old', undefined), revision(7, 'to', undefined))
  t.equal(journal.moveTree(path('a'), path('to'), 8, { timeMs: 9, peer: 'bob' }), 4)
  t.same(livePaths(journal), ['to 8', 'to/s 8', 'to/x 8', 'to/s/y 8'])
  const told = (page: HeadPage) =>
    page.heads.map(({ head }) => `${head.path}${head.entry === undefined ? ' gone' : ''}`)
  const first = journal.headsAfter(7, 3, { live: false })
  t.same(told(first), ['a gone', 'to', 'a/s gone'])
  t.match(
    first,
    { upTo: 7, more: true, rest: { seq: 8, path: 'a/s' } },
    'all have one number, and a page may end among them',
  )
  const second = journal.headsAfter(first.rest ?? 0, 3, { live: false })
  t.same(told(second), ['a/x gone', 'a/s/y gone', 'to/s'])
  const third = journal.headsAfter(second.rest ?? 0, 3, { live: false })
  t.same([told(third), third.upTo, third.more, third.rest], [['to/x', 'to/s/y'], 8, false, undefined])
  t.same(told(journal.headsAfter({ seq: 8, path: path('to/s') }, 2, { live: false })), ['to/x', 'to/s/y'])
  t.equal(journal.head(path('a/old'))?.seq, 6, 'older tombstones stay')
  t.same(journal.revision(8), { ...revision(8, 'to', dir), what: 'move', stamp: { timeMs: 9, peer: 'bob' }, from: 'a' })
  t.same(journal.head(path('to/x'))?.stamp, { timeMs: 2000, peer: 'ann' }, 'contents keep their stamp')
})

onEachEngine(t, 'a move leaves the tombstones where it goes that it does not replace', (t, place) => {
  using journal = open(place)
  commit(journal, revision(1, 'a', dir), revision(2, 'a/x', file('x')), revision(3, 'a/s', dir))
  commit(journal, revision(4, 'a/s/y', file('y')), revision(5, 'to', dir), revision(6, 'to/s', dir))
  const gone = ['to/x', 'to/z', 'to/s/y', 'to/s/q', 'to/s', 'to']
  commit(journal, ...gone.map((at, i) => revision(7 + i, at, file(at))))
  commit(journal, ...gone.map((at, i) => revision(13 + i, at, undefined)))
  journal.moveTree(path('a'), path('to'), 19, { timeMs: 9, peer: 'bob' })
  t.same(livePaths(journal), ['to 19', 'to/s 19', 'to/x 19', 'to/s/y 19'])
  for (const at of ['to/z', 'to/s/q'])
    t.match(journal.head(path(at)), { entry: undefined }, `${at} is still to be told`)
  const superseded = new Set(journal.superseded(99, 0).map((one) => one.seq))
  t.same(
    [13, 14, 15, 16, 17].map((seq) => superseded.has(seq)),
    [true, false, true, false, true],
    'the tombstones that were replaced are history',
  )
})

onEachEngine(t, 'history follows a file to where its directory was moved, and knows what was before', (t, place) => {
  using journal = open(place)
  const told = (at: string) => journal.revisionsOf(path(at)).map((one) => `${one.seq} ${one.what} ${one.path}`)
  commit(
    journal,
    revision(1, 'a', dir),
    revision(2, 'a/x', file('x')),
    revision(3, 'a/x', file('y'), { what: 'update' }),
  )
  journal.moveTree(path('a'), path('b'), 4, { timeMs: 4, peer: 'bob' })
  t.same(told('b/x'), ['2 create a/x', '3 update a/x', '4 move b/x'])
  t.same(told('a/x'), ['2 create a/x', '3 update a/x', '4 delete a/x'])
  t.same(told('a'), ['1 create a', '4 delete a'])
  t.match(journal.revisionsAfter(path('b/x'), 0), [
    { seq: 4, entry: file('y'), stamp: { timeMs: 4, peer: 'bob' }, loser: false, from: 'a/x' },
  ])
  t.same(journal.head(path('b/x'))?.origin, 3)
  commit(journal, revision(5, 'b/x', file('z'), { what: 'update' }), revision(6, 'b/new', file('n')))
  journal.moveTree(path('b'), path('c/d'), 7, { timeMs: 7, peer: 'ann' })
  journal.moveTree(path('c/d'), path('a'), 8, { timeMs: 8, peer: 'ann' })
  t.same(told('a/x'), ['2 create a/x', '3 update a/x', '4 move b/x', '5 update b/x', '7 move c/d/x', '8 move a/x'])
  t.same(told('a/new'), ['6 create b/new', '7 move c/d/new', '8 move a/new'])
  t.same(told('b/new'), ['6 create b/new', '7 delete b/new'])
  t.same(told('a/none'), [])
  t.equal(journal.followers({ path: path('a/x'), seq: 2 }, 99), 2, 'an edit, and one where it had gone')
  t.equal(journal.followers({ path: path('a/x'), seq: 2 }, 1), 1)
})

onEachEngine(t, 'the move of a directory is kept as long as anything has its number', (t, place) => {
  using journal = open(place)
  commit(journal, revision(1, 'a', dir), revision(2, 'a/x', file('x')))
  journal.moveTree(path('a'), path('b'), 3, { timeMs: 3, peer: 'bob' })
  commit(journal, revision(4, 'b', { kind: 'dir', mode: 0o700 }, { what: 'update' }))
  journal.deleteRevisions([1, 3])
  t.ok(journal.revision(3), 'b/x came by it')
  commit(journal, revision(5, 'b/x', file('y'), { what: 'update' }))
  journal.pruneTombstones(5)
  journal.deleteRevisions([3])
  t.notOk(journal.revision(3))
})

onEachEngine(
  t,
  'a moved file that is edited, then replaced at its old place, supersedes what it should',
  (t, place) => {
    using journal = open(place)
    commit(journal, revision(1, 'a', dir), revision(2, 'a/x', file('x')))
    journal.moveTree(path('a'), path('to'), 3, { timeMs: 3, peer: 'bob' })
    t.same(
      journal.superseded(9, 0).map((one) => one.seq),
      [1],
      'the content of a/x is current as to/x',
    )
    commit(journal, revision(4, 'a', file('new')))
    t.same(
      journal.superseded(9, 0).map((one) => one.seq),
      [1],
      'the move is current still',
    )
    commit(journal, revision(5, 'to/x', file('y'), { what: 'update' }))
    t.same(
      journal.superseded(9, 0).map((one) => one.seq),
      [1, 2],
    )
    journal.moveTree(path('to'), path('far'), 6, { timeMs: 6, peer: 'bob' })
    journal.moveTree(path('far'), path('to'), 7, { timeMs: 7, peer: 'bob' })
    t.same(livePaths(journal), ['a 4', 'to 7', 'to/x 7'])
    t.same(
      journal.superseded(9, 0).map((one) => one.seq),
      [1, 2, 3, 6],
      'a content moved twice is current',
    )
  },
)

onEachEngine(t, 'a move needs something that lives, and a free place of its own', (t, place) => {
  using journal = open(place)
  const stamp = { timeMs: 1, peer: 'ann' }
  commit(journal, revision(1, 'a', dir), revision(2, 'a/x', file('x')), revision(3, 'b', dir), revision(4, 'c/d', dir))
  t.throws(() => journal.moveTree(path('no'), path('q'), 5, stamp), /no directory lives there/)
  t.throws(() => journal.moveTree(path('a/x'), path('q'), 5, stamp), /no directory lives there/)
  t.throws(() => journal.moveTree(path('a'), path('b'), 5, stamp), /something lives at "b"/)
  t.throws(() => journal.moveTree(path('a'), path('c'), 5, stamp), /something lives at "c"/)
  for (const to of ['a', 'a/y']) t.throws(() => journal.moveTree(path('a'), path(to), 5, stamp), /cannot be moved/)
  t.throws(() => {
    commit(journal, revision(5, 'q', dir, { what: 'move' }))
  }, /cannot be moved from ""/)
  t.same(livePaths(journal), ['a 1', 'b 3', 'a/x 2', 'c/d 4'])
  t.equal(journal.seq(), 4)
})

onEachEngine(t, 'a moved file is created at one path and deleted at the other', (t, place) => {
  using journal = open(place)
  commit(journal, revision(1, 'a', file('x')))
  const moved = revision(2, 'b', file('x'), { what: 'move', from: path('a') })
  commit(journal, moved, revision(3, 'a', undefined))
  t.same(livePaths(journal), ['b 2'])
  t.strictSame(journal.revision(2), moved)
  t.same(
    journal.superseded(9, 0).map((one) => one.seq),
    [1],
  )
})

onEachEngine(t, 'any commits and moves leave the heads that a plain map would hold', (t, { engine, file: where }) => {
  let turn = 0
  const history = fc.array(
    fc.record({ do: fc.constantFrom('file', 'dir', 'gone', 'move', 'move'), at: anyPath, from: anyPath }),
    { maxLength: 14 },
  )
  const check = (steps: readonly Step[], limit: number) => {
    using journal = open({ engine, file: `${where}-${turn++}` })
    const model: Model = new Map()
    const pasts: Pasts = new Map()
    steps.forEach((step, i) => {
      const before = new Map(model)
      take(journal, model, step, i + 1)
      if (step.do !== 'move') note(pasts, step.at, [i + 1, model.get(step.at)])
      else for (const [at, entry] of model) if (before.get(at) !== entry) note(pasts, at, [i + 1, entry])
    })
    for (const [at, past] of pasts) {
      const told = journal.revisionsAfter(at, 0).map(({ seq, entry }) => [seq, entry])
      assert.deepEqual(told, past, at)
    }
    const alive = [...model].filter(([, entry]) => entry !== undefined)
    const told = new Map<RelPath, Entry | undefined>()
    let upTo = 0
    let rest: HeadPlace | undefined
    for (let more = true; more;) {
      const page = journal.headsAfter(rest ?? upTo, limit, { live: true })
      assert.ok(page.heads.length <= limit)
      for (const { head } of page.heads) told.set(head.path, head.entry)
      ;({ upTo, more, rest } = page)
    }
    assert.equal(upTo, journal.seq())
    assert.deepEqual(told, new Map(alive))
    for (const [at, entry] of model) assert.deepEqual(journal.head(at)?.entry, entry)
    agreeOnMany(journal, model)
    const superseded = new Set(journal.superseded(99, 0).map((one) => one.seq))
    for (const [, entry] of alive) {
      const holders = journal.log({ limit: 99 }).filter((one) => sameEntry(one.entry, entry))
      assert.ok(holders.some((one) => !superseded.has(one.seq)))
    }
  }
  fc.assert(fc.property(history, fc.integer({ min: 1, max: 5 }), check), { numRuns: 40 })
  t.pass()
})

/** Many paths and Seqs asked for at once, against one at a time. */
function agreeOnMany(journal: Journal, model: Model): void {
  const paths = [...model.keys()].flatMap((at) => [...ancestorsOf(at), at, joinPath(at, 'none')])
  const single = new Map(paths.flatMap((at) => [[at, journal.head(at)] as const]))
  assert.deepEqual(journal.heads(paths), new Map([...single].filter(([, head]) => head !== undefined)))
  const alive = [...model].filter(([, entry]) => entry !== undefined)
  const full = paths.filter((dir) => alive.some(([at]) => isBelow(dir, at)))
  assert.deepEqual(journal.withLiveBelow(paths), new Set(full))
  assert.deepEqual(
    paths.filter((dir) => journal.hasLiveBelow(dir)),
    full,
  )
  const seqs = Array.from({ length: journal.seq() + 2 }, (_, seq) => seq)
  const stamps = seqs.flatMap((seq) => journal.revision(seq) ?? []).map(({ seq, stamp }) => [seq, stamp] as const)
  assert.deepEqual(journal.stamps(seqs), new Map(stamps))
}

interface Step {
  readonly do: string
  readonly at: RelPath
  readonly from: RelPath
}

/** What stood at each path from which Seq on. */
type Pasts = Map<RelPath, (readonly [Seq, Entry | undefined])[]>

function note(pasts: Pasts, at: RelPath, now: readonly [Seq, Entry | undefined]): void {
  const past = pasts.get(at)
  if (past === undefined) pasts.set(at, [now])
  else past.push(now)
}

/** Tombstones are `undefined`. */
type Model = Map<RelPath, Entry | undefined>

function take(journal: Journal, model: Model, step: Step, seq: Seq): void {
  const { from, at } = step
  const live = (top: RelPath) =>
    [...model].filter(([p, entry]) => entry !== undefined && (p === top || isBelow(top, p)))
  if (step.do !== 'move') {
    const entry = step.do === 'gone' ? undefined : step.do === 'dir' ? { ...dir, mode: seq } : file(`${seq}`)
    commit(journal, revision(seq, at, entry))
    model.set(at, entry)
    return
  }
  if (from === at || isBelow(from, at) || isBelow(at, from)) return
  if (model.get(from)?.kind !== 'dir' || live(at).length > 0) return
  const moved = live(from)
  assert.equal(journal.moveTree(from, at, seq, { timeMs: 1, peer: 'bob' }), moved.length)
  for (const [old, entry] of moved) model.set(old === from ? at : rebase(old, from, at), entry).set(old, undefined)
}

onEachEngine(t, 'what is superseded counts from the commit that replaced it', (t, place) => {
  using journal = open(place)
  const at = (nowMs: number, ...revisions: Revision[]) => {
    journal.commit({ revisions, collisions: [], contents: [], nowMs })
  }
  at(100, revision(1, 'a', file('1')))
  at(200, revision(2, 'a', file('2')), revision(3, 'b', file('b')))
  at(300, revision(4, 'a', file('lost'), { loser: true }))
  at(400, revision(5, 'a', undefined))
  t.same(journal.superseded(9, 0), [
    { seq: 1, path: 'a', timeMs: 1000, supersededAtMs: 200, rank: 3 },
    { seq: 2, path: 'a', timeMs: 2000, supersededAtMs: 400, rank: 2 },
    { seq: 4, path: 'a', timeMs: 4000, supersededAtMs: 300, rank: 1 },
  ])
  t.same(
    journal.superseded(1, 1).map((one) => one.seq),
    [2],
  )
  at(500, revision(6, 'a', file('again')))
  t.same(journal.superseded(9, 4), [{ seq: 5, path: 'a', timeMs: 5000, supersededAtMs: 500, rank: 1 }])
})

onEachEngine(t, 'an expired loser takes its collision along, a current revision never expires', (t, place) => {
  using journal = open(place)
  const collision: Collision = {
    path: path('a'),
    timeMs: 7,
    winner: { peer: 'ann', rev: 1 },
    loser: { peer: 'bob', rev: 2 },
  }
  journal.commit({
    revisions: [revision(1, 'a', file('won')), revision(2, 'a', file('lost'), { loser: true })],
    collisions: [collision],
    contents: [],
  })
  journal.deleteRevisions([2])
  t.same([journal.collisions(), journal.revision(2)], [[], undefined])
  journal.deleteRevisions([1])
  t.strictSame(journal.revision(1), revision(1, 'a', file('won')))
})

onEachEngine(t, 'tombstones that everyone has passed go, their revisions stay', (t, place) => {
  using journal = open(place)
  commit(
    journal,
    revision(1, 'a', file('a')),
    revision(2, 'b', file('b')),
    revision(3, 'a', undefined),
    revision(4, 'b', undefined),
  )
  t.equal(journal.pruned(), 0)
  t.equal(journal.pruneTombstones(2), 0)
  t.equal(journal.pruned(), 0, 'none was removed')
  t.equal(journal.pruneTombstones(3), 1)
  t.equal(journal.pruned(), 3)
  t.equal(journal.pruneTombstones(3), 0)
  t.equal(journal.pruned(), 3, 'and it is remembered')
  t.equal(journal.head(path('a')), undefined)
  t.equal(journal.head(path('b'))?.seq, 4)
  t.equal(journal.revisionsOf(path('a')).length, 2)
  t.same(
    journal.superseded(9, 2).map((one) => one.seq),
    [3],
  )
})

onEachEngine(t, 'a content is where it was last put', (t, place) => {
  using journal = open(place)
  const first: ContentPlace = { kind: 'pack', pack: 'p1', offset: 0 }
  const second: ContentPlace = { kind: 'pack', pack: 'p2', offset: 5 }
  keep(journal, kept('aa', first), kept('bbb', { ...first, offset: 2 }))
  keep(journal, kept('aa', first))
  t.same(journal.packs(), [{ id: 'p1', bytes: 5, liveBytes: 5 }])
  keep(journal, kept('aa', second))
  t.strictSame(journal.place(digestOf('aa')), kept('aa', second))
  t.same(journal.packs(), [
    { id: 'p1', bytes: 5, liveBytes: 3 },
    { id: 'p2', bytes: 7, liveBytes: 2 },
  ])
  t.same(journal.contentsOfPack('p1'), [kept('bbb', { ...first, offset: 2 })])
  t.equal(journal.place(digestOf('no')), undefined)
  t.notOk(journal.holds(digestOf('no')))
})

onEachEngine(t, 'a pack is dropped when nothing is read from it any more', (t, place) => {
  using journal = open(place)
  keep(journal, kept('aa', { kind: 'pack', pack: 'p1', offset: 0 }), kept('o'))
  t.throws(() => {
    journal.dropPack('p1')
  }, /still read from it/)
  journal.forgetContent([digestOf('aa'), digestOf('o'), digestOf('never')])
  t.same(journal.packs(), [{ id: 'p1', bytes: 2, liveBytes: 0 }])
  journal.dropPack('p1')
  t.same(journal.packs(), [])
  t.notOk(journal.holds(digestOf('o')))
})

onEachEngine(t, 'a content is unreferenced when neither a head nor a kept revision names it', (t, place) => {
  using journal = open(place)
  commit(
    journal,
    revision(1, 'a', file('1')),
    revision(2, 'a', file('2'), { what: 'update' }),
    revision(3, 'b', file('3')),
  )
  keep(journal, kept('1'), kept('2'), kept('3'), kept('4'), kept('5'))
  const loose = (...texts: string[]) => texts.map(digestOf).sort()
  t.same(journal.unreferenced(9), loose('4', '5'))
  t.same(journal.unreferenced(1), loose('4', '5').slice(0, 1))
  t.same(journal.unreferenced(9, loose('4', '5')[0]), loose('4', '5').slice(1))
  journal.deleteRevisions([1, 2, 3])
  t.same(journal.unreferenced(9), loose('1', '4', '5'), 'what heads name is wanted')
})

onEachEngine(t, 'clients are remembered with their cursor', (t, place) => {
  const first = open(place)
  t.equal(first.client('bob'), undefined)
  first.setCursor('bob', 3, 1000.5)
  first.setCursor('ann', 1, 1)
  first.setCursor('bob', 7, 2000)
  first.close()
  using journal = open(place)
  const bob = { name: 'bob', cursor: 7, lastSeenMs: 2000 }
  t.strictSame(journal.client('bob'), bob)
  t.strictSame(journal.clients(), [{ name: 'ann', cursor: 1, lastSeenMs: 1 }, bob])
})

onEachEngine(t, 'rows that no version writes are damage', (t, place) => {
  using journal = open(place)
  commit(journal, revision(1, 'a', file('a')))
  keep(journal, kept('a'))
  tamper(
    place,
    "UPDATE revisions SET path = '../a'; UPDATE contents SET pack_offset = 'x', pack = 'p'; UPDATE heads SET peer = x'00'",
  )
  const damage = { code: 'DATABASE_DAMAGED', message: place.file }
  t.throws(() => journal.revision(1), damage)
  t.throws(() => journal.place(digestOf('a')), damage)
  t.throws(() => journal.head(path('a')), damage)
  tamper(place, "UPDATE revisions SET path = 'a', what = 9")
  t.throws(() => journal.revision(1), damage)
})

onEachEngine(t, 'a folder takes over the id of its earlier life', (t, place) => {
  using journal = open(place)
  t.throws(() => {
    journal.renameFolder('old')
  }, /not been created/)
  journal.create({ folderId: 'new', incarnation: 'i' })
  journal.renameFolder('old')
  t.same([journal.folderId(), journal.incarnation()], ['old', 'i'])
})
