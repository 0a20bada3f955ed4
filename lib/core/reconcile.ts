// Reconciles three ways: base (last agreed), local (the disk) and head (what the coordinator has), for one path.

import type { Entry } from '../model/entry.ts'
import { sameContent, sameEntry } from '../model/entry.ts'
import type { Head, Seq } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'

/** What stands on the disk: what the base says (nothing, when there is no base), nothing any more, or something new. */
export type Local =
  { readonly kind: 'as-base' } | { readonly kind: 'gone' } | { readonly kind: 'put'; readonly entry: Entry }

/**
 * `apply`: bring the head to the disk; only decided when the coordinator holds what the disk holds, or the disk holds nothing.
 * `adopt`: disk and coordinator are equal: record the local entry as base with `seq`; nothing moves.
 * `propose`: send the local entry (or its absence), naming `base`. `forget`: nothing anywhere; drop the base and what waits.
 */
export type Decision =
  | { readonly do: 'nothing' }
  | { readonly do: 'apply' }
  | { readonly do: 'adopt'; readonly seq: Seq }
  | { readonly do: 'propose'; readonly base: Seq }
  | { readonly do: 'forget' }

/** Decides what to do at one path. `head`: what waits to be applied; `undefined` when the base is the newest that is known. */
export function reconcile(
  base: Pick<BaseRow, 'seq' | 'entry'> | undefined,
  local: Local,
  head: Head | undefined,
): Decision {
  const standing = local.kind === 'put' ? local.entry : local.kind === 'as-base' ? base?.entry : undefined
  const isTouched = !sameEntry(standing, base?.entry)
  if (head === undefined) {
    if (isTouched) return { do: 'propose', base: base?.seq ?? 0 }
    // Rewritten with what was there: only the fingerprint is new.
    return local.kind === 'put' && base !== undefined ? { do: 'adopt', seq: base.seq } : { do: 'nothing' }
  }
  if (sameEntry(standing, head.entry)) return standing === undefined ? { do: 'forget' } : { do: 'adopt', seq: head.seq }
  // The disk holds what the base says, and so the coordinator holds it; or it holds nothing that the base knew.
  if (!isTouched) return { do: 'apply' }
  if (standing === undefined) return reconcileGone(base, head)
  // First contact with equal content: nothing can be lost, the head's mode and mtime count.
  if (base === undefined && sameContent(standing, head.entry)) return { do: 'apply' }
  return { do: 'propose', base: base?.seq ?? 0 }
}

/** Deleted here; the head is live. A delete never beats an edit, but a head that is equal to the base is no edit. */
function reconcileGone(base: Pick<BaseRow, 'seq' | 'entry'> | undefined, head: Head): Decision {
  return sameEntry(base?.entry, head.entry) ? { do: 'propose', base: head.seq } : { do: 'apply' }
}
