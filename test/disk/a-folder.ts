// Builders for tests of the disk: a marked folder of its own, steps, and code that runs as nobody.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeMarker } from '../../lib/disk/marker.ts'
import { printOf } from '../../lib/disk/fingerprint.ts'
import { SafeDirs } from '../../lib/disk/safe-dir.ts'
import type { Digest } from '../../lib/model/digest.ts'
import type { FileEntry, Fingerprint } from '../../lib/model/entry.ts'
import { hostPath, parseRelPath } from '../../lib/model/path.ts'
import type { HostPath, RelPath } from '../../lib/model/path.ts'
import type { WriteStep } from '../../lib/model/write-step.ts'

/** A moment with nine digits of nanoseconds. */
export const MTIME = '1700000000123456789'

export const isRoot = process.geteuid?.() === 0

/** A folder in a directory of its own; `outside` is a place beside it that nothing may reach. */
export interface Folder {
  readonly root: HostPath
  readonly outside: string
  readonly dirs: SafeDirs
  at(path: string): string
  print(path: string): Fingerprint
  staged(): string[]
}

/** Makes a marked folder that goes when the test ends. */
export function aFolder(t: { teardown(fn: () => void): void }): Folder {
  const base = mkdtempSync(join(tmpdir(), 'disk-'))
  chmodSync(base, 0o755)
  const root = hostPath(join(base, 'folder'))
  const outside = join(base, 'outside')
  mkdirSync(root)
  mkdirSync(outside)
  writeMarker(root, 'folder-1')
  const dirs = new SafeDirs(root)
  t.teardown(() => {
    dirs.close()
    rmSync(base, { recursive: true, force: true })
  })
  return {
    root,
    outside,
    dirs,
    at: (path) => `${root}/${path}`,
    print: (path) => printAt(`${root}/${path}`),
    staged: () => readdirSync(`${root}/.systemsync/staging`),
  }
}

export function printAt(place: string): Fingerprint {
  const print = printOf(lstatSync(place, { bigint: true }))
  if (print === undefined) throw new Error(`special file at ${place}`)
  return print
}

export function rel(text: string): RelPath {
  const path = parseRelPath(text)
  if (path === undefined) throw new Error(`not a path: ${text}`)
  return path
}

export function sha256(bytes: string | Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest('hex') as Digest
}

export function fileEntry(bytes: string | Uint8Array, mode = 0o644, mtimeNs = MTIME): FileEntry {
  return { kind: 'file', size: Buffer.byteLength(bytes), mtimeNs, mode, sha256: sha256(bytes) }
}

/** A step that places `text` at `path`. */
export function place(path: string, text: string, expect?: Fingerprint): WriteStep {
  const bytes = Buffer.from(text)
  return { do: 'place-file', path: rel(path), entry: fileEntry(text), body: { kind: 'bytes', bytes }, expect }
}

export function makeDir(path: string, expect?: Fingerprint, mode = 0o755): WriteStep {
  return { do: 'make-dir', path: rel(path), entry: { kind: 'dir', mode }, expect }
}

export function makeLink(path: string, target: string, expect?: Fingerprint): WriteStep {
  return { do: 'make-link', path: rel(path), entry: { kind: 'link', target }, expect }
}

export function remove(path: string, expect: Fingerprint): WriteStep {
  return { do: 'remove', path: rel(path), expect }
}

/**
 * Runs `script` (an ES module; `lib` is imported relative to the built lib/) as the user nobody, when this is root, and answers what it
 * prints as JSON.
 */
export function asNobody(script: string): unknown {
  const lib = new URL('../../lib/', import.meta.url).href
  const code = script.replaceAll('@lib/', lib)
  const identity = isRoot ? { uid: 65534, gid: 65534 } : {}
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', code], { ...identity, encoding: 'utf8' })
  return JSON.parse(out)
}
