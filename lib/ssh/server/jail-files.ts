// Open files of the jail: regular files only, never through a symbolic link, small pieces at once and large ones off the event loop.

import * as fs from 'node:fs'
import { PieceQueue, readPieces, writePieces } from '../piece-queue.ts'
import { SftpError, type Attrs, type OpenForWriting, type ReadHandle, type WriteHandle } from './sftp-tree.ts'
import { STATUS } from './sftp-wire.ts'

/** From this size on a read or write leaves the event loop: below, the way there and back costs more than the copy. Bytes. */
const ASYNC_FROM = 32 * 1024

/** Without these a link would be followed, and opening a pipe would wait for its other end. */
const NEVER_ELSEWHERE = fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK

/** Numbers of inodes may be larger than a double holds. */
const EXACT = { bigint: true } as const

/** Nobody but the coordinator's own user reads what is staged. */
const STAGED_MODE = 0o600

/** Throws an `SftpError` when the file may not be used any more. */
export type DemandAccess = () => void

/** One open file that is written to. Every `began` is ended by `ended`. */
export interface WriteWatch {
  /** So many bytes are written from `position` on. */
  began(position: number, bytes: number): void
  /** `end`: where the write ended; `undefined` when it failed. */
  ended(end: number | undefined): void
  /** The file was cut or stretched. */
  resized(): void
  /** The handle is closed: nothing more is written through it. */
  closed(): void
}

/** A file that was opened for writing. `isNew`: this made it. `isCut`: this emptied it. */
export interface OpenedFile {
  readonly place: string
  readonly dev: bigint
  readonly ino: bigint
  readonly isNew: boolean
  readonly isCut: boolean
}

/** Is told of what happens to files in staging. */
export interface StagingWatch {
  opened(file: OpenedFile): WriteWatch
  /** The file is removed or gets another name. */
  forget(place: string): void
}

/** Opens the regular file `place`, or its first `end` bytes; each read demands access again. */
export function openForReading(place: string, demandAccess: DemandAccess, end = Infinity): ReadHandle {
  const fd = openRegular(place, fs.constants.O_RDONLY)
  const { size } = fs.fstatSync(fd)
  const queue = new PieceQueue((pieces, position) => readPieces(fd, pieces, position))
  return {
    size: Math.min(size, end),
    read: (target, position, length) => {
      demandAccess()
      return length < ASYNC_FROM
        ? fs.readSync(fd, target, 0, length, position)
        : queue.add(target.subarray(0, length), position)
    },
    stat: () => attrsOf(fs.fstatSync(fd)),
    close: () => {
      fs.closeSync(fd)
    },
  }
}

/** Opens or makes the regular file `place`; each write demands access again, and that `place` still names the file. */
export function openForWriting(
  place: string,
  how: OpenForWriting,
  { demandAccess, watch }: { readonly demandAccess: DemandAccess; readonly watch: StagingWatch | undefined },
): WriteHandle {
  const { O_WRONLY, O_CREAT, O_EXCL, O_TRUNC } = fs.constants
  const flags = O_WRONLY | (how.create ? O_CREAT : 0) | (how.exclusive ? O_EXCL : 0) | (how.truncate ? O_TRUNC : 0)
  const isNew = fs.lstatSync(place, { throwIfNoEntry: false }) === undefined
  const fd = openRegular(place, flags)
  const { ino, dev } = fs.fstatSync(fd, EXACT)
  const watched = watch?.opened({ place, dev, ino, isNew, isCut: how.truncate })
  // What was renamed out of staging is about to be verified and committed: a handle kept open must not reach it any more.
  const demand = () => {
    demandAccess()
    const now = fs.lstatSync(place, EXACT)
    if (now.ino !== ino || now.dev !== dev) throw new SftpError(STATUS.noSuchFile, 'No such file')
  }
  const queue = new PieceQueue(async (pieces, position) => {
    demand()
    return await writeLater(fd, pieces, { position, watched })
  })
  return {
    write: (bytes, position) => {
      if (bytes.length >= ASYNC_FROM || !queue.isIdle) return queue.add(bytes, position).then(nothing)
      demand()
      return writeNow(fd, bytes, { position, watched })
    },
    truncate: (size) => {
      demand()
      watched?.resized()
      fs.ftruncateSync(fd, size)
    },
    sync: () => syncFile(fd),
    stat: () => attrsOf(fs.fstatSync(fd)),
    close: () => {
      fs.closeSync(fd)
      watched?.closed()
    },
  }
}

/** What is told of a file or directory. */
export function attrsOf(stat: fs.Stats): Attrs {
  const seconds = Math.floor(stat.mtimeMs / 1000)
  return {
    kind: stat.isDirectory() ? 'dir' : 'file',
    size: stat.size,
    mode: stat.mode & 0o777,
    mtime: Math.min(Math.max(seconds, 0), 0xffff_ffff),
  }
}

function openRegular(place: string, flags: number): number {
  const fd = fs.openSync(place, flags | NEVER_ELSEWHERE, STAGED_MODE)
  if (fs.fstatSync(fd).isFile()) return fd
  fs.closeSync(fd)
  throw new SftpError(STATUS.permissionDenied, 'Not a regular file')
}

/** Small pieces, at once. */
function writeNow(
  fd: number,
  bytes: Buffer,
  { position, watched }: { readonly position: number; readonly watched: WriteWatch | undefined },
): void {
  watched?.began(position, bytes.length)
  let end: number | undefined
  try {
    writeAll(fd, bytes, position)
    end = position + bytes.length
  } finally {
    watched?.ended(end)
  }
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

/** Larger ones, off the event loop. */
async function writeLater(
  fd: number,
  pieces: readonly Buffer[],
  { position, watched }: { readonly position: number; readonly watched: WriteWatch | undefined },
): Promise<number> {
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0)
  watched?.began(position, bytes)
  let end: number | undefined
  try {
    const count = await writePieces(fd, pieces, position)
    if (count === bytes) end = position + bytes
    return count
  } finally {
    watched?.ended(end)
  }
}

function syncFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fsync(fd, (cause) => {
      if (cause === null) resolve()
      else reject(cause)
    })
  })
}

function nothing(): void {
  // All was written, or it would have failed.
}
