// The marker in a folder: which folder this directory is, so that an empty or foreign disk is never taken for an emptied folder.

import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { OWN_DIR } from '../model/path.ts'
import type { HostPath } from '../model/path.ts'
import { makeOwnDirs, openOwnDir, syncDir } from './own-dir.ts'
import { openRoot, placeAt } from './safe-dir.ts'
import { codeOf, isAbsence, problemOf } from './trouble.ts'
import { writeAll } from './write-bytes.ts'

const MARKER = 'marker'
const MAX_MARKER_BYTES = 4096

/** `none`: the directory is there but was never marked. `unreadable`: nothing may be concluded from it. */
export type MarkerReading =
  | { readonly kind: 'marker'; readonly id: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'no-root' }
  | { readonly kind: 'unreadable'; readonly reason: string }

/** Which directory a root is: a mount or a swap changes it. Decimal numbers. */
export interface RootIdentity {
  readonly dev: string
  readonly ino: string
}

/** Reads `<root>/.systemsync/marker`. */
export function readMarker(root: HostPath): MarkerReading {
  try {
    if (rootIdentity(root) === undefined) return { kind: 'no-root' }
    const own = openOwnDir(root)
    try {
      return parseMarker(readSmall(placeAt(own, MARKER)))
    } finally {
      closeSync(own)
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { kind: 'none' }
    if (isAbsence(error)) return { kind: 'unreadable', reason: `"${OWN_DIR}" or its marker is a link or a file` }
    return { kind: 'unreadable', reason: problemOf(OWN_DIR, error).reason }
  }
}

/** Marks the directory at `root` as the folder `id`; makes `.systemsync` and its staging. Durable and atomic. Throws when it cannot. */
export function writeMarker(root: HostPath, id: string): void {
  makeOwnDirs(root)
  const own = openOwnDir(root)
  const staged = placeAt(own, `${MARKER}.${randomBytes(6).toString('hex')}`)
  try {
    writeWhole(staged, Buffer.from(`${JSON.stringify({ folder: id })}\n`))
    renameSync(staged, placeAt(own, MARKER))
    syncDir(own)
  } catch (error) {
    rmSync(staged, { force: true })
    throw error
  } finally {
    closeSync(own)
  }
}

/** Which directory stands at `root`; `undefined` when none does. Throws a Node-style error when that cannot be known (EACCES…). */
export function rootIdentity(root: HostPath): RootIdentity | undefined {
  try {
    const stats = statSync(root, { bigint: true })
    return stats.isDirectory() ? { dev: stats.dev.toString(), ino: stats.ino.toString() } : undefined
  } catch (error) {
    if (isAbsence(error)) return undefined
    throw error
  }
}

/** Whether the directory at `root` holds nothing but `.systemsync`. Throws a Node-style error. */
export function isEmptyFolder(root: HostPath): boolean {
  const fd = openRoot(root)
  try {
    return readdirSync(`/proc/self/fd/${fd}`, 'buffer').every((name) => name.toString('latin1') === OWN_DIR)
  } finally {
    closeSync(fd)
  }
}

function parseMarker(text: string): MarkerReading {
  const unreadable = { kind: 'unreadable', reason: `the marker in "${OWN_DIR}" is damaged` } as const
  try {
    const found: unknown = JSON.parse(text)
    if (typeof found !== 'object' || found === null || !('folder' in found)) return unreadable
    return typeof found.folder === 'string' && found.folder !== '' ? { kind: 'marker', id: found.folder } : unreadable
  } catch {
    return unreadable
  }
}

function readSmall(place: string): string {
  const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(fd).isFile()) return ''
    const bytes = Buffer.alloc(MAX_MARKER_BYTES)
    return bytes.toString('utf8', 0, readSync(fd, bytes))
  } finally {
    closeSync(fd)
  }
}

function writeWhole(place: string, bytes: Uint8Array): void {
  const fd = openSync(place, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  try {
    writeAll(fd, bytes, 0)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
