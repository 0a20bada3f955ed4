// Builders of rows, revisions and arbitrary values for the tests of the store.

import { createHash } from 'node:crypto'
import fc from 'fast-check'

import type { Digest } from '../../lib/model/digest.ts'
import type { DirEntry, Entry, FileEntry, Fingerprint, Kind } from '../../lib/model/entry.ts'
import { parseRelPath } from '../../lib/model/path.ts'
import type { RelPath } from '../../lib/model/path.ts'
import type { Revision, Seq } from '../../lib/model/revision.ts'
import type { BaseRow } from '../../lib/model/snapshot.ts'

export function path(text: string): RelPath {
  const parsed = parseRelPath(text)
  if (parsed === undefined) throw new Error(`"${text}" is no path`)
  return parsed
}

export function digestOf(text: string): Digest {
  return createHash('sha256').update(text).digest('hex') as Digest
}

export function file(content: string, more: Partial<FileEntry> = {}): FileEntry {
  const size = Buffer.byteLength(content)
  return { kind: 'file', size, mtimeNs: '1700000000123456789', mode: 0o644, sha256: digestOf(content), ...more }
}

export const dir: DirEntry = { kind: 'dir', mode: 0o755 }

export function printOf(entry: Entry, more: Partial<Fingerprint> = {}): Fingerprint {
  const size = entry.kind === 'file' ? entry.size : 4096
  const mtimeNs = entry.kind === 'file' ? entry.mtimeNs : '1700000000000000001'
  const mode = entry.kind === 'link' ? 0o777 : entry.mode
  return { kind: entry.kind, size, mtimeNs, ctimeNs: '1700000000999999999', ino: '131', mode, ...more }
}

export function row(at: string, entry: Entry = file(at), seq: Seq = 1): BaseRow {
  return { path: path(at), seq, entry, print: printOf(entry) }
}

/** A revision by `ann`, written `seq` seconds after 1970. */
export function revision(seq: Seq, at: string, entry: Entry | undefined, more: Partial<Revision> = {}): Revision {
  const what = entry === undefined ? 'delete' : 'create'
  return { seq, path: path(at), what, entry, stamp: { timeMs: seq * 1000, peer: 'ann' }, loser: false, ...more }
}

const nanoseconds = fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 64n), fc.bigInt(-5n, 5n)).map(String)
const anyDigest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => Buffer.from(b).toString('hex') as Digest)
const mode = fc.nat(0o777)
const size = fc.maxSafeNat()

export const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
  plain({ kind: fc.constant('file' as const), size, mtimeNs: nanoseconds, mode, sha256: anyDigest }),
  plain({ kind: fc.constant('dir' as const), mode }),
  plain({
    kind: fc.constant('link' as const),
    target: fc.string({ unit: 'grapheme', minLength: 1 }).filter(isText),
  }),
)

export const anyPrint: fc.Arbitrary<Fingerprint> = plain({
  kind: fc.constantFrom<Kind>('file', 'dir', 'link'),
  size,
  mtimeNs: nanoseconds,
  ctimeNs: nanoseconds,
  ino: fc.bigInt(0n, 2n ** 64n - 1n).map(String),
  mode,
})

/** Few names, chosen so that siblings sort around `/`, so that trees overlap and moves collide. */
export const anyPath: fc.Arbitrary<RelPath> = fc
  .array(fc.constantFrom('a', 'b', 'a-', 'a0', 'é', '😀', '1e5'), { minLength: 1, maxLength: 4 })
  .map((names) => path(names.join('/')))

export const anyName: fc.Arbitrary<RelPath> = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 60 })
  .map(parseRelPath)
  .filter((parsed) => parsed !== undefined)

/** A record with an ordinary prototype, to be compared strictly; fast-check shrinks towards others. */
export function plain<T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true })
}

/** By UTF-8, as SQLite sorts. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function isText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
