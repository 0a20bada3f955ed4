// Assembles a content from stretches of others, in one pass that also hashes it; zeros become holes.

import { createHash, type Hash } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import { Refused } from '../errors.ts'
import { literalRuns } from '../core/patch.ts'
import type { PatchOp } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import { samePrint, type Fingerprint } from '../model/entry.ts'
import { nameOf, parentOf, type HostPath, type RelPath } from '../model/path.ts'
import { printOf } from './fingerprint.ts'
import { placeAt, type SafeDirs } from './safe-dir.ts'
import { makeDir } from './there.ts'
import { codeOf, isAbsence } from './trouble.ts'
import { writeSparse } from './write-bytes.ts'

const BLOCK = 1024 * 1024
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const WRITE = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK
const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

/** `sources`: where the contents that the ops name are. `literal`: the file of all data, one after the other; `undefined` when there is none. */
export interface AssembleObject {
  readonly ops: readonly PatchOp[]
  readonly sources: readonly { readonly file: HostPath; readonly offset: number }[]
  readonly literal: HostPath | undefined
  readonly sha256: Digest
  readonly size: number
  /** Where it grows, and where it is, durable and read-only, when it is right. */
  readonly scratch: HostPath
  readonly target: HostPath
}

/**
 * Makes an object on the coordinator. `false`, and nothing new is left: a source is missing or short, or what came out is not what was named.
 * Throws `Refused` 507 when the disk is full.
 */
export function assembleObject(job: AssembleObject, shouldStop: () => boolean = () => false): boolean {
  const opened: number[] = []
  let isKept = false
  try {
    const files = job.sources.map(({ file, offset }) => ({ fd: track(opened, openSync(file, READ)), offset }))
    const literal = job.literal === undefined ? undefined : track(opened, openSync(job.literal, READ))
    const target = track(opened, openSync(job.scratch, CREATE, 0o600))
    let dataAt = 0
    const made = new Maker(target, shouldStop)
    for (const op of job.ops) {
      if (op.kind === 'zero') made.zeros(op.length)
      else if (op.kind === 'copy') {
        const source = files[op.source]
        if (source !== undefined) made.copy(source.fd, source.offset + op.offset, op.length)
      } else if (literal !== undefined) {
        made.copy(literal, dataAt, op.length)
        dataAt += op.length
      }
      if (made.isShort) return false
    }
    ftruncateSync(target, job.size)
    if (made.digest() !== job.sha256) return false
    fchmodSync(target, 0o400)
    fsyncSync(target)
    makeDir(dirname(job.target)) // its parent is there, or this is not the folder
    renameSync(job.scratch, job.target)
    syncDirOf(job.target)
    isKept = true
    return true
  } catch (error) {
    if (isAbsence(error)) return false
    throw explained(job.target, error)
  } finally {
    for (const fd of opened) closeSync(fd)
    if (!isKept) rmSync(job.scratch, { force: true })
  }
}

/** Stretches that stand in local files are copied. `literal`: the file of all data, one after the other; `undefined`: it is in `place` already. */
export interface AssembleLocal {
  readonly place: HostPath
  readonly literal: HostPath | undefined
  readonly size: number
  readonly sources: readonly { readonly path: RelPath; readonly print: Fingerprint }[]
  readonly ops: readonly PatchOp[]
}

/**
 * Completes the staged file `place`, which reads as zeros but for the data that it may hold at its place already. Tells the SHA-256 of the whole;
 * `undefined` when a source is not, or did not stay, what was expected. Throws a Node-style error.
 */
export function assembleLocal(
  dirs: SafeDirs,
  { place, literal, size, sources, ops }: AssembleLocal,
  shouldStop: () => boolean,
): Digest | undefined {
  const opened: number[] = []
  try {
    const files: number[] = []
    for (const { path, print } of sources) {
      const parent = dirs.open(parentOf(path))
      if (parent === undefined) return undefined
      const fd = track(opened, openSync(placeAt(parent, nameOf(path)), READ))
      if (!isStill(fd, print)) return undefined
      files.push(fd)
    }
    const data = literal === undefined ? undefined : track(opened, openSync(literal, READ))
    const target = track(opened, openSync(place, WRITE))
    const made = new Maker(target, shouldStop)
    if (!makeLocal(made, ops, { files, data })) return undefined
    ftruncateSync(target, size)
    for (const [index, { print }] of sources.entries()) if (!isStill(files[index] ?? -1, print)) return undefined
    return made.digest()
  } catch (error) {
    if (isAbsence(error)) return undefined
    throw error
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

/** Does the steps; `false` when a stretch ended early, or the work is no longer wanted. */
function makeLocal(
  made: Maker,
  ops: readonly PatchOp[],
  { files, data }: { readonly files: readonly number[]; readonly data: number | undefined },
): boolean {
  let dataAt = 0
  for (const op of ops) {
    const file = op.kind === 'copy' ? files[op.source] : undefined
    if (op.kind === 'zero') made.zeros(op.length)
    else if (op.kind === 'data' && data === undefined) made.keep(op.length)
    else if (op.kind === 'data' && data !== undefined) {
      made.copy(data, dataAt, op.length)
      dataAt += op.length
    } else if (op.kind === 'copy' && file !== undefined) made.copy(file, op.offset, op.length)
    if (made.isShort) return false
  }
  return true
}

/**
 * Copies the literals of `ops` out of the file at `path` into the new file `place`, one after the other. `false`, and nothing is left: the file is not,
 * or did not stay, what was expected. Throws a Node-style error.
 */
export function extractLiterals(
  dirs: SafeDirs,
  file: { readonly path: RelPath; readonly print: Fingerprint },
  { ops, place }: { readonly ops: readonly PatchOp[]; readonly place: HostPath },
): boolean {
  const opened: number[] = []
  let isWhole = false
  try {
    const parent = dirs.open(parentOf(file.path))
    if (parent === undefined) return false
    const source = track(opened, openSync(placeAt(parent, nameOf(file.path)), READ))
    if (!isStill(source, file.print)) return false
    const target = track(opened, openSync(place, CREATE, 0o600))
    const made = new Maker(target, () => false)
    for (const run of literalRuns(ops)) {
      made.copy(source, run.offset, run.length)
      if (made.isShort) return false
    }
    ftruncateSync(target, made.size)
    isWhole = isStill(source, file.print)
    return isWhole
  } catch (error) {
    if (isAbsence(error)) return false
    throw error
  } finally {
    for (const fd of opened) closeSync(fd)
    if (!isWhole) rmSync(place, { force: true })
  }
}

/** Writes a file from its start on and hashes it on the way. */
class Maker {
  readonly #fd: number
  readonly #shouldStop: () => boolean
  readonly #sha256: Hash = createHash('sha256')
  readonly #block = Buffer.allocUnsafe(BLOCK)
  #zeroBlock: Buffer | undefined
  #at = 0
  /** A stretch ended before its length, or the work is no longer wanted. */
  isShort = false

  constructor(fd: number, shouldStop: () => boolean) {
    this.#fd = fd
    this.#shouldStop = shouldStop
  }

  get size(): number {
    return this.#at
  }

  copy(fd: number, offset: number, length: number): void {
    this.#read(fd, offset, length, (bytes, at) => {
      writeSparse(this.#fd, bytes, at)
    })
  }

  /** What is in the file already. */
  keep(length: number): void {
    this.#read(this.#fd, this.#at, length, () => undefined)
  }

  zeros(length: number): void {
    this.#zeroBlock ??= Buffer.alloc(BLOCK)
    for (let left = length; left > 0 && !this.isShort; left -= BLOCK) {
      this.#sha256.update(this.#zeroBlock.subarray(0, Math.min(left, BLOCK)))
      this.isShort = this.#shouldStop()
    }
    this.#at += length
  }

  digest(): Digest {
    return this.#sha256.digest('hex') as Digest
  }

  #read(fd: number, offset: number, length: number, take: (bytes: Buffer, at: number) => void): void {
    for (let done = 0; done < length;) {
      const read = readSync(fd, this.#block, 0, Math.min(BLOCK, length - done), offset + done)
      if (read === 0 || this.#shouldStop()) {
        this.isShort = true
        return
      }
      const bytes = this.#block.subarray(0, read)
      this.#sha256.update(bytes)
      take(bytes, this.#at)
      this.#at += read
      done += read
    }
  }
}

function track(opened: number[], fd: number): number {
  opened.push(fd)
  return fd
}

function isStill(fd: number, expect: Fingerprint): boolean {
  const now = printOf(fstatSync(fd, { bigint: true }))
  return now !== undefined && samePrint(expect, now)
}

function syncDirOf(place: HostPath): void {
  const dir = openSync(dirname(place), constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(dir)
  } finally {
    closeSync(dir)
  }
}

function explained(target: HostPath, cause: unknown): unknown {
  const code = codeOf(cause)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return cause
  return new Refused(`Cannot make content ${basename(target)}: no space left on the disk, wanted room for it`, {
    status: 507,
    code: 'NO_SPACE',
    retry: 'later',
    hint: 'Free some space on the coordinator; it is tried again',
    cause,
  })
}
