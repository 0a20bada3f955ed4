// The journal as the plan of a commit sees it: what a batch is sure to ask for is read at once, the rest when it is asked for.

import type { StampedHead } from '../core/arbitrate.ts'
import type { CommitView } from '../core/commit-draft.ts'
import { ancestorsOf, ROOT, type RelPath } from '../model/path.ts'
import type { Proposal, Seq, Stamp } from '../model/revision.ts'
import type { Journal } from '../store/journal.ts'

/** Reads for `proposals`. Good until the next commit. */
export function commitView(journal: Journal, proposals: readonly Proposal[]): CommitView {
  const heads = readHeads(journal, proposals)
  const stamps = readStamps(journal, proposals)
  const bare = pathsWithNothingBelow(journal, proposals, heads)
  const head = (path: RelPath): StampedHead | undefined => {
    if (!heads.has(path)) heads.set(path, journal.head(path))
    return heads.get(path)
  }
  return {
    head,
    liveBelow: (dir) => {
      if (dir !== ROOT && (bare.has(dir) || isLeaf(head(dir)))) return []
      return journal.hasLiveBelow(dir) ? journal.liveBelow(dir) : []
    },
    // A path that never had a head has no revisions that matter.
    revisionsAfter: (path, seq) => (head(path) === undefined ? [] : journal.revisionsAfter(path, seq)),
    stampOf: (seq) => {
      if (!stamps.has(seq)) stamps.set(seq, journal.revision(seq)?.stamp)
      return stamps.get(seq)
    },
  }
}

/** The heads of what is proposed and of all above it; `undefined` where there is none. */
function readHeads(journal: Journal, proposals: readonly Proposal[]): Map<RelPath, StampedHead | undefined> {
  const heads = new Map<RelPath, StampedHead | undefined>()
  for (const { path } of proposals) {
    heads.set(path, undefined)
    for (const dir of ancestorsOf(path)) heads.set(dir, undefined)
  }
  for (const [path, head] of journal.heads(heads.keys())) heads.set(path, head)
  return heads
}

function readStamps(journal: Journal, proposals: readonly Proposal[]): Map<Seq, Stamp | undefined> {
  const bases = new Set(proposals.flatMap(({ base }) => (base === 0 ? [] : [base])))
  const stamps = new Map<Seq, Stamp | undefined>([[0, undefined]])
  for (const base of bases) stamps.set(base, undefined)
  for (const [seq, stamp] of journal.stamps(bases)) stamps.set(seq, stamp)
  return stamps
}

/** Those of the paths, where no directory is proposed, that nothing lives below. */
function pathsWithNothingBelow(
  journal: Journal,
  proposals: readonly Proposal[],
  heads: ReadonlyMap<RelPath, StampedHead | undefined>,
): ReadonlySet<RelPath> {
  const asked = new Set<RelPath>()
  for (const { path, entry } of proposals) if (entry?.kind !== 'dir' && !isLeaf(heads.get(path))) asked.add(path)
  for (const dir of journal.withLiveBelow(asked)) asked.delete(dir)
  return asked
}

/** Nothing lives below a live file or link. */
function isLeaf(head: StampedHead | undefined): boolean {
  return head?.entry !== undefined && head.entry.kind !== 'dir'
}
