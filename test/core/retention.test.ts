import t from 'tap'
import type { PastRevision } from '../../lib/core/retention.ts'
import { expired } from '../../lib/core/retention.ts'

const DAY = 86_400_000
const NOW = 100 * DAY

/** A revision that was superseded `days` ago; the head when left out. */
function past(seq: number, days?: number, lost = false): PastRevision {
  return { seq, supersededAtMs: days === undefined ? undefined : NOW - days * DAY, lost }
}

t.test('days count from when a revision was superseded', async (t) => {
  const revisions = [past(1, 40), past(2, 30), past(3, 1), past(4)]
  t.same(expired(revisions, { kind: 'days', days: 30 }, NOW), [1])
})

t.test('a count keeps the newest superseded ones', async (t) => {
  const revisions = [past(3, 1), past(1, 3), past(2, 2), past(4)]
  t.same(expired(revisions, { kind: 'count', count: 2 }, NOW), [1])
  t.same(expired(revisions, { kind: 'count', count: 0 }, NOW), [3, 1, 2])
})

t.test('all keeps all, none keeps the head', async (t) => {
  const revisions = [past(1, 1000), past(2, 0), past(3)]
  t.same(expired(revisions, { kind: 'all' }, NOW), [])
  t.same(expired(revisions, { kind: 'none' }, NOW), [1, 2])
})

t.test('who lost a collision is kept for 30 days whatever the count', async (t) => {
  const revisions = [past(1, 31, true), past(2, 29, true), past(3, 1), past(4)]
  t.same(expired(revisions, { kind: 'none' }, NOW), [1, 3])
  t.same(expired(revisions, { kind: 'count', count: 1 }, NOW), [1])
})
