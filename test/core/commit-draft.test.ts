import t from 'tap'
import { CommitDraft } from '../../lib/core/commit-draft.ts'
import { file, rel, proposal } from '../support/builders.ts'
import { MemoryJournal } from '../support/memory-journal.ts'

const STAMP = { timeMs: 1, peer: 'ann' }

function journal(...paths: string[]): MemoryJournal {
  const journal = new MemoryJournal()
  journal.commit(
    { peer: 'bob', nowMs: 0 },
    paths.map((path, i) => proposal(path, 0, file(i + 1))),
  )
  return journal
}

t.test('what was added lies over the journal, which stays as it is', async (t) => {
  const under = journal('d/a', 'd/b')
  const draft = new CommitDraft(under, 3)
  draft.add({ path: rel('d/a'), what: 'delete', entry: undefined, stamp: STAMP, loser: false })
  draft.add({ path: rel('d/c'), what: 'create', entry: file(9), stamp: STAMP, loser: false })
  t.equal(draft.head(rel('d/a'))?.entry, undefined)
  t.equal(draft.head(rel('d/a'))?.seq, 3)
  t.same([...draft.liveBelow(rel('d'))].map((head) => head.path).sort(), ['d/b', 'd/c'])
  t.same([...draft.liveBelow('')].map((head) => head.path).sort(), ['d/b', 'd/c'])
  t.equal(draft.stampOf(4), STAMP)
  t.equal(draft.stampOf(1)?.peer, 'bob')
  t.equal(under.head(rel('d/a'))?.seq, 1)
})

t.test('a loser is in history and no head', async (t) => {
  const draft = new CommitDraft(journal('a'), 2)
  draft.add({ path: rel('a'), what: 'update', entry: file(9), stamp: STAMP, loser: true })
  t.equal(draft.head(rel('a'))?.seq, 1)
  t.same(
    draft.revisionsAfter(rel('a'), 0).map((revision) => revision.seq),
    [1, 2],
  )
  t.equal(draft.revisionsAfter(rel('a'), 1).length, 1)
  t.equal(draft.revisions.length, 1)
})

t.test('nothing lives below what is empty, or emptied by the draft', async (t) => {
  const draft = new CommitDraft(journal('d/a'), 2)
  t.equal(draft.hasLiveBelow(rel('d')), true)
  t.equal(draft.hasLiveBelow(rel('e')), false)
  draft.add({ path: rel('d/a'), what: 'delete', entry: undefined, stamp: STAMP, loser: false })
  t.equal(draft.hasLiveBelow(rel('d')), false)
})
