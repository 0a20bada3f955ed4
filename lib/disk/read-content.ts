// Reads the contents of files: hashed, or whole, and only when nothing touched them meanwhile.

import { createHash, hash } from 'node:crypto'
import { constants, readSync } from 'node:fs'
import type { Digest } from '../model/digest.ts'
import { samePrint } from '../model/entry.ts'
import type { Fingerprint } from '../model/entry.ts'
import { nameOf, parentOf } from '../model/path.ts'
import type { RelPath } from '../model/path.ts'
import type { Problem } from '../model/problem.ts'
import { closeFile, openFile, printOfFile } from './native-files.ts'
import { placeAt } from './safe-dir.ts'
import type { DirsInRow, SafeDirs } from './safe-dir.ts'
import { isAbsence, problemOf } from './trouble.ts'

/** How much is read at once. Bytes. */
const BLOCK = 1024 * 1024

/** `changed`: what stands there is not, or did not stay, what was expected; look again. */
export type Unread = { readonly kind: 'changed' } | { readonly kind: 'problem'; readonly problem: Problem }
export type Hashed = { readonly kind: 'read'; readonly sha256: Digest } | Unread
export type Read = { readonly kind: 'read'; readonly sha256: Digest; readonly bytes: Uint8Array } | Unread

/** `onProgress` is told the bytes of each block; when `shouldStop` says so the answer is `changed`. */
export interface Reading {
  readonly onProgress?: (bytes: number) => void
  readonly shouldStop?: () => boolean
}

/** Hashes the file at `path`, in blocks of 1 MiB. */
export function hashFile(dirs: SafeDirs, path: RelPath, expect: Fingerprint, reading: Reading = {}): Hashed {
  return withFile(dirs, path, expect, (fd): Hashed => {
    const sha256 = createHash('sha256')
    const block = Buffer.allocUnsafe(Math.min(BLOCK, expect.size + 1))
    let total = 0
    for (let read = readSync(fd, block); read > 0; read = readSync(fd, block)) {
      total += read
      if (total > expect.size || reading.shouldStop?.() === true) return { kind: 'changed' }
      sha256.update(block.subarray(0, read))
      reading.onProgress?.(read)
    }
    if (total !== expect.size) return { kind: 'changed' }
    return { kind: 'read', sha256: digestOf(sha256.digest('hex')) }
  })
}

/** Reads the file at `path` whole into `bytes`, which are as many as are expected: for small ones. */
export function readFile(
  dirs: Pick<DirsInRow, 'open'>,
  { path, print }: { readonly path: RelPath; readonly print: Fingerprint },
  bytes: Uint8Array = new Uint8Array(print.size),
): Read {
  return withFile(dirs, path, print, (fd): Read => {
    let total = 0
    while (total < bytes.length) {
      const read = readSync(fd, bytes, total, bytes.length - total, null)
      if (read === 0) return { kind: 'changed' }
      total += read
    }
    return { kind: 'read', sha256: digestOf(hash('sha256', bytes)), bytes }
  })
}

/** Opens the file at `path` for reading; `changed` unless it is what is expected, before and after `read` ran. */
export function withFile<T extends { readonly kind: string }>(
  dirs: Pick<DirsInRow, 'open'>,
  path: RelPath,
  expect: Fingerprint,
  read: (fd: number) => T,
): T | Unread {
  try {
    const fd = openAsExpected(dirs, path, expect)
    if (fd === undefined) return { kind: 'changed' }
    try {
      const found = read(fd)
      return isAsExpected(fd, expect) ? found : { kind: 'changed' }
    } finally {
      closeFile(fd)
    }
  } catch (error) {
    return isAbsence(error) ? { kind: 'changed' } : { kind: 'problem', problem: problemOf(path, error) }
  }
}

/** Opens the file at `path` for reading; `undefined` unless it is what is expected. Close it with `closeFile`. Throws a Node-style error. */
export function openAsExpected(dirs: Pick<DirsInRow, 'open'>, path: RelPath, expect: Fingerprint): number | undefined {
  let fd: number | undefined
  let isRight = false
  try {
    const parent = dirs.open(parentOf(path))
    if (parent === undefined || expect.kind !== 'file') return undefined
    fd = openFile(placeAt(parent, nameOf(path)), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    isRight = isAsExpected(fd, expect)
    return isRight ? fd : undefined
  } catch (error) {
    if (isAbsence(error)) return undefined
    throw error
  } finally {
    if (fd !== undefined && !isRight) closeFile(fd)
  }
}

function isAsExpected(fd: number, expect: Fingerprint): boolean {
  const now = printOfFile(fd)
  return now !== undefined && samePrint(expect, now)
}

/** Names what the hash gave out. */
function digestOf(hex: string): Digest {
  return hex as Digest
}
