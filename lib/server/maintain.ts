// Maintenance of one folder: forgets what retention lets go, and the bytes nobody names any more.

import { expired, type Versions } from '../core/retention.ts'
import type { Seq } from '../model/revision.ts'
import type { FolderHub } from './folder-hub.ts'

const PAGE = 1000

/** An upload that nobody went on with for so long is given up. */
const ABANDONED_MS = 7 * 86_400_000

/** Forgets old revisions, unreferenced contents, passed tombstones and abandoned uploads. `nowMs`: on the coordinator's clock. Says how much went. */
export function maintain(
  { journal, store }: FolderHub,
  { versions, nowMs, passed }: { readonly versions: Versions; readonly nowMs: number; readonly passed: Seq },
): { readonly revisions: number; readonly contents: number } {
  journal.pruneTombstones(passed)
  let revisions = 0
  for (let after = 0; ;) {
    const page = journal.superseded(PAGE, after)
    const last = page.at(-1)
    if (last === undefined) break
    after = last.seq
    const candidates =
      versions.kind === 'count'
        ? page.filter((row) => row.rank > versions.count || journal.followers(row, versions.count + 1) > versions.count)
        : page
    const policy: Versions = versions.kind === 'count' ? { kind: 'none' } : versions
    const seqs = expired(
      candidates.map((row) => ({
        seq: row.seq,
        supersededAtMs: row.supersededAtMs,
        lost: journal.hasLost(row.seq) || (journal.revision(row.seq)?.loser ?? false),
      })),
      policy,
      nowMs,
    )
    journal.deleteRevisions(seqs)
    revisions += seqs.length
  }
  let contents = 0
  for (;;) {
    const digests = journal.unreferenced(PAGE)
    if (digests.length === 0) break
    const places = digests.map((digest) => journal.place(digest)?.place)
    journal.forgetContent(digests)
    places.forEach((place, index) => {
      const digest = digests[index]
      if (place?.kind === 'object' && digest !== undefined) store.dropObject(digest)
    })
    contents += digests.length
  }
  // All of them, not only those just emptied: the process may have died between the two.
  for (const id of journal.unusedPacks()) {
    journal.dropPack(id)
    store.dropPack(id)
  }
  store.discardOlder(nowMs - ABANDONED_MS)
  return { revisions, contents }
}
