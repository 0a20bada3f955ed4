// Finds whole directories that moved among the heads to be applied, so that each is one rename.

import { EMPTY_DIGEST } from '../model/digest.ts'
import type { Digest } from '../model/digest.ts'
import { sameEntry } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { isBelow, rebase } from '../model/path.ts'
import type { ApplyItem, ApplyStep, Holdings, MovedItem } from './apply-step.ts'
import type { Head } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'

type DirMove = Extract<ApplyStep, { do: 'move-dir' }>
type Gone = { readonly head: Head; readonly base: BaseRow }

/** The directories that are gone with all that the base knows below them, and stand elsewhere with equal entries. None is inside another. */
export function findDirMoves(items: readonly ApplyItem[], holdings: Holdings): DirMove[] {
  const fresh = new Map<RelPath, Head>()
  const byDigest = new Map<Digest, RelPath[]>()
  for (const { head, base } of items) {
    if (head.entry === undefined || base !== undefined) continue
    fresh.set(head.path, head)
    if (head.entry.kind !== 'file') continue
    const same = byDigest.get(head.entry.sha256)
    if (same === undefined) byDigest.set(head.entry.sha256, [head.path])
    else same.push(head.path)
  }
  if (byDigest.size === 0) return []
  const gone = items
    .filter((item): item is Gone => item.head.entry === undefined && item.base !== undefined)
    .sort((a, b) => (a.head.path < b.head.path ? -1 : 1))
  const found: DirMove[] = []
  const taken = new Set<RelPath>()
  for (const [at, dir] of gone.entries()) {
    const last = found.at(-1)
    if (dir.base.entry.kind !== 'dir' || (last !== undefined && isBelow(last.gone.path, dir.head.path))) continue
    const below = sliceBelow(dir.head.path, gone, at)
    if (below.length !== holdings.countBelow(dir.head.path)) continue
    const move = candidatesFor(dir, below, byDigest)
      .map((to) => moveTo(to, dir, below, fresh))
      .find((one) => one !== undefined && !taken.has(one.head.path))
    if (move === undefined) continue
    found.push(move)
    for (const { head } of [move, ...move.members]) taken.add(head.path)
  }
  return found
}

/** What is gone below `dir`, which is at index `at`; `gone` is sorted by path, so that names such as `dir-x` may stand in between. */
function sliceBelow(dir: RelPath, gone: readonly Gone[], at: number): Gone[] {
  const below: Gone[] = []
  for (let i = at + 1; i < gone.length; i++) {
    const one = gone[i]
    if (one === undefined || !one.head.path.startsWith(dir)) break
    if (isBelow(dir, one.head.path)) below.push(one)
  }
  return below
}

/** Where the directory may have gone: one file with contents tells by where the same content now stands under the same names. */
function candidatesFor(
  dir: Gone,
  below: readonly Gone[],
  byDigest: ReadonlyMap<Digest, readonly RelPath[]>,
): RelPath[] {
  for (const { head, base } of below) {
    if (base.entry.kind !== 'file' || base.entry.sha256 === EMPTY_DIGEST) continue
    const tail = head.path.slice(dir.head.path.length)
    return (byDigest.get(base.entry.sha256) ?? [])
      .filter((path) => path.endsWith(tail))
      .map((path) => path.slice(0, path.length - tail.length) as RelPath)
  }
  return []
}

function moveTo(
  to: RelPath,
  dir: Gone,
  below: readonly Gone[],
  fresh: ReadonlyMap<RelPath, Head>,
): DirMove | undefined {
  const head = fresh.get(to)
  if (head?.entry?.kind !== 'dir' || isBelow(dir.head.path, to)) return undefined
  const members: MovedItem[] = []
  for (const one of below) {
    const moved = fresh.get(rebase(one.head.path, dir.head.path, to))
    if (moved === undefined || !sameEntry(moved.entry, one.base.entry)) return undefined
    members.push({ head: moved, base: one.base, gone: one.head })
  }
  return { do: 'move-dir', head, base: dir.base, gone: dir.head, entry: head.entry, members }
}
