// Plans how heads are brought to the disk: which steps, from where the bytes come, and what must precede what.

import { EMPTY_DIGEST } from '../model/digest.ts'
import type { Digest } from '../model/digest.ts'
import type { DirEntry, Entry, FileEntry } from '../model/entry.ts'
import { sameContent } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { nameOf } from '../model/path.ts'
import type { Head } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'
import { findDirMoves } from './apply-moves.ts'
import { orderSteps } from './apply-order.ts'
import type { ApplyItem, ApplyPlan, ApplyStep, Content, Holdings, MovedItem } from './apply-step.ts'
import { OWNER_ENTERS } from './apply-step.ts'

/**
 * Plans the steps for a batch. All bytes that are held locally are moved or copied, the rest is fetched. Paths are distinct, and the
 * directories that items stand in exist or are items too.
 */
export function planApply(items: readonly ApplyItem[], holdings: Holdings): ApplyPlan {
  const dirMoves = findDirMoves(items, holdings)
  const isMoved = new Set<Head>(
    dirMoves.flatMap(({ head, gone, members }) => [head, gone, ...members.flatMap(headsOf)]),
  )
  const left = items.filter((item) => !isMoved.has(item.head))
  const moves = findMoves(left)
  for (const move of moves) for (const head of headsOf(move)) isMoved.add(head)
  const steps: ApplyStep[] = [...dirMoves.flatMap(closeLast), ...moves]
  const touched = new Set<RelPath>(items.flatMap(({ base }) => (base === undefined ? [] : [base.path])))
  for (const item of left) if (!isMoved.has(item.head)) steps.push(...stepsOf(item, touched, holdings))
  return { stages: orderSteps(steps) }
}

function headsOf({ head, gone }: MovedItem): Head[] {
  return [head, gone]
}

/** Pairs files that are gone with new ones of the same content, best those of the same name. */
function findMoves(items: readonly ApplyItem[]): Extract<ApplyStep, { do: 'move' }>[] {
  const gone = new Map<Digest, { head: Head; base: BaseRow }[]>()
  for (const { head, base } of items) {
    if (head.entry !== undefined || base?.entry.kind !== 'file' || base.entry.sha256 === EMPTY_DIGEST) continue
    const same = gone.get(base.entry.sha256)
    if (same === undefined) gone.set(base.entry.sha256, [{ head, base }])
    else same.push({ head, base })
  }
  const moves: Extract<ApplyStep, { do: 'move' }>[] = []
  for (const { head, base } of items) {
    if (head.entry?.kind !== 'file' || base !== undefined) continue
    const same = gone.get(head.entry.sha256) ?? []
    const name = nameOf(head.path)
    const best = same.findIndex((one) => nameOf(one.head.path) === name)
    const [from] = same.splice(best, 1) // -1: the last one
    if (from !== undefined) moves.push({ do: 'move', head, base: from.base, gone: from.head, entry: head.entry })
  }
  return moves
}

function stepsOf({ head, base }: ApplyItem, touched: ReadonlySet<RelPath>, holdings: Holdings): ApplyStep[] {
  const { entry } = head
  if (entry === undefined) return base === undefined ? [{ do: 'forget', head, base }] : [{ do: 'remove', head, base }]
  if (base !== undefined && entry.kind !== 'link' && sameContent(base.entry, entry)) {
    return [{ do: 'meta', head, base, entry }]
  }
  // A file replaces a file or a link in one step. A directory neither replaces anything nor is replaced.
  const isInTheWay = base !== undefined && (base.entry.kind === 'dir' || entry.kind === 'dir')
  const room: ApplyStep[] = isInTheWay ? [{ do: 'remove', head, base }] : []
  return [
    ...room,
    ...fill(head, entry, isInTheWay ? undefined : base, (file) =>
      contentOf(head.path, file.sha256, { touched, holdings }),
    ),
  ]
}

/** A directory that is closed to its owner is made open, and closed when all is in it. */
function closeLast<Step extends Extract<ApplyStep, { do: 'make-dir' | 'move-dir' }>>(step: Step): ApplyStep[] {
  const { head, entry } = step
  if ((entry.mode & OWNER_ENTERS) === OWNER_ENTERS) return [step]
  const open: DirEntry = { kind: 'dir', mode: entry.mode | OWNER_ENTERS }
  return [
    { ...step, entry: open },
    { do: 'meta', head, base: undefined, entry },
  ]
}

function fill(
  head: Head,
  entry: Entry,
  base: BaseRow | undefined,
  contentOf: (file: FileEntry) => Content,
): ApplyStep[] {
  if (entry.kind === 'file') return [{ do: 'write', head, base, entry, content: contentOf(entry) }]
  if (entry.kind === 'link') return [{ do: 'link', head, base, entry }]
  return closeLast({ do: 'make-dir', head, base: undefined, entry })
}

/** A local copy costs nothing on the wire; best one that no step of this plan touches. */
function contentOf(
  path: RelPath,
  sha256: Digest,
  { touched, holdings }: { touched: ReadonlySet<RelPath>; holdings: Holdings },
): Content {
  if (sha256 === EMPTY_DIGEST) return { from: 'empty' }
  const rows = holdings.heldBy(sha256).filter((row) => row.path !== path)
  const row = rows.find((one) => !touched.has(one.path)) ?? rows[0]
  return row === undefined ? { from: 'fetch' } : { from: 'copy', row }
}
