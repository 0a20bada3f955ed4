// Paths inside a folder, and places on this machine: two kinds that never mix.

import type { Brand } from './brand.ts'

/** A place inside a folder: `/`-separated, spelled as on disk, never absolute, no empty, `.`, `..` or NUL part, not below `.systemsync`. */
export type RelPath = Brand<string, 'RelPath'>

/** The folder itself, or a directory inside it. */
export type DirPath = RelPath | typeof ROOT

/** An absolute path on this machine. It never crosses the wire. */
export type HostPath = Brand<string, 'HostPath'>

/** The folder itself as a `DirPath`. */
export const ROOT = ''

/** The directory inside every folder that holds what SystemSync needs there; never synced. */
export const OWN_DIR = '.systemsync'

const MAX_NAME_BYTES = 255
const MAX_PATH_BYTES = 4096

/** Parses one name of a directory entry; `undefined` when it is not a name that a folder can hold. */
export function isName(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false
  if (name.includes('/') || name.includes('\0') || !name.isWellFormed()) return false
  return name.length * 3 <= MAX_NAME_BYTES || utf8Length(name) <= MAX_NAME_BYTES
}

/** Parses untrusted text into a `RelPath`; `undefined` when it is not one. */
export function parseRelPath(text: string): RelPath | undefined {
  if (text.length * 3 > MAX_PATH_BYTES && utf8Length(text) > MAX_PATH_BYTES) return undefined
  const names = text.split('/')
  if (names[0] === OWN_DIR) return undefined
  return names.every(isName) ? (text as RelPath) : undefined
}

/** Names an absolute path of this machine. The caller vouches that it is absolute. */
export function hostPath(text: string): HostPath {
  return text as HostPath
}

/** The entry `name` of the directory `dir`. The caller vouches that `name` is a name (see `isName`). */
export function joinPath(dir: DirPath, name: string): RelPath {
  return (dir === ROOT ? name : `${dir}/${name}`) as RelPath
}

/** The place of `path` on this machine, under the folder's root. */
export function placeOf(root: HostPath, path: DirPath): HostPath {
  return (path === ROOT ? root : `${root}/${path}`) as HostPath
}

/** The directory that `path` stands in. */
export function parentOf(path: RelPath): DirPath {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? ROOT : (path.slice(0, slash) as RelPath)
}

/** The last name of `path`. */
export function nameOf(path: RelPath): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** The directories that `path` stands in, outermost first, the folder itself left out. */
export function ancestorsOf(path: RelPath): RelPath[] {
  const found: RelPath[] = []
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    found.push(path.slice(0, slash) as RelPath)
  }
  return found
}

/** Whether `path` stands somewhere below `dir`. */
export function isBelow(dir: DirPath, path: DirPath): boolean {
  return dir === ROOT ? path !== ROOT : path.length > dir.length && path.startsWith(dir) && path[dir.length] === '/'
}

/** `path`, which stands below `from`, as it is called when `from` is renamed `to`. */
export function rebase(path: RelPath, from: RelPath, to: RelPath): RelPath {
  return (to + path.slice(from.length)) as RelPath
}

/** Whether `path`, which was made by `rebase` or `joinPath`, is no longer than a path may be. */
export function isPathLength(path: RelPath): boolean {
  return path.length * 3 <= MAX_PATH_BYTES || utf8Length(path) <= MAX_PATH_BYTES
}

/** How many parts `path` has; the folder itself has none. */
export function depthOf(path: DirPath): number {
  return path === ROOT ? 0 : path.split('/').length
}

/** Length of `text` in UTF-8, in bytes. `text` is well formed. */
export function utf8Length(text: string): number {
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    bytes +=
      code < 0x80
        ? 1
        : code < 0x800
          ? 2
          : code >= 0xd800 && code <= 0xdbff
            ? 4
            : code >= 0xdc00 && code <= 0xdfff
              ? 0
              : 3
  }
  return bytes
}
