// Scans directories: what stands there, what could not be looked at, and never one taken for the other.

import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { isUtf8 } from 'node:buffer'
import { OWN_DIR, ROOT, joinPath, nameOf, parentOf } from '../model/path.ts'
import type { DirPath, RelPath } from '../model/path.ts'
import type { Problem } from '../model/problem.ts'
import type { Listing, Seen } from '../model/snapshot.ts'
import { printOf } from './fingerprint.ts'
import type { Ignored } from './ignore.ts'
import { placeAt } from './safe-dir.ts'
import type { SafeDirs } from './safe-dir.ts'
import { codeOf, displayOf, isAbsence, problemOf } from './trouble.ts'

const NOT_UTF8 = { reason: 'the name is not UTF-8', todo: 'Rename it; until then it stays on this machine only' }
const SPECIAL = {
  reason: 'special files are not synced',
  todo: 'Remove it, or add it to the ignore rules; it stays on this machine only',
}
const LINK_NOT_UTF8 = {
  reason: 'the target of the link is not UTF-8',
  todo: 'Make the link anew; until then it stays on this machine only',
}
const STAT_OPTIONS = { bigint: true, throwIfNoEntry: false } as const

/** What stands at one path. `missing`: nothing does, or nothing that is ever synced (a special file: then with a problem). */
export type Look =
  | { readonly state: 'seen'; readonly seen: Seen }
  | { readonly state: 'missing'; readonly problem?: Problem }
  | { readonly state: 'problem'; readonly problem: Problem }

/** What stands in the directory `dir`, its children only. */
export function scanDir(dirs: SafeDirs, dir: DirPath, ignored: Ignored): Listing {
  const blank = { dir, seen: [], unknown: [], problems: [] }
  try {
    const fd = dirs.open(dir)
    if (fd === undefined) return { ...blank, state: 'missing' }
    const names = namesIn(fd)
    const found = new Found(dir, fd)
    for (const name of names.known) {
      if (dir !== ROOT || name !== OWN_DIR) found.add(name, ignored)
    }
    for (const shown of names.odd) found.problems.push({ path: joinPath(dir, shown), ...NOT_UTF8 })
    return { dir, state: 'read', seen: found.seen, unknown: found.unknown, problems: found.problems }
  } catch (error) {
    if (isAbsence(error)) return { ...blank, state: 'missing' }
    return { ...blank, state: 'unreadable', problems: [problemOf(dir === ROOT ? '.' : dir, error)] }
  }
}

/** What stands at `path`. Ignore rules are the caller's business. */
export function lookAt(dirs: SafeDirs, path: RelPath): Look {
  try {
    const fd = dirs.open(parentOf(path))
    return fd === undefined ? { state: 'missing' } : lookIn(fd, nameOf(path), path)
  } catch (error) {
    return isAbsence(error) ? { state: 'missing' } : { state: 'problem', problem: problemOf(path, error) }
  }
}

/** Scans `dir` and all below it, parents before their children. An unreadable directory is told once; nothing below it is. */
export function scanTree(dirs: SafeDirs, dir: DirPath, ignored: Ignored, onListing: (listing: Listing) => void): void {
  const due: DirPath[] = [dir]
  for (let next = due.pop(); next !== undefined; next = due.pop()) {
    const listing = scanDir(dirs, next, ignored)
    onListing(listing)
    for (let i = listing.seen.length - 1; i >= 0; i--) {
      const child = listing.seen[i]
      if (child?.print.kind === 'dir') due.push(joinPath(next, child.name))
    }
  }
}

/** What has been found in one directory so far. */
class Found {
  readonly seen: Seen[] = []
  readonly unknown: string[] = []
  readonly problems: Problem[] = []
  readonly #dir: DirPath
  readonly #fd: number

  constructor(dir: DirPath, fd: number) {
    this.#dir = dir
    this.#fd = fd
  }

  add(name: string, ignored: Ignored): void {
    const path = joinPath(this.#dir, name)
    try {
      const stats = lstatSync(placeAt(this.#fd, name), STAT_OPTIONS)
      if (stats === undefined) return // gone since the names were read
      if (ignored(path, stats.isDirectory())) return
      const print = printOf(stats)
      if (print === undefined) this.problems.push({ path, ...SPECIAL })
      else if (print.kind !== 'link') this.seen.push({ name, print })
      else this.#addLink(name, path)
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || ignored(path, false)) return
      this.unknown.push(name)
      this.problems.push(problemOf(path, error))
    }
  }

  #addLink(name: string, path: RelPath): void {
    const look = lookIn(this.#fd, name, path)
    if (look.state === 'seen') this.seen.push(look.seen)
    if (look.state !== 'problem') return
    this.unknown.push(name)
    this.problems.push(look.problem)
  }
}

/** Looks at `name` in the open directory `fd`. Throws a Node-style error. */
function lookIn(fd: number, name: string, path: RelPath): Look {
  const place = placeAt(fd, name)
  const stats = lstatSync(place, STAT_OPTIONS)
  if (stats === undefined) return { state: 'missing' }
  const print = printOf(stats)
  if (print === undefined) return { state: 'missing', problem: { path, ...SPECIAL } }
  if (print.kind !== 'link') return { state: 'seen', seen: { name, print } }
  const target = readlinkSync(place, 'buffer')
  if (!isUtf8(target)) return { state: 'problem', problem: { path, ...LINK_NOT_UTF8 } }
  return { state: 'seen', seen: { name, print, target: target.toString('utf8') } }
}

/** The names in an open directory: those that are UTF-8, and the others as they are displayed. Throws a Node-style error. */
function namesIn(fd: number): { readonly known: readonly string[]; readonly odd: readonly string[] } {
  const place = `/proc/self/fd/${fd}`
  const known = readdirSync(place)
  if (!known.some((name) => name.includes('\ufffd'))) return { known, odd: [] }
  const raw = readdirSync(place, 'buffer')
  const isWhole = (name: Buffer): boolean => isUtf8(name)
  return {
    known: raw.filter(isWhole).map((name) => name.toString('utf8')),
    odd: raw.filter((name) => !isWhole(name)).map(displayOf),
  }
}
