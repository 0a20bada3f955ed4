// Writes facts down as the contract of the commands says: ISO times, sizes in bytes, paths relative to the folder.

import type { Entry } from '../model/entry.ts'
import type { Collision, Revision } from '../model/revision.ts'
import type { ReplicaStatus } from '../replica/replica.ts'
import type { CollisionLine, FolderStatus, LogLine, Version } from './control-contract.ts'

type Fact = Pick<Revision, 'seq' | 'path' | 'what' | 'entry' | 'loser'> & {
  folder: string
  timeMs: number
  peer: string
  live: boolean
}

/** `timeMs` in ISO 8601 with milliseconds. */
export function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString()
}

export function logLineOf({
  folder,
  seq,
  path,
  what,
  entry,
  timeMs,
  peer,
  loser,
}: Omit<Fact, 'path'> & { path: string }): LogLine {
  return { folder, seq, time: isoTime(timeMs), peer, what, path, ...contentOf(entry), ...(loser ? { loser } : {}) }
}

export function versionOf({ seq, what, entry, timeMs, peer, loser, live }: Omit<Fact, 'path'>): Version {
  return { rev: seq, time: isoTime(timeMs), peer, what, ...contentOf(entry), live, loser }
}

export function collisionLineOf({
  folder,
  path,
  timeMs,
  winner,
  loser,
}: Omit<Collision, 'path'> & { folder: string; path: string }): CollisionLine {
  return { folder, path, time: isoTime(timeMs), winner, loser }
}

export function folderStatusOf({
  name,
  path,
  state,
  seq,
  pending,
  bytesPending,
  problems,
  progress,
}: ReplicaStatus): FolderStatus {
  return {
    ...{ name, path, state, seq, pending, bytesPending },
    problems: problems.map((problem) => ({ ...problem })),
    ...(state === 'syncing'
      ? {
          progress: {
            files: progress.filesDone,
            filesTotal: Math.max(progress.filesTotal, pending),
            bytes: progress.bytesDone,
            bytesTotal: progress.bytesTotal,
          },
        }
      : {}),
  }
}

/** What is not there is `null`, never left out. */
function contentOf(entry: Entry | undefined): {
  kind: 'file' | 'dir' | 'link' | null
  size: number | null
  sha256: string | null
} {
  if (entry?.kind === 'file') return { kind: 'file', size: entry.size, sha256: entry.sha256 }
  return { kind: entry?.kind ?? null, size: null, sha256: null }
}
