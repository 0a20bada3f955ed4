// Takes a staged file into the content store: verifies its slices, makes it durable, renames it.

import { createHash } from 'node:crypto'
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import { inflateStaged } from './inflate-staged.ts'

const BLOCK = 1024 * 1024

/** A content that should be at `offset` of the file, `size` bytes long. */
interface ExpectedSlice {
  readonly sha256: Digest
  readonly size: number
  readonly offset: number
}

export interface TakeStaged {
  readonly place: HostPath
  readonly target: HostPath
  readonly slices: readonly ExpectedSlice[]
  readonly whole?: boolean
  /** SHA-256 of the whole file, when it was hashed while it came. */
  readonly found?: Digest | undefined
  /** How many bytes the file, which is deflated, must come out as; it is kept as those. */
  readonly inflatedBytes?: number | undefined
}

/**
 * Which slices are right. When at least one is, the file is durable at `target` afterwards; else it is gone. It is out of its writer's reach already:
 * what was hashed is what is kept.
 */
export function takeStaged({ place, target, slices, whole, found, inflatedBytes }: TakeStaged): boolean[] {
  if (inflatedBytes !== undefined && !inflateStaged(place, inflatedBytes)) return slices.map(() => false)
  const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { size } = fstatSync(fd)
    const block = Buffer.allocUnsafe(BLOCK)
    const good = slices.map((slice) => {
      if (slice.offset + slice.size > size || (whole === true && slice.size !== size)) return false
      return (found ?? digestOf(fd, slice, block)) === slice.sha256
    })
    if (!good.includes(true)) {
      rmSync(place, { force: true })
      return good
    }
    fchmodSync(fd, 0o400)
    fsyncSync(fd)
    renameSync(place, target)
    syncParent(target)
    return good
  } finally {
    closeSync(fd)
  }
}

/** SHA-256 of the file at `place`. Throws a Node-style error when it cannot be read. */
export function digestOfFile(place: HostPath): Digest {
  const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    return digestOf(fd, { offset: 0, size: fstatSync(fd).size }, Buffer.allocUnsafe(BLOCK)) as Digest
  } finally {
    closeSync(fd)
  }
}

function digestOf(fd: number, { offset, size }: Omit<ExpectedSlice, 'sha256'>, block: Buffer): string {
  const sha256 = createHash('sha256')
  for (let at = 0; at < size;) {
    const read = readSync(fd, block, 0, Math.min(BLOCK, size - at), offset + at)
    if (read === 0) break
    sha256.update(block.subarray(0, read))
    at += read
  }
  return sha256.digest('hex')
}

function syncParent(place: HostPath): void {
  const dir = openSync(dirname(place), constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(dir)
  } finally {
    closeSync(dir)
  }
}
