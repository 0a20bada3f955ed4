// Pulls the move of a whole directory: as one rename when the base knows what was moved and nothing here is in the way, else path by path.

import { sameMark, treeMark } from '../core/tree-mark.ts'
import { headsOfMove } from '../core/tree-move.ts'
import { sameEntry } from '../model/entry.ts'
import { isBelow, parentOf, rebase, ROOT, type RelPath } from '../model/path.ts'
import type { Head, MovedTree, Seq } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'
import type { FolderState, News } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'
import type { AppliedRecord } from './record-applied.ts'

/** Heads written down at once. */
const CHUNK = 2000

/** News of a move. */
export type MoveNews = News & { readonly moved: MovedTree }

export interface TreePull {
  readonly state: FolderState
  readonly local: LocalSide
  readonly record: AppliedRecord
}

/**
 * Takes a move in. `unknown`: the base does not know what was moved, and the coordinator must be asked. Once begun a rename is not abandoned. Until
 * it is recorded the cursor stays: after a crash the heads are asked for, and found to stand on the disk.
 */
export async function pullTree(side: TreePull, news: MoveNews): Promise<'taken' | 'unknown'> {
  const { state, local, record } = side
  const { moved, prev, upTo } = news
  const { from, to, seq, entry } = moved
  const { base, disk, log, name } = state.parts
  const row = base.row(from)
  if (base.cursor() < prev || row?.entry.kind !== 'dir' || !isAsMarked(state, moved)) return 'unknown'
  if (!isFree(side, row, moved)) {
    expand(state, news)
    return 'taken'
  }
  state.moving.add(from).add(to)
  try {
    const step = { do: 'move', from, path: to, expectFrom: row.print, entry } as const
    const [result] = await disk.apply([step], new AbortController().signal)
    if (result?.kind !== 'done' || result.print === undefined) {
      for (const path of [from, to]) local.lookAgain(path)
      expand(state, news)
      return 'taken'
    }
    const { print } = result
    base.transaction(() => {
      base.moveTree(from, to, seq)
      base.put([{ path: to, seq, entry, print }])
      base.setCursor(Math.max(base.cursor(), upTo))
    })
  } finally {
    state.moving.delete(from)
    state.moving.delete(to)
  }
  record.vacated(from)
  for (const path of [...state.changes.keys()]) if (isIn(moved, path)) state.agreed(path)
  log.info(`Moved ${from} to ${to}`, { folder: name, seq, with: moved.mark.count })
  state.changed()
  return 'taken'
}

function isAsMarked({ parts: { base } }: FolderState, { from, mark }: MovedTree): boolean {
  return sameMark(treeMark(from, base.below(from)), mark)
}

/** Whether nothing waits or happens where it was and where it is to go, and all of it has a place there. */
function isFree({ state, local }: TreePull, row: BaseRow, moved: MovedTree): boolean {
  const { from, to, entry } = moved
  const { base } = state.parts
  const above = parentOf(to)
  if (!sameEntry(row.entry, entry) || base.row(to) !== undefined || base.hasBelow(to)) return false
  if (above !== ROOT && base.row(above)?.entry.kind !== 'dir') return false
  for (const dir of [from, to]) {
    if (base.incoming(dir) !== undefined || base.incomingBelow(dir, 1).length > 0 || state.isMoving(dir)) return false
  }
  for (const path of [...state.changes.keys(), ...state.busy]) if (isIn(moved, path)) return false
  if (local.isIgnored(from, true) || local.isIgnored(to, true)) return false
  for (const one of base.below(from))
    if (local.isIgnored(rebase(one.path, from, to), one.entry.kind === 'dir')) return false
  return true
}

function isIn({ from, to }: MovedTree, path: RelPath): boolean {
  return path === from || path === to || isBelow(from, path) || isBelow(to, path)
}

/** Writes down the heads that the move made, one by one. */
function expand(state: FolderState, { moved, upTo }: MoveNews): void {
  const { base } = state.parts
  const cursor: Seq = base.cursor()
  let chunk: Head[] = []
  const take = (until: Seq): void => {
    state.takeHeads(
      chunk.map((head) => ({ head, place: undefined })),
      until,
    )
    chunk = []
  }
  for (const head of headsOfMove(moved, base.below(moved.from))) {
    chunk.push(head)
    if (chunk.length >= CHUNK) take(cursor)
  }
  take(Math.max(cursor, upTo))
}
