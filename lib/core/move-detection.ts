// Detects moves: what is gone at one path and stands at another, known by its inode.

import type { Fingerprint } from '../model/entry.ts'
import { samePrint } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { isBelow, rebase } from '../model/path.ts'
import type { BaseRow, Change } from '../model/snapshot.ts'

/** `from` is gone and its very inode stands at `to` with the content that `base` tells; `print` is how it looks there. */
export interface Move {
  readonly from: RelPath
  readonly to: RelPath
  readonly base: BaseRow
  readonly print: Fingerprint
}

/** A directory that moved with all that the base knows below it. */
export interface DirMove extends Move {
  readonly members: readonly Move[]
}

/** No path is in more than one place; a member of a directory's move is not in `moves`. */
export interface Moves {
  readonly moves: readonly Move[]
  readonly dirMoves: readonly DirMove[]
}

type Gone = Extract<Change, { kind: 'gone' }>
type Put = Extract<Change, { kind: 'put' }>

/**
 * A directory that stands elsewhere with most of what was in it: its move is told as one, and what else changed below it after that. `gone`: all
 * that is gone below `from`; `untouched`: what stands below `to` as it did below `from`; `isWhole`: nothing is missing there.
 */
export interface MovedDir {
  readonly from: RelPath
  readonly to: RelPath
  readonly base: BaseRow
  readonly put: Put
  readonly gone: readonly Gone[]
  readonly untouched: readonly Put[]
  readonly isWhole: boolean
}

/**
 * Finds directories that were moved, the outermost ones. An inode may be used anew for another directory, so the files in it must bear witness: at
 * least one, and half of them, stand below it untouched.
 */
export function findMovedDirs(gone: readonly Gone[], put: readonly Put[]): MovedDir[] {
  const dirs = new Map(put.flatMap((change) => (isNewDir(change) ? [[change.print.ino, change] as const] : [])))
  if (dirs.size === 0) return []
  const puts = new Map(put.map((change) => [change.path, change]))
  const sorted = [...gone].sort((a, b) => (a.path < b.path ? -1 : 1))
  const found: MovedDir[] = []
  for (const [at, { path: from, base }] of sorted.entries()) {
    const to = base.entry.kind === 'dir' ? dirs.get(base.print.ino) : undefined
    const last = found.at(-1)
    if (to === undefined || (last !== undefined && isBelow(last.from, from))) continue
    if (isBelow(from, to.path) || isBelow(to.path, from)) continue
    const below = sliceBelow(from, sorted, at)
    const untouched = below.flatMap((one) => {
      const there = puts.get(rebase(one.path, from, to.path))
      return there !== undefined && isUntouched(one.base.print, there.print) ? [there] : []
    })
    if (!isWitnessed(below, untouched)) continue
    const isWhole = untouched.length === below.length
    found.push({ from, to: to.path, base, put: to, gone: below, untouched, isWhole })
  }
  return found
}

function isNewDir({ base, print }: Put): boolean {
  return base === undefined && print.kind === 'dir'
}

function isUntouched(before: Fingerprint, now: Fingerprint): boolean {
  return samePrint(before, now) && before.ino === now.ino
}

function isWitnessed(below: readonly Gone[], untouched: readonly Put[]): boolean {
  const files = below.reduce((count, { base }) => (base.entry.kind === 'dir' ? count : count + 1), 0)
  const witnesses = untouched.reduce((count, { print }) => (print.kind === 'dir' ? count : count + 1), 0)
  return witnesses > 0 && 2 * witnesses >= files
}

/** What is gone below `dir`, which is at index `at`. Names such as `dir-x` may stand between `dir` and what is below it. */
function sliceBelow(dir: RelPath, sorted: readonly Gone[], at: number): Gone[] {
  const below: Gone[] = []
  for (let i = at + 1; i < sorted.length; i++) {
    const one = sorted[i]
    if (one === undefined || !one.path.startsWith(dir)) break
    if (isBelow(dir, one.path)) below.push(one)
  }
  return below
}

/** Pairs what is gone with what is new. The caller has expanded directories: everything gone and new below them is in the lists. */
export function findMoves(gone: readonly Gone[], put: readonly Put[]): Moves {
  const moves = pair(gone, put)
  const byFrom = new Map(moves.map((move) => [move.from, move]))
  const dirMoves: DirMove[] = []
  const sorted = gone.map((change) => change.path).sort()
  for (const [at, path] of sorted.entries()) {
    const dir = byFrom.get(path)
    if (dir?.base.entry.kind !== 'dir') continue // or it is inside a directory that moved as a whole
    const members = membersOf(dir, { sorted, at, byFrom })
    if (members === undefined) continue
    dirMoves.push({ ...dir, members })
    for (const { from } of [dir, ...members]) byFrom.delete(from)
  }
  return { moves: [...byFrom.values()], dirMoves }
}

function pair(gone: readonly Gone[], put: readonly Put[]): Move[] {
  const byKey = new Map<string, Gone[]>()
  for (const change of gone) {
    const key = keyOf(change.base.print)
    const same = byKey.get(key)
    if (same === undefined) byKey.set(key, [change])
    else same.push(change)
  }
  const moves: Move[] = []
  for (const { path, print } of put) {
    const from = byKey.get(keyOf(print))?.pop()
    if (from !== undefined) moves.push({ from: from.path, to: path, base: from.base, print })
  }
  return moves
}

/** A rename keeps inode, size and mtime; it sets ctime. A directory's times change with its children. */
function keyOf({ kind, ino, size, mtimeNs }: Fingerprint): string {
  return kind === 'dir' ? `dir ${ino}` : `${kind} ${ino} ${size} ${mtimeNs}`
}

/** The moves of all that was below `dir`, which is at index `at` of what is gone; `undefined` when something did not come along. */
function membersOf(
  dir: Move,
  { sorted, at, byFrom }: { sorted: readonly RelPath[]; at: number; byFrom: ReadonlyMap<RelPath, Move> },
): Move[] | undefined {
  const members: Move[] = []
  for (let i = at + 1; i < sorted.length; i++) {
    const path = sorted[i]
    // Names such as `dir-x` may stand between `dir` and what is below it.
    if (path === undefined || !path.startsWith(dir.from)) break
    if (!isBelow(dir.from, path)) continue
    const move = byFrom.get(path)
    if (move?.to !== rebase(path, dir.from, dir.to)) return undefined
    members.push(move)
  }
  return members
}
