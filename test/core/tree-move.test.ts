import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { treeMark } from '../../lib/core/tree-mark.ts'
import { headsOfMove, planTreeMove } from '../../lib/core/tree-move.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { isBelow, parentOf, rebase, ROOT, type RelPath } from '../../lib/model/path.ts'
import type { TreeMove } from '../../lib/model/revision.ts'
import { dir, file, proposal, rel, symlink } from '../support/builders.ts'
import { MemoryJournal } from '../support/memory-journal.ts'

/** A journal in which ann has put these. */
function journalOf(entries: Record<string, Entry>): MemoryJournal {
  const journal = new MemoryJournal()
  const batch = Object.entries(entries).map(([path, entry]) => proposal(path, 0, entry, 10))
  journal.commit({ peer: 'ann', nowMs: 10 }, batch)
  return journal
}

function moveOf(journal: MemoryJournal, from: string, to: string, more: Partial<TreeMove> = {}): TreeMove {
  const base = journal.head(rel(from))?.seq ?? 0
  const mark = treeMark(rel(from), journal.liveBelow(rel(from)))
  return { from: rel(from), to: rel(to), base, mark, writtenAtMs: 20, ...more }
}

const BY_BOB = { peer: 'bob', nowMs: 30 }
const TREE = { a: dir(0o700), 'a/x': file(1), 'a/s': dir(), 'a/s/y': symlink('x'), 'a-z': file(2), b: dir() }

t.test('a directory is moved by one revision, and all that lives below gets its Seq', async (t) => {
  const journal = journalOf(TREE)
  const plan = journal.move(BY_BOB, moveOf(journal, 'a', 'b/c'))
  const stamp = { timeMs: 20, peer: 'bob' }
  t.same(plan.outcome, { kind: 'accepted', seq: 7 })
  t.same(plan.revision, { seq: 7, path: 'b/c', what: 'move', entry: dir(0o700), stamp, loser: false, from: 'a' })
  t.match(plan.moved, { from: 'a', to: 'b/c', seq: 7, entry: dir(0o700), mark: { count: 3 } })
  for (const [path, entry] of Object.entries({
    'b/c': dir(0o700),
    'b/c/x': file(1),
    'b/c/s': dir(),
    'b/c/s/y': symlink('x'),
  }))
    t.match(journal.head(rel(path)), { seq: 7, entry })
  for (const path of ['a', 'a/x', 'a/s', 'a/s/y']) t.match(journal.head(rel(path)), { seq: 7, entry: undefined })
  t.equal(journal.head(rel('a-z'))?.seq, 5)
})

t.test('a move is not earlier than the directory, nor later than now', async (t) => {
  const journal = journalOf(TREE)
  for (const [writtenAtMs, timeMs] of [
    [0, 10],
    [99, 30],
  ] as const) {
    const plan = planTreeMove(journal, { ...BY_BOB, nextSeq: 7 }, moveOf(journal, 'a', 'c', { writtenAtMs }))
    t.equal(plan.revision?.stamp.timeMs, timeMs)
  }
})

t.test('what the proposer does not know, or has no place, is refused, and nothing changes', async (t) => {
  const lie = { count: 3, hash: '0123456789abcdef' }
  const cases: [string, (journal: MemoryJournal) => TreeMove, number][] = [
    ['into itself', (j) => moveOf(j, 'a', 'a/t'), 400],
    ['onto itself', (j) => moveOf(j, 'a', 'a'), 400],
    ['over what it is in', (j) => moveOf(j, 'a/s', 'a'), 400],
    ['another version of the directory', (j) => moveOf(j, 'a', 'c', { base: 6 }), 409],
    ['no directory', (j) => moveOf(j, 'a-z', 'c'), 409],
    ['nothing', (j) => moveOf(j, 'none', 'c'), 409],
    ['a lying mark', (j) => moveOf(j, 'a', 'c', { mark: lie }), 409],
    ['a mark that counts wrong', (j) => moveOf(j, 'a', 'c', { mark: { ...moveOf(j, 'a', 'c').mark, count: 5 } }), 409],
    ['onto a directory', (j) => moveOf(j, 'a', 'b'), 409],
    ['onto a file', (j) => moveOf(j, 'a', 'a-z'), 409],
    ['onto a directory without a head, in which something lives', (j) => moveOf(j, 'a', 'bare'), 409],
    ['into a file', (j) => moveOf(j, 'a', 'a-z/c'), 409],
    ['into nothing', (j) => moveOf(j, 'a', 'none/c'), 409],
    [
      'to where a path is too long',
      (j) => moveOf(j, 'a', `b/${['1', '2', '3', '4'].map((n) => n.repeat(250)).join('/')}`),
      409,
    ],
  ]
  for (const [what, move, status] of cases) {
    const journal = journalOf({ ...TREE, 'bare/x': file(3), [`a/s/${longPath}`]: file(4) })
    const proposed = deep(journal, what, move(journal))
    const heads = new Map(journal.heads)
    const { outcome } = journal.move(BY_BOB, proposed)
    t.match(outcome, { kind: 'refused', status }, what)
    t.same(journal.heads, heads, what)
  }
})

const longPath = Array.from({ length: 13 }, (_, i) => String.fromCharCode(97 + i).repeat(250)).join('/')

/** The directories on the way to the longest place live. */
function deep(journal: MemoryJournal, what: string, move: TreeMove): TreeMove {
  if (!what.includes('too long')) return move
  const above: RelPath[] = []
  for (let at = parentOf(move.to); at !== ROOT; at = parentOf(at)) above.unshift(at)
  journal.commit(
    { peer: 'ann', nowMs: 10 },
    above.filter((path) => path !== 'b').map((path) => proposal(path, 0, dir(), 10)),
  )
  return move
}

const FROM = ['a', 'a/s', 'b'].map(rel)
const TO = ['c', 'd', 'b/s', 'e', 'a/t'].map(rel)
const PATHS = ['a', 'a', 'b', 'a/x', 'a/s', 'a/s/y', 'b', 'b/x', 'c'].map(rel)

t.test('a move is the same as its moves told one by one', async (t) => {
  const anyWork = fc.array(
    fc.record({
      path: fc.constantFrom(...PATHS),
      entry: fc.oneof(
        fc.constant(undefined),
        fc.constant(dir()),
        fc.integer({ min: 1, max: 4 }).map((n) => file(n)),
      ),
    }),
    { maxLength: 14 },
  )
  let moved = 0
  fc.assert(
    fc.property(anyWork, fc.constantFrom(...FROM), fc.constantFrom(...TO), (work, from, to) => {
      const [whole, single] = [new MemoryJournal(), new MemoryJournal()]
      for (const journal of [whole, single]) {
        for (const { path, entry } of work) {
          const base = journal.head(path)?.seq ?? 0
          journal.commit({ peer: 'ann', nowMs: 10 }, [proposal(path, base, entry, 10)])
        }
      }
      const top = single.head(from)
      const below = [...single.liveBelow(from)]
      const { outcome, moved: tree } = whole.move(BY_BOB, moveOf(whole, from, to))
      if (tree === undefined || top?.entry === undefined) {
        assert.ok(outcome.kind === 'refused')
        return
      }
      moved += 1
      const all = [top, ...below].sort((a, b) => b.path.length - a.path.length)
      const gone = all.map(({ path, seq }) => proposal(path, seq, undefined, 20))
      const put = all
        .reverse()
        .map(({ path, entry }) =>
          proposal(rebase(path, from, to), single.head(rebase(path, from, to))?.seq ?? 0, entry, 20),
        )
      const plan = single.commit(BY_BOB, [...gone, ...put])
      assert.ok(plan.outcomes.every(({ kind }) => kind === 'accepted'))
      const living = (journal: MemoryJournal) => new Map([...journal.heads].map(([path, { entry }]) => [path, entry]))
      assert.deepEqual(living(whole), living(single))
      const told = new Map(
        [
          ...headsOfMove(
            tree,
            below.flatMap(({ path, entry }) => (entry ? [{ path, entry }] : [])),
          ),
        ].map((head) => [head.path, head]),
      )
      for (const [path, head] of told) assert.deepEqual(head, { path, seq: tree.seq, entry: whole.head(path)?.entry })
      for (const path of whole.heads.keys()) {
        const isIn = path === from || path === to || isBelow(from, path) || isBelow(to, path)
        if (isIn && whole.head(path)?.seq === tree.seq) assert.ok(told.has(path), path)
      }
    }),
    { numRuns: 2000 },
  )
  t.ok(moved > 100, String(moved))
})
