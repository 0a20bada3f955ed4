// Ignore rules: which paths of a folder are neither sent nor deleted, as gitignore has it.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import ignore from 'ignore'
import type { Ignore } from 'ignore'
import { ROOT, nameOf, parentOf } from '../model/path.ts'
import type { DirPath, HostPath, RelPath } from '../model/path.ts'

/** Whether the rules leave `path` out. What stands below an ignored directory is ignored. */
export type Ignored = (path: RelPath, isDir: boolean) => boolean

/** What SystemSync keeps for itself, and what editors and desktops leave behind. */
export const DEFAULT_RULES: readonly string[] = [
  '.systemsync/',
  '.*.sw?',
  '*~',
  '4913',
  '.#*',
  '.nfs*',
  '.DS_Store',
  'Thumbs.db',
]

/** The file in a folder that holds its own rules. */
export const RULES_FILE = '.syncignore'

/** A larger rules file is not taken. Bytes. */
const MAX_RULES_BYTES = 256 * 1024

/** How many directories' answers, and how many answers inside the matcher, are remembered. */
const MAX_REMEMBERED = 8192

/** The rules of the folder at `root`: the defaults, those `configured`, then those of its `.syncignore` when it is a readable regular file. */
export function readRules(root: HostPath, configured: readonly string[]): string[] {
  return [...DEFAULT_RULES, ...configured, ...rulesFileOf(root)]
}

/** Compiles gitignore `rules` (later ones win); case matters. The answer holds a bounded memory of directories. */
export function compileIgnore(rules: readonly string[]): Ignored {
  const lines = rules
    .flatMap((rule) => rule.split(/\r?\n/))
    .filter((rule) => rule.trim() !== '' && !rule.startsWith('#'))
  if (lines.length === 0) return () => false
  const matches = matcherOf(lines)
  const dirs = new Map<DirPath, boolean>()

  function isDirIgnored(dir: DirPath): boolean {
    if (dir === ROOT) return false
    const known = dirs.get(dir)
    if (known !== undefined) return known
    const found = isDirIgnored(parentOf(dir)) || matches(dir, true)
    if (dirs.size >= MAX_REMEMBERED) dirs.clear()
    dirs.set(dir, found)
    return found
  }

  return (path, isDir) => isDirIgnored(parentOf(path)) || matches(path, isDir)
}

/** Matches one path whose ancestors are known not to be ignored. */
function matcherOf(lines: readonly string[]): (path: RelPath, isDir: boolean) => boolean {
  // A rule without a slash, other than at its end, looks at the last name alone: then so may we, and need not look at the ancestors again.
  const namesOnly = lines.every((line) => !bare(line).includes('/'))
  const couldMatch = prefilterOf(lines)
  let left = 0
  let rules: Ignore = compile(lines)
  return (path, isDir) => {
    const name = nameOf(path)
    if (!couldMatch(name)) return false
    // The package remembers every path it was asked for, without end: start anew from time to time.
    if (++left > MAX_REMEMBERED) {
      left = 0
      rules = compile(lines)
    }
    const asked = namesOnly ? name : path
    return rules.ignores(isDir ? `${asked}/` : asked)
  }
}

function compile(lines: readonly string[]): Ignore {
  return ignore({ ignorecase: false, allowRelativePaths: true }).add([...lines])
}

/**
 * A quick look at a name that is wrong only by saying yes. A rule can match a path only when its last part matches the last name; when that
 * part starts, or else ends, with a plain character, the name must do so too. Rules with `!` only ever take back what another rule said.
 */
function prefilterOf(lines: readonly string[]): (name: string) => boolean {
  const first = new Set<number>()
  const last = new Set<number>()
  for (const line of lines) {
    if (line.startsWith('!')) continue
    const rule = bare(line)
    const part = rule.slice(rule.lastIndexOf('/') + 1)
    if (rule.includes('\\')) return () => true
    if (isPlain(part[0])) first.add(part.charCodeAt(0))
    else if (isPlain(part.at(-1))) last.add(part.charCodeAt(part.length - 1))
    else return () => true
  }
  return (name) => first.has(name.charCodeAt(0)) || last.has(name.charCodeAt(name.length - 1))
}

/** The rule without the spaces that gitignore drops, and without the slash that asks for a directory. */
function bare(line: string): string {
  return line.replace(/ +$/, '').replace(/\/$/, '')
}

function isPlain(char: string | undefined): boolean {
  return char !== undefined && !/[*?[\]!\\\s]/.test(char)
}

function rulesFileOf(root: HostPath): string[] {
  let fd: number
  try {
    fd = openSync(`${root}/${RULES_FILE}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    return [] // none, a link, or not ours to read: the scan reports what it can
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile() || stats.size > MAX_RULES_BYTES) return []
    const bytes = Buffer.alloc(MAX_RULES_BYTES)
    const length = readSync(fd, bytes, 0, bytes.length, 0)
    return bytes
      .toString('utf8', 0, length)
      .replace(/^\ufeff/, '')
      .split(/\r?\n/)
  } finally {
    closeSync(fd)
  }
}
