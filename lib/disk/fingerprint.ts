// Fingerprints: what lstat says of a place, in the words of the model.

import { lstatSync, type BigIntStats } from 'node:fs'
import type { Fingerprint, Kind } from '../model/entry.ts'
import { placeOf, type HostPath, type RelPath } from '../model/path.ts'

const S_IFMT = 0o170000n
const S_IFREG = 0o100000n
const S_IFDIR = 0o040000n
const S_IFLNK = 0o120000n

/** The fingerprint of what `stats` describes; `undefined` for special files (pipes, sockets, devices), which are never synced. */
export function printOf(stats: BigIntStats): Fingerprint | undefined {
  const kind = kindOf(stats.mode)
  if (kind === undefined) return undefined
  return {
    kind,
    size: Number(stats.size),
    mtimeNs: stats.mtimeNs.toString(),
    ctimeNs: stats.ctimeNs.toString(),
    ino: stats.ino.toString(),
    mode: Number(stats.mode & 0o777n),
  }
}

/** The fingerprint of what stands at `path`; `undefined` when nothing does, or it cannot be told. A link on the way is followed: compare it, do not trust it. */
export function printAt(root: HostPath, path: RelPath): Fingerprint | undefined {
  try {
    const stats = lstatSync(placeOf(root, path), { bigint: true, throwIfNoEntry: false })
    return stats === undefined ? undefined : printOf(stats)
  } catch {
    return undefined // whoever looks closer says why
  }
}

/** Whether both are the same object with the same content, apart from its ctime, which every rename and link changes. */
export function sameButCtime(before: Fingerprint, now: Fingerprint): boolean {
  if (before.kind !== now.kind || before.mode !== now.mode || before.ino !== now.ino) return false
  return before.kind === 'dir' || (before.size === now.size && before.mtimeNs === now.mtimeNs)
}

function kindOf(mode: bigint): Kind | undefined {
  const type = mode & S_IFMT
  if (type === S_IFREG) return 'file'
  if (type === S_IFDIR) return 'dir'
  return type === S_IFLNK ? 'link' : undefined
}
