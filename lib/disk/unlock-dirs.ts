// Lifts, for a moment, what a directory of ours forbids its owner: a read-only directory must not keep its changes out.

import { chmodSync, closeSync, fstatSync, openSync } from 'node:fs'
import { ROOT, ancestorsOf } from '../model/path.ts'
import type { DirPath, RelPath } from '../model/path.ts'
import { O_PATH } from './safe-dir.ts'
import type { SafeDirs } from './safe-dir.ts'
import { codeOf } from './trouble.ts'

/** Directories made writable; disposing gives them back the modes they had. `isAny`: there was at least one. */
export interface Unlocked extends Disposable {
  readonly isAny: boolean
}

const ENTER = 0o100
const CHANGE = 0o300

/**
 * Lets the owner enter all directories on the way to each of `paths`, and change the innermost that exists. Only those that this user owns.
 * RACE: a crash before disposal leaves them so; the next scan takes that for an edit of their modes.
 */
export function unlockDirs(dirs: SafeDirs, paths: readonly RelPath[]): Unlocked {
  const lifted: { readonly fd: number; readonly mode: number }[] = []
  for (const path of paths) {
    let innermost: number | undefined
    for (const dir of [ROOT, ...ancestorsOf(path)] as const) {
      const fd = openIfThere(dirs, dir)
      if (fd === undefined) break
      lift(fd, ENTER, lifted)
      innermost = fd
    }
    if (innermost !== undefined) lift(innermost, CHANGE, lifted)
  }
  return {
    isAny: lifted.length > 0,
    [Symbol.dispose]: () => {
      for (const { fd, mode } of lifted.reverse()) {
        chmodSync(`/proc/self/fd/${fd}`, mode)
        closeSync(fd)
      }
    },
  }
}

function lift(fd: number, bits: number, lifted: { fd: number; mode: number }[]): void {
  const { uid, mode } = fstatSync(fd)
  if ((mode & bits) === bits || uid !== process.geteuid?.()) return
  chmodSync(`/proc/self/fd/${fd}`, (mode & 0o7777) | 0o700)
  lifted.push({ fd: openSync(`/proc/self/fd/${fd}`, O_PATH), mode: mode & 0o7777 })
}

function openIfThere(dirs: SafeDirs, dir: DirPath): number | undefined {
  try {
    return dirs.open(dir)
  } catch (error) {
    if (codeOf(error) === 'EACCES') return undefined
    throw error
  }
}
