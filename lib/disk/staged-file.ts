// Staged files: contents that become whole out of sight, in `.systemsync/staging` of their folder.

import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs'
import type { Digest } from '../model/digest.ts'
import { OWN_DIR, isName } from '../model/path.ts'
import type { HostPath } from '../model/path.ts'
import { SyncError } from '../errors.ts'
import { makeWritable } from './make-writable.ts'
import { STAGING, makeOwnDirs, openOwnDir, openStaging } from './own-dir.ts'
import { placeAt } from './safe-dir.ts'
import { codeOf } from './trouble.ts'
import { writeAll, writeSparse } from './write-bytes.ts'

const BLOCK = 1024 * 1024
const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/**
 * One content on its way, a file of mode 0600 named by the caller. Closing leaves it for later; `discard` removes it. Methods that write
 * throw a SyncError `NO_SPACE` (retry later) when the disk is full.
 */
export class StagedFile implements Disposable {
  /** Where it is, for a `WriteStep`. */
  readonly place: HostPath
  readonly #fd: number
  #isOpen = true

  private constructor(place: HostPath, fd: number) {
    this.place = place
    this.#fd = fd
  }

  /** Makes an empty one. Throws a Node-style EEXIST when there is one of that name. */
  static create(root: HostPath, name: string): StagedFile {
    return explainingFullDisk(stagedPlace(root, name), () =>
      StagedFile.#openAt(root, name, (place) => openSync(place, CREATE, 0o600)),
    )
  }

  /** Opens one left behind earlier, to go on with it; `undefined` when there is none, or none that is ours alone: then nothing is left of that name. */
  static reopen(root: HostPath, name: string): StagedFile | undefined {
    try {
      const left = StagedFile.#openAt(root, name, openLeft)
      if (fstatSync(left.#fd).nlink === 1) return left
      left.discard() // its other name may be its place in the folder already
      return undefined
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ELOOP') return undefined
      throw error
    }
  }

  /** Bytes from the start up to the last one written. Blocks of zeros written last may not count before `finish`. */
  size(): number {
    return fstatSync(this.#fd).size
  }

  /** Writes `bytes` at `offset`. Whole blocks of zeros beyond what was written so far become holes. */
  writeAt(offset: number, bytes: Uint8Array): void {
    explainingFullDisk(this.place, () => {
      // What was written before may be other bytes: there, zeros must be written out.
      if (offset >= this.size()) writeSparse(this.#fd, bytes, offset)
      else writeAll(this.#fd, bytes, offset)
    })
  }

  /** Gives it exactly `size` bytes (a hole at the end, or a cut). */
  finish(size: number): void {
    explainingFullDisk(this.place, () => {
      ftruncateSync(this.#fd, size)
    })
  }

  /** SHA-256 of what it holds. */
  digest(shouldStop: () => boolean = () => false): Digest | undefined {
    const sha256 = createHash('sha256')
    const block = Buffer.allocUnsafe(BLOCK)
    let at = 0
    for (let read = readSync(this.#fd, block, 0, BLOCK, at); read > 0; read = readSync(this.#fd, block, 0, BLOCK, at)) {
      if (shouldStop()) return undefined
      sha256.update(block.subarray(0, read))
      at += read
    }
    return sha256.digest('hex') as Digest
  }

  /** Makes it durable. */
  sync(): void {
    explainingFullDisk(this.place, () => {
      fsyncSync(this.#fd)
    })
  }

  /** Lets go of it; it stays in staging. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#fd)
  }

  /** Lets go of it and removes it. */
  discard(): void {
    this.close()
    try {
      unlinkSync(this.place)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  static #openAt(root: HostPath, name: string, open: (place: string) => number): StagedFile {
    const place = stagedPlace(root, name)
    const staging = openStaging(root)
    try {
      return new StagedFile(place, open(placeAt(staging, name)))
    } finally {
      closeSync(staging)
    }
  }
}

/**
 * Opens what was left in staging. It may have got the mode of its entry, which may be read-only, and then not have come to its place: it is made
 * writable again. What cannot be, because it is not ours alone, loses its name in staging (ENOENT).
 */
function openLeft(place: string): number {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW
  try {
    return openSync(place, flags)
  } catch (error) {
    if (codeOf(error) !== 'EACCES') throw error
    if (!makeWritable(place)) unlinkSync(place)
    return openSync(place, flags)
  }
}

/** Where the staged file `name` of the folder at `root` is. */
export function stagedPlace(root: HostPath, name: string): HostPath {
  if (!isName(name)) throw new Error(`Cannot stage "${name}": it is not one name`)
  return `${root}/${OWN_DIR}/${STAGING}/${name}` as HostPath
}

/** Puts a directory where staging should be, in place of whatever else stands there: a link is removed, not followed. */
export function mendStaging(root: HostPath): void {
  try {
    closeSync(openStaging(root))
  } catch (error) {
    if (codeOf(error) !== 'ENOTDIR' && codeOf(error) !== 'ENOENT') throw error
    const own = openOwnDir(root)
    try {
      rmSync(placeAt(own, STAGING), { force: true })
    } finally {
      closeSync(own)
    }
    makeOwnDirs(root)
  }
}

/** Removes from staging what `keep` does not want: what a crash left there. Links are removed, not followed. Answers how many went. */
export function cleanStaging(root: HostPath, keep: (name: string) => boolean): number {
  let staging: number
  try {
    staging = openStaging(root)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0
    throw error
  }
  try {
    const litter = readdirSync(`/proc/self/fd/${staging}`).filter((name) => !keep(name))
    for (const name of litter) rmSync(placeAt(staging, name), { recursive: true, force: true })
    return litter.length
  } finally {
    closeSync(staging)
  }
}

/** Runs `write`; a full disk becomes a SyncError that says so. */
function explainingFullDisk<T>(place: HostPath, write: () => T): T {
  try {
    return write()
  } catch (cause) {
    const code = codeOf(cause)
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw cause
    throw new SyncError(`Cannot write "${place}": no space left on the disk, expected room for it`, {
      code: 'NO_SPACE',
      retry: 'later',
      hint: 'Free some space; it is tried again',
      cause,
    })
  }
}
