// Retention: which revisions of a path history may forget.

import type { Seq } from '../model/revision.ts'

/** `days`: kept so long after they were superseded; `count`: so many superseded ones are kept; `all`; `none`. */
export type Versions =
  | { readonly kind: 'days'; readonly days: number }
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }

/** A revision of one path. `supersededAtMs`: when another took its place, or it was deleted, or it lost; `undefined` for the head. `lost`: it lost a collision. */
export interface PastRevision {
  readonly seq: Seq
  readonly supersededAtMs: number | undefined
  readonly lost: boolean
}

const DAY_MS = 86_400_000
/** The loser of a collision was never given up by anyone, so no count and no `none` forgets it sooner. */
const LOST_DAYS = 30

/** The revisions of one path that history may forget at `nowMs`, in the order given. Never the head. */
export function expired(revisions: readonly PastRevision[], versions: Versions, nowMs: number): Seq[] {
  if (versions.kind === 'all') return []
  const past = revisions.filter((revision) => revision.supersededAtMs !== undefined)
  const newest = new Set<Seq>()
  if (versions.kind === 'count' && versions.count > 0) {
    const seqs = past.map((revision) => revision.seq).sort((a, b) => a - b)
    for (const seq of seqs.slice(-versions.count)) newest.add(seq)
  }
  return past
    .filter(({ seq, supersededAtMs = nowMs, lost }) => {
      const ageMs = nowMs - supersededAtMs
      if (versions.kind === 'days') return ageMs > versions.days * DAY_MS
      return !newest.has(seq) && (!lost || ageMs > LOST_DAYS * DAY_MS)
    })
    .map((revision) => revision.seq)
}
