import t from 'tap'
import type { Circumstances, Verdict } from '../../lib/core/arbitrate.ts'
import { arbitrate } from '../../lib/core/arbitrate.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { dir, file, head, proposal } from '../support/builders.ts'

interface Case {
  readonly promise: string
  readonly head: Entry | 'tombstone' | 'none'
  readonly base: number
  readonly entry: Entry | undefined
  readonly timeMs?: number
  readonly alone?: boolean
  readonly baseEntry?: Entry
  readonly verdict: Verdict
}

const HEAD_SEQ = 5
const HEAD_TIME = 1000
const LATER = 2000
const EARLIER = 500

const cases: readonly Case[] = [
  {
    promise: 'the first entry of a path is accepted',
    head: 'none',
    base: 0,
    entry: file(1),
    verdict: { kind: 'advance' },
  },
  {
    promise: 'an entry is accepted by a coordinator that lost its journal',
    head: 'none',
    base: 7,
    entry: file(1),
    verdict: { kind: 'advance' },
  },
  {
    promise: 'a delete of what never was is known already',
    head: 'none',
    base: 3,
    entry: undefined,
    verdict: { kind: 'duplicate' },
  },
  {
    promise: 'an edit of the head follows it, whatever the clock says',
    head: file(1),
    base: HEAD_SEQ,
    entry: file(2),
    timeMs: EARLIER,
    verdict: { kind: 'advance' },
  },
  {
    promise: 'a delete of the head follows it',
    head: file(1),
    base: HEAD_SEQ,
    entry: undefined,
    verdict: { kind: 'advance' },
  },
  {
    promise: 'the same entry again is a duplicate',
    head: file(1),
    base: 2,
    entry: file(1),
    verdict: { kind: 'duplicate' },
  },
  {
    promise: 'a delete of something deleted is a duplicate',
    head: 'tombstone',
    base: 2,
    entry: undefined,
    verdict: { kind: 'duplicate' },
  },
  {
    promise: 'an edit wins over a delete that it does not know, though the delete is later',
    head: 'tombstone',
    base: 2,
    entry: file(2),
    timeMs: EARLIER,
    verdict: { kind: 'advance' },
  },
  {
    promise: 'a delete never beats an edit that it does not know, though the delete is later',
    head: file(2),
    base: 2,
    entry: undefined,
    timeMs: LATER,
    verdict: { kind: 'overridden' },
  },
  {
    promise: 'of two edits the later wins',
    head: file(1),
    base: 2,
    entry: file(2),
    timeMs: LATER,
    verdict: { kind: 'conflict', winner: 'proposal' },
  },
  {
    promise: 'of two edits the earlier loses',
    head: file(1),
    base: 2,
    entry: file(2),
    timeMs: EARLIER,
    verdict: { kind: 'conflict', winner: 'head' },
  },
  {
    promise: 'of two edits at the same time the greater name wins',
    head: file(1),
    base: 2,
    entry: file(2),
    timeMs: HEAD_TIME,
    verdict: { kind: 'conflict', winner: 'proposal' },
  },
  {
    promise: 'without a base other content is a collision',
    head: file(1),
    base: 0,
    entry: file(2),
    timeMs: EARLIER,
    verdict: { kind: 'conflict', winner: 'head' },
  },
  {
    promise: 'equal content with an earlier mode is no collision, the head stays',
    head: file(1),
    base: 2,
    entry: file(1, { mode: 0o600 }),
    timeMs: EARLIER,
    verdict: { kind: 'metadata', winner: 'head' },
  },
  {
    promise: 'equal content with a later mode is no collision, the proposal wins',
    head: dir(0o755),
    base: 2,
    entry: dir(0o700),
    timeMs: LATER,
    verdict: { kind: 'metadata', winner: 'proposal' },
  },
  {
    promise: 'a touch does not beat an edit, though the touch is later',
    head: file(2),
    base: 2,
    entry: file(1, { mtimeNs: '7' }),
    timeMs: LATER,
    baseEntry: file(1),
    verdict: { kind: 'metadata', winner: 'head' },
  },
  {
    promise: 'an edit beats a touch, though the touch is later',
    head: file(1, { mtimeNs: '7' }),
    base: 2,
    entry: file(2),
    timeMs: EARLIER,
    baseEntry: file(1),
    verdict: { kind: 'metadata', winner: 'proposal' },
  },
  {
    promise: 'who edits again after an answer was lost collides with nobody',
    head: file(1),
    base: 2,
    entry: file(2),
    timeMs: HEAD_TIME,
    alone: true,
    verdict: { kind: 'advance' },
  },
  {
    promise: 'who deletes after an answer was lost has deleted it',
    head: file(1),
    base: 2,
    entry: undefined,
    timeMs: LATER,
    alone: true,
    verdict: { kind: 'advance' },
  },
  {
    promise: 'an edit that arrives after a later one of the same peer stays behind it, and is no collision',
    head: file(1),
    base: 2,
    entry: file(2),
    timeMs: EARLIER,
    alone: true,
    verdict: { kind: 'metadata', winner: 'head' },
  },
]

for (const { promise, head: standing, base, entry, verdict, ...more } of cases) {
  t.test(promise, async (t) => {
    const { timeMs = HEAD_TIME, alone = false, baseEntry } = more
    // 'bob' proposes; the head is by 'ann'.
    const circumstances: Circumstances = { stamp: { timeMs, peer: 'bob' }, alone, baseEntry }
    const current =
      standing === 'none'
        ? undefined
        : {
            ...head('a', HEAD_SEQ, standing === 'tombstone' ? undefined : standing),
            stamp: { timeMs: HEAD_TIME, peer: 'ann' },
          }
    t.same(arbitrate(current, proposal('a', base, entry, timeMs), circumstances), verdict)
  })
}
