// Puts the plain form of a deflated staged file into its place; never more bytes than are expected.

import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { inflateExactlySync } from '../daemon/deflate.ts'
import { Refused } from '../errors.ts'
import type { HostPath } from '../model/path.ts'
import { codeOf } from './trouble.ts'

/**
 * `place` holds `size` bytes, deflated; nobody writes to it any more. `false`, and it is gone: it is broken, cut short, does not hold exactly
 * so many, or is no smaller than they are. Throws `Refused` 507 when the disk is full; it is gone then too.
 */
export function inflateStaged(place: HostPath, size: number): boolean {
  const plain = `${place}-plain`
  let isDone = false
  try {
    const bytes = inflated(place, size)
    if (bytes === undefined) return false
    writeFileSync(plain, bytes, { mode: 0o600, flag: 'wx' })
    renameSync(plain, place)
    isDone = true
    return true
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
    throw new Refused('Cannot take a pack: no space left on the disk, wanted room for it', {
      status: 507,
      code: 'NO_SPACE',
      retry: 'later',
      hint: 'Free some space on the coordinator; it is tried again',
      cause: error,
    })
  } finally {
    if (!isDone) for (const file of [plain, place]) rmSync(file, { force: true })
  }
}

function inflated(place: HostPath, size: number): Uint8Array | undefined {
  const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const found = fstatSync(fd)
    // What is no smaller than its content was not worth deflating, and is not worth reading.
    if (!found.isFile() || found.size >= size) return undefined
    return inflateExactlySync(readFileSync(fd), size)
  } finally {
    closeSync(fd)
  }
}
