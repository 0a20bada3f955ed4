// Finds out of a whole directory that nothing in it was touched, as cheaply as can be: most of what a scan looks at never was.

import { readdirSync } from 'node:fs'
import { OWN_DIR, ROOT, joinPath } from '../model/path.ts'
import type { DirPath } from '../model/path.ts'
import { isPlainDir, samePlainPrint, type PlainPrint } from '../model/plain-print.ts'
import type { Ignored } from './ignore.ts'
import type { PlainStat } from './plain-stat.ts'
import type { SafeDirs } from './safe-dir.ts'

/** The directories in an untouched one, and how many names it has in all. */
export interface Untouched {
  readonly dirs: readonly string[]
  readonly count: number
}

export interface Known {
  /** By name, all that was agreed on right in the directory. */
  readonly prints: ReadonlyMap<string, PlainPrint>
  readonly ignored: Ignored
}

/**
 * What stands in `dir` when all of it is as `known` says; `undefined` when something is not, or when it cannot be told: then `scanDir` says
 * what. What is ignored counts as untouched, unless it is a directory that is known.
 */
export function untouchedIn(
  { dirs, stat }: { readonly dirs: SafeDirs; readonly stat: PlainStat },
  dir: DirPath,
  { prints, ignored }: Known,
): Untouched | undefined {
  try {
    const fd = dirs.open(dir)
    if (fd === undefined) return undefined
    const names = readdirSync(`/proc/self/fd/${fd}`)
    const found: string[] = []
    let count = 0
    for (const name of names) {
      if (dir === ROOT && name === OWN_DIR) continue
      const before = prints.get(name)
      const now = stat.look(fd, name)
      if (now === undefined || name.includes('\ufffd')) return undefined // the name may not be UTF-8
      const isDir = isPlainDir(now)
      const isIgnored = (isDir || before === undefined) && ignored(joinPath(dir, name), isDir)
      if (before === undefined && isIgnored) continue
      if (before === undefined || isIgnored || !samePlainPrint(before, now)) return undefined
      if (isDir) found.push(name)
      count++
    }
    return count === prints.size ? { dirs: found, count } : undefined
  } catch {
    return undefined // the scan that follows says why
  }
}
