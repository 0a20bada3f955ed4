// Push changes: what a replica is about to propose, and how much of a message each takes.

import type { Entry, FileEntry } from '../model/entry.ts'
import { PACKED_MAX } from '../model/content.ts'
import type { Proposal } from '../model/revision.ts'
import type { Change } from '../model/snapshot.ts'

export type Put = Change & { readonly kind: 'put' }
export type Gone = Change & { readonly kind: 'gone' }

/** A change whose entry is known, ready to be proposed. `body`: its bytes, when they have to be sent along. */
export interface Ready {
  readonly change: Change
  readonly entry: Entry | undefined
  readonly proposal: Proposal
  readonly body?: Uint8Array
}

/** About how long a change is in a message. Bytes: a name in UTF-8 and JSON is at most six for each UTF-16 unit. */
export function wordsOf(change: Change): number {
  const target = change.kind === 'put' ? (change.target?.length ?? 0) : 0
  return 160 + 3 * (change.path.length + target)
}

export function isLarge(change: Change): boolean {
  return change.kind === 'put' && change.print.kind === 'file' && change.print.size > PACKED_MAX
}

export function fileEntry(put: Put, sha256: FileEntry['sha256']): FileEntry {
  const { size, mtimeNs, mode } = put.print
  return { kind: 'file', size, mtimeNs, mode, sha256 }
}
