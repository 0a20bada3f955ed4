// Entries: what stands at a path, and the fingerprint by which a machine knows it again without reading it.

import type { Digest } from './digest.ts'

/** A regular file. `mtimeNs` is decimal nanoseconds since 1970 (may be negative); `mode` the 9 permission bits. */
export interface FileEntry {
  readonly kind: 'file'
  readonly size: number
  readonly mtimeNs: string
  readonly mode: number
  readonly sha256: Digest
}

/** A directory; `mode` the 9 permission bits. */
export interface DirEntry {
  readonly kind: 'dir'
  readonly mode: number
}

/** A symbolic link, kept as a link; `target` is never followed. */
export interface LinkEntry {
  readonly kind: 'link'
  readonly target: string
}

export type Entry = FileEntry | DirEntry | LinkEntry

export type Kind = Entry['kind']

/** What `lstat` says of one place on this machine. Decimal nanoseconds; `ino` decimal; `mode` the 9 permission bits. */
export interface Fingerprint {
  readonly kind: Kind
  readonly size: number
  readonly mtimeNs: string
  readonly ctimeNs: string
  readonly ino: string
  readonly mode: number
}

/** Whether two entries hold the same content, whatever their mode and mtime. */
export function sameContent(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  if (a.kind === 'file') return b.kind === 'file' && a.sha256 === b.sha256
  if (a.kind === 'link') return b.kind === 'link' && a.target === b.target
  return b.kind === 'dir'
}

/** Whether two entries are equal in all that is synced. */
export function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  if (!sameContent(a, b)) return false
  if (a?.kind === 'file' && b?.kind === 'file') return a.mtimeNs === b.mtimeNs && a.mode === b.mode
  if (a?.kind === 'dir' && b?.kind === 'dir') return a.mode === b.mode
  return true
}

/** Whether nothing has touched the place since `before` was taken. A directory's times change with its children, so only its mode counts. */
export function samePrint(before: Fingerprint, now: Fingerprint): boolean {
  if (before.kind !== now.kind || before.mode !== now.mode) return false
  if (before.kind === 'dir') return true
  return (
    before.size === now.size &&
    before.mtimeNs === now.mtimeNs &&
    before.ino === now.ino &&
    before.ctimeNs === now.ctimeNs
  )
}
