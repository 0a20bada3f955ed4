// Builders: values of the model for tests, named by what they are.

import type { Digest } from '../../lib/model/digest.ts'
import { parseDigest } from '../../lib/model/digest.ts'
import type { DirEntry, Entry, FileEntry, Fingerprint, LinkEntry } from '../../lib/model/entry.ts'
import type { RelPath } from '../../lib/model/path.ts'
import { parseRelPath } from '../../lib/model/path.ts'
import type { Head, Proposal } from '../../lib/model/revision.ts'
import type { BaseRow, Seen } from '../../lib/model/snapshot.ts'

/** A path that is known to be one. */
export function rel(text: string): RelPath {
  const path = parseRelPath(text)
  if (path === undefined) throw new Error(`Cannot build path "${text}"`)
  return path
}

/** The digest of the content that goes by this number. Not a real SHA-256. */
export function digestOf(content: number): Digest {
  const digest = parseDigest(content.toString(16).padStart(64, '0'))
  if (digest === undefined) throw new Error(`Cannot build digest of ${content}`)
  return digest
}

/** A file with the content that goes by this number. */
export function file(content: number, more: Partial<FileEntry> = {}): FileEntry {
  return { kind: 'file', size: content, mtimeNs: '1000', mode: 0o644, sha256: digestOf(content), ...more }
}

export function dir(mode = 0o755): DirEntry {
  return { kind: 'dir', mode }
}

export function symlink(target: string): LinkEntry {
  return { kind: 'link', target }
}

/** The fingerprint of an entry that stands at inode `ino`. */
export function printOf(entry: Entry, ino = '1', more: Partial<Fingerprint> = {}): Fingerprint {
  return {
    kind: entry.kind,
    size: entry.kind === 'file' ? entry.size : 0,
    mtimeNs: entry.kind === 'file' ? entry.mtimeNs : '1',
    ctimeNs: '1',
    ino,
    mode: entry.kind === 'link' ? 0o777 : entry.mode,
    ...more,
  }
}

export function row(path: string, entry: Entry, seq = 1, ino = '1'): BaseRow {
  return { path: rel(path), seq, entry, print: printOf(entry, ino) }
}

export function seen(name: string, entry: Entry, ino = '1', more: Partial<Fingerprint> = {}): Seen {
  const print = printOf(entry, ino, more)
  return entry.kind === 'link' ? { name, print, target: entry.target } : { name, print }
}

export function head(path: string, seq: number, entry?: Entry): Head {
  return { path: rel(path), seq, entry }
}

/** A proposal, written at `writtenAtMs`; without an entry a delete. */
export function proposal(path: string, base: number, entry: Entry | undefined, writtenAtMs = 0): Proposal {
  return { path: rel(path), base, entry, writtenAtMs }
}
