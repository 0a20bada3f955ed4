import t from 'tap'
import { EMPTY_DIGEST } from '../../lib/model/digest.ts'
import type { Entry } from '../../lib/model/entry.ts'
import type { Proposal } from '../../lib/model/revision.ts'
import { dir, file, proposal, rel, symlink } from '../support/builders.ts'
import { MemoryJournal } from '../support/memory-journal.ts'

const NOON = Date.UTC(2024, 0, 1, 12)
const BOB_COPY = '(conflict bob 2024-01-01 12.00.01)'
const ANN_COPY = '(conflict ann 2024-01-01 12.00.01)'

/** A journal and a clock that goes on by a minute with each batch; `at`: seconds after noon at which the batch was written. */
class Desk {
  readonly journal = new MemoryJournal()
  readonly conflict: 'latest' | 'keep-both'
  #nowMs = NOON + 3_600_000

  constructor(conflict: 'latest' | 'keep-both' = 'latest') {
    this.conflict = conflict
  }

  commit(peer: string, at: number, ...batch: [path: string, base: number, entry: Entry | undefined][]) {
    this.#nowMs += 60_000
    const proposals = batch.map(([path, base, entry]): Proposal => proposal(path, base, entry, NOON + at * 1000))
    return this.journal.commit({ peer, nowMs: this.#nowMs, conflict: this.conflict }, proposals)
  }

  /** What lives, as a person would draw it. */
  live(): Record<string, Entry> {
    const live = [...this.journal.heads.values()].flatMap(({ path, entry }) => (entry ? [[path, entry] as const] : []))
    return Object.fromEntries(live.sort(([a], [b]) => (a < b ? -1 : 1)))
  }
}

t.test('proposals are numbered in turn, and later ones of a batch see the earlier', async (t) => {
  const desk = new Desk()
  const plan = desk.commit('ann', 0, ['d', 0, dir()], ['d/f', 0, file(1)], ['d/f', 2, file(2)])
  t.same(plan.outcomes, [
    { kind: 'accepted', seq: 1 },
    { kind: 'accepted', seq: 2 },
    { kind: 'accepted', seq: 3 },
  ])
  t.match(plan.revisions, [{ what: 'create' }, { what: 'create' }, { what: 'update', stamp: { peer: 'ann' } }])
  t.same(desk.live(), { d: dir(), 'd/f': file(2) })
})

t.test('of two edits the later is live, and the earlier in history', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('ann', 5, ['a', 1, file(2)])
  const lost = desk.commit('bob', 4, ['a', 1, file(3)])
  t.same(lost.outcomes, [{ kind: 'superseded', seq: 3 }])
  t.match(lost.revisions, [{ seq: 3, entry: file(3), loser: true }])
  t.match(lost.collisions, [{ path: 'a', winner: { peer: 'ann', rev: 2 }, loser: { peer: 'bob', rev: 3 } }])
  const won = desk.commit('cat', 6, ['a', 1, file(4)])
  t.same(won.outcomes, [{ kind: 'accepted', seq: 4 }])
  t.match(won.collisions, [{ winner: { peer: 'cat', rev: 4 }, loser: { peer: 'ann', rev: 2 } }])
  t.same(desk.live(), { a: file(4) })
})

t.test('the same edit by two peers is one', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('ann', 1, ['a', 1, file(2)])
  t.same(desk.commit('bob', 2, ['a', 1, file(2)]), {
    revisions: [],
    collisions: [],
    outcomes: [{ kind: 'duplicate', seq: 2 }],
  })
})

t.test('a clock that is ahead counts as now', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  const { revisions } = desk.commit('bob', 999_999, ['a', 1, file(2)])
  t.equal(revisions[0]?.stamp.timeMs, NOON + 3_720_000)
})

t.test('a clock that is behind counts as the base that was edited', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 5, ['a', 0, file(1)])
  const { revisions } = desk.commit('bob', 0, ['a', 1, file(2)])
  t.equal(revisions[0]?.stamp.timeMs, NOON + 5000)
})

t.test('a proposal made again after a crash is a duplicate', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  t.same(desk.commit('ann', 0, ['a', 0, file(1)]).outcomes, [{ kind: 'duplicate', seq: 1 }])
  t.same(desk.commit('ann', 1, ['a', 1, undefined]).outcomes, [{ kind: 'accepted', seq: 2 }])
  t.same(desk.commit('ann', 1, ['a', 1, undefined]).outcomes, [{ kind: 'duplicate', seq: 2 }])
})

t.test('a proposal made again when others went on already is no conflict', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('ann', 1, ['a', 1, file(2)])
  desk.commit('bob', 2, ['a', 2, file(3)])
  const again = desk.commit('ann', 1, ['a', 1, file(2)])
  t.same(again, { revisions: [], collisions: [], outcomes: [{ kind: 'superseded', seq: 2 }] })
})

t.test('a losing proposal made again does not lose twice', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('bob', 0, ['a', 0, file(2)])
  const again = desk.commit('bob', 0, ['a', 0, file(2)])
  t.equal(again.revisions.length, 0)
})

t.test('who edits on after an answer was lost collides with nobody', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  const plan = desk.commit('ann', 1, ['a', 0, file(2)])
  t.same(plan.outcomes, [{ kind: 'accepted', seq: 2 }])
  t.same(plan.collisions, [])
})

t.test(
  'a path that was made a directory, a file and a directory again, all unheard, ends as the directory',
  async (t) => {
    const desk = new Desk()
    desk.commit('ann', 0, ['a', 0, file(1)])
    desk.commit('ann', 5, ['a', 1, dir()])
    desk.commit('ann', 6, ['a', 1, file(2)])
    const back = desk.commit('ann', 7, ['a', 1, dir()])
    t.same(back.outcomes, [{ kind: 'accepted', seq: 4 }])
    t.same(desk.live(), { a: dir() })
    t.same(desk.journal.collisions, [])
  },
)

t.test('who went back to an earlier state unheard follows itself, though its clock went back too', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('ann', 50, ['a', 1, file(2)])
  desk.commit('ann', 60, ['a', 1, file(3)])
  t.same(desk.commit('ann', 40, ['a', 1, file(2)]).outcomes, [{ kind: 'accepted', seq: 4 }])
  t.same(desk.live(), { a: file(2) })
})

t.test('who went back unheard, while others went on, collides from what it said last', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('ann', 5, ['a', 1, file(2)])
  desk.commit('ann', 6, ['a', 1, file(3)])
  desk.commit('bob', 10, ['a', 3, file(4)])
  const back = desk.commit('ann', 20, ['a', 1, file(2)])
  t.same(back.outcomes, [{ kind: 'accepted', seq: 5 }])
  t.match(back.collisions, [{ winner: { peer: 'ann', rev: 5 }, loser: { peer: 'bob', rev: 4 } }])
})

t.test('a proposal based on what lost is not taken for the only one', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 1, ['a', 0, file(1)])
  desk.commit('bob', 0, ['a', 0, file(2)])
  const plan = desk.commit('bob', 2, ['a', 2, undefined])
  t.same(plan.outcomes, [{ kind: 'superseded', seq: 1 }])
  t.same(desk.live(), { a: file(1) })
})

t.test('a base that the journal does not know is a collision', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 1, ['a', 0, file(1)])
  t.equal(desk.commit('ann', 2, ['a', 77, file(2)]).collisions.length, 1)
})

t.test('without a base, what equals a past head is only old', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('ann', 1, ['a', 1, file(2)])
  t.same(desk.commit('bob', 5, ['a', 0, file(1)]).outcomes, [{ kind: 'superseded', seq: 1 }])
  t.same(desk.live(), { a: file(2) })
})

t.test('without a base, a file comes back though it was deleted once: a lost index deletes nothing', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('bob', 1, ['a', 1, undefined])
  t.same(desk.commit('ann', 0, ['a', 0, file(1)]).outcomes, [{ kind: 'accepted', seq: 3 }])
})

t.test('a delete loses to an edit, and an edit revives what was deleted', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)], ['b', 0, file(2)])
  desk.commit('ann', 1, ['a', 1, file(3)], ['b', 2, undefined])
  const plan = desk.commit('bob', 9, ['a', 1, undefined], ['b', 2, file(4)])
  t.same(plan.outcomes, [
    { kind: 'superseded', seq: 3 },
    { kind: 'accepted', seq: 5 },
  ])
  t.same(plan.collisions, [])
  t.same(desk.live(), { a: file(3), b: file(4) })
})

t.test('a delete of what the journal never had is a duplicate of nothing', async (t) => {
  t.same(new Desk().commit('ann', 0, ['a', 3, undefined]).outcomes, [{ kind: 'duplicate', seq: 0 }])
})

t.test('equal content with another mode is settled without a collision, the later mode wins', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)])
  desk.commit('ann', 5, ['a', 1, file(1, { mode: 0o600 })])
  t.same(desk.commit('bob', 6, ['a', 1, file(1, { mode: 0o640 })]).outcomes, [{ kind: 'accepted', seq: 3 }])
  t.same(desk.commit('cat', 5, ['a', 1, file(1, { mode: 0o666 })]).outcomes, [{ kind: 'superseded', seq: 4 }])
  t.same(desk.journal.collisions, [])
  t.same(desk.live(), { a: file(1, { mode: 0o640 }) })
})

t.test('a file that is deleted and made elsewhere in one batch is a move', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)], ['e', 0, file(0, { sha256: EMPTY_DIGEST })], ['l', 0, symlink('x')])
  const plan = desk.commit(
    'ann',
    1,
    ['a', 1, undefined],
    ['e', 2, undefined],
    ['l', 3, undefined],
    ['b', 0, file(1)],
    ['c', 0, file(1)],
    ['f', 0, file(0, { sha256: EMPTY_DIGEST })],
    ['m', 0, symlink('x')],
  )
  t.match(plan.revisions.slice(3), [
    { path: 'b', what: 'move', from: 'a' },
    { path: 'c', what: 'create' },
    { path: 'f', what: 'create' },
    { path: 'm', what: 'create' },
  ])
})

t.test('two equal files that are moved come from one place each', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['a', 0, file(1)], ['b', 0, file(1)])
  const plan = desk.commit('ann', 1, ['a', 1, undefined], ['b', 2, undefined], ['c', 0, file(1)], ['d', 0, file(1)])
  t.same(plan.revisions.map((one) => one.from).sort(), ['a', 'b', undefined, undefined])
})

t.test('a deleted directory that something new was made in keeps it', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['d', 0, dir(0o700)], ['d/old', 0, file(1)])
  desk.commit('bob', 1, ['d/new', 0, file(2)])
  const plan = desk.commit('ann', 2, ['d/old', 2, undefined], ['d', 1, undefined])
  t.same(plan.outcomes[1], { kind: 'superseded', seq: 5 }, 'announced again, so that the proposer makes it again')
  t.match(plan.revisions[1], { path: 'd', entry: dir(0o700), loser: false })
  t.same(desk.live(), { d: dir(0o700), 'd/new': file(2) })
})

t.test('a directory that was deleted lives again, with its mode, when something is made in it', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['d', 0, dir(0o700)])
  desk.commit('ann', 1, ['d', 1, undefined])
  desk.commit('bob', 2, ['d/new', 0, file(2)])
  t.same(desk.live(), { d: dir(0o700), 'd/new': file(2) })
})

t.test('a file may be put in a directory that has no revision of its own', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['d/f', 0, file(1)])
  t.same(desk.live(), { 'd/f': file(1) })
})

t.test('who replaces a directory by a file, or the other way, conflicts with nobody', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['d', 0, dir()], ['d/f', 0, file(1)], ['e', 0, file(2)])
  const plan = desk.commit('ann', 1, ['d/f', 2, undefined], ['d', 1, file(3)], ['e', 3, dir()], ['e/f', 0, file(4)])
  t.ok(plan.outcomes.every((outcome) => outcome.kind === 'accepted'))
  t.same(plan.collisions, [])
  t.same(desk.live(), { d: file(3), e: dir(), 'e/f': file(4) })
})

t.test('a file later than a directory has the name, and the directory lives on beside it', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 1, ['d', 0, dir(0o700)], ['d/s', 0, dir()], ['d/s/f', 0, file(1)])
  const plan = desk.commit('ann', 2, ['d', 0, file(2)])
  t.match(plan.outcomes, [{ kind: 'accepted' }])
  t.same(desk.live(), {
    d: file(2),
    [`d ${BOB_COPY}`]: dir(0o700),
    [`d ${BOB_COPY}/s`]: dir(),
    [`d ${BOB_COPY}/s/f`]: file(1),
  })
  t.match(plan.collisions, [{ path: 'd', winner: { peer: 'ann' }, loser: { peer: 'bob' } }])
  t.match(desk.journal.head(rel(`d ${BOB_COPY}/s/f`)), { stamp: { peer: 'bob' } })
})

t.test('a file earlier than a directory lives on beside it, and the directory is announced again', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 0, ['d', 0, dir()])
  desk.commit('bob', 2, ['d/f', 0, file(1)])
  const plan = desk.commit('ann', 1, ['d', 1, file(2)])
  t.match(plan.outcomes, [{ kind: 'superseded', seq: 3 }])
  t.same(desk.live(), { d: dir(), 'd/f': file(1), [`d ${ANN_COPY}`]: file(2) })
  t.ok((desk.journal.head(rel('d'))?.seq ?? 0) > 3)
})

t.test('a directory without a revision of its own keeps its name too', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 2, ['d/f', 0, file(1)])
  desk.commit('ann', 1, ['d', 0, file(2)])
  t.same(desk.live(), { d: dir(), 'd/f': file(1), [`d ${ANN_COPY}`]: file(2) })
})

t.test('a directory whose paths would grow too long keeps its name against a later file', async (t) => {
  const desk = new Desk()
  const deep = `d/${'x'.repeat(250)}${'/x'.repeat(1915)}`
  desk.commit('bob', 0, [deep, 0, file(1)])
  desk.commit('ann', 1, ['d', 0, file(2)])
  t.same(desk.live(), { d: dir(), [deep]: file(1), [`d ${ANN_COPY}`]: file(2) })
})

t.test('who replaced its own directory by a file, and only missed the answers, conflicts with nobody', async (t) => {
  const desk = new Desk()
  desk.commit('ann', 0, ['d', 0, dir()], ['d/f', 0, file(1)])
  const plan = desk.commit('ann', 1, ['d', 0, file(2)])
  t.same(plan.collisions, [])
  t.same(desk.live(), { d: file(2) })
})

t.test('a directory later than a file has the name, and the file lives on beside it', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 1, ['d.txt', 0, file(1)])
  const plan = desk.commit('ann', 2, ['d.txt', 0, dir()], ['d.txt/f', 0, file(2)])
  t.same(desk.live(), { 'd.txt': dir(), 'd.txt/f': file(2), [`d ${BOB_COPY}.txt`]: file(1) })
  t.match(plan.collisions, [{ winner: { peer: 'ann', rev: 2 }, loser: { peer: 'bob', rev: 1 } }])
})

t.test('something put below a file takes the name when it is later', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 1, ['d', 0, file(1)])
  const plan = desk.commit('ann', 2, ['d/f', 0, file(2)])
  t.same(desk.live(), { d: dir(), 'd/f': file(2), [`d ${BOB_COPY}`]: file(1) })
  t.match(plan.collisions, [{ path: 'd', winner: { peer: 'ann' }, loser: { peer: 'bob', rev: 1 } }])
})

t.test('a directory earlier than a file lives on beside it, with all that comes into it later', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 2, ['d', 0, file(1)])
  const plan = desk.commit('ann', 1, ['d', 0, dir(0o700)], ['d/s', 0, dir()], ['d/s/f', 0, file(2)])
  t.ok(plan.outcomes.every((outcome) => outcome.kind === 'superseded'))
  t.equal(plan.collisions.length, 1)
  const beside = { [`d ${ANN_COPY}`]: dir(0o700), [`d ${ANN_COPY}/s`]: dir(), [`d ${ANN_COPY}/s/f`]: file(2) }
  t.same(desk.live(), { d: file(1), ...beside })
  t.equal(desk.journal.head(rel('d/s/f'))?.entry, undefined, 'the proposer learns that it is to go there')
  desk.commit('ann', 3, ['d/g', 0, file(3)])
  t.same(desk.live(), { d: file(1), ...beside, [`d ${ANN_COPY}/g`]: file(3) })
})

t.test('something put below a later file lives on beside it, though its directory was never proposed', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 2, ['d', 0, file(1)])
  const plan = desk.commit('ann', 1, ['d/f', 0, file(2)], ['d/g', 0, file(3)])
  t.same(desk.live(), {
    d: file(1),
    [`d ${ANN_COPY}`]: dir(),
    [`d ${ANN_COPY}/f`]: file(2),
    [`d ${ANN_COPY}/g`]: file(3),
  })
  t.match(plan.collisions, [{ path: 'd', winner: { peer: 'bob', rev: 1 }, loser: { peer: 'ann' } }])
})

t.test('what would get too long a path beside a file is refused', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 2, ['d', 0, file(1)])
  const plan = desk.commit('ann', 1, [`d/${'x'.repeat(250)}${'/x'.repeat(1915)}`, 0, file(2)])
  t.match(plan.outcomes, [{ kind: 'refused', status: 409 }])
  t.same(plan.revisions, [])
})

t.test('file against link is settled as any two edits', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 1, ['a', 0, symlink('x')])
  desk.commit('ann', 2, ['a', 0, file(1)])
  t.same(desk.live(), { a: file(1) })
})

t.test('keep-both shows the loser beside the winner, by its own name, whichever side it is', async (t) => {
  const desk = new Desk('keep-both')
  desk.commit('bob', 1, ['a.txt', 0, file(1)])
  desk.commit('ann', 2, ['a.txt', 0, file(2)])
  t.same(desk.live(), { 'a.txt': file(2), [`a ${BOB_COPY}.txt`]: file(1) })
  desk.commit('bob', 1, ['a.txt', 0, file(3)])
  t.same(desk.live(), {
    'a.txt': file(2),
    [`a ${BOB_COPY}.txt`]: file(1),
    [`a (conflict bob 2024-01-01 12.00.01 2).txt`]: file(3),
  })
})

t.test('a directory that lost its name is made again beside it when it was removed there', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 2, ['d', 0, file(1)])
  desk.commit('ann', 1, ['d', 0, dir(0o700)])
  const beside = `d ${ANN_COPY}`
  const seq = desk.journal.head(rel(beside))?.seq ?? 0
  desk.commit('bob', 3, [beside, seq, undefined])
  desk.commit('ann', 4, ['d/f', 0, file(2)])
  t.same(desk.live(), { d: file(1), [beside]: dir(0o700), [`${beside}/f`]: file(2) })
})

t.test('the newest of what is in a directory speaks for it', async (t) => {
  const desk = new Desk()
  desk.commit('bob', 1, ['d', 0, dir()])
  desk.commit('cat', 5, ['d/a', 0, file(1)])
  desk.commit('bob', 2, ['d/b', 0, file(2)])
  const plan = desk.commit('ann', 4, ['d', 1, file(3)])
  t.match(plan.collisions, [{ winner: { peer: 'cat' }, loser: { peer: 'ann' } }])
})
