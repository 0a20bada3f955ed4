// The port of the SFTP server: a tree of files behind virtual paths.

import { STATUS, type StatusCode } from './sftp-wire.ts'

export type Awaitable<T> = T | Promise<T>

/** What is told of a file or directory. `mode`: the 9 permission bits. `mtime`: whole seconds since 1970. */
export interface Attrs {
  readonly kind: 'file' | 'dir'
  readonly size: number
  readonly mode: number
  readonly mtime: number
}

/** A file as it was when it was opened: never more than `size` bytes are read. */
export interface ReadHandle {
  readonly size: number
  /** Reads up to `length` bytes at `position` of the file into the start of `target`; how many came, 0 at the end. */
  read(target: Buffer, position: number, length: number): Awaitable<number>
  stat(): Awaitable<Attrs>
  close(): Awaitable<void>
}

export interface WriteHandle {
  /** Writes all of `bytes` at `position` of the file. `bytes` stay untouched until then. Calls may overlap: to the same bytes the later one wins. */
  write(bytes: Buffer, position: number): Awaitable<void>
  truncate(size: number): Awaitable<void>
  sync(): Awaitable<void>
  stat(): Awaitable<Attrs>
  close(): Awaitable<void>
}

export interface OpenForWriting {
  readonly create: boolean
  readonly exclusive: boolean
  readonly truncate: boolean
}

/**
 * Operations over virtual paths, given as lists of names: none empty, `.`, `..` or with a NUL; the empty list is the root.
 * They fail with an `SftpError`, or an error of the file system, whose code alone is told to the peer.
 */
export interface SftpTree {
  stat(names: readonly string[]): Awaitable<Attrs>
  list(names: readonly string[]): Awaitable<readonly { readonly name: string; readonly attrs: Attrs }[]>
  openRead(names: readonly string[]): Awaitable<ReadHandle>
  openWrite(names: readonly string[], how: OpenForWriting): Awaitable<WriteHandle>
  remove(names: readonly string[]): Awaitable<void>
  rename(from: readonly string[], to: readonly string[], how: { readonly replace: boolean }): Awaitable<void>
  makeDirectory(names: readonly string[]): Awaitable<void>
  removeDirectory(names: readonly string[]): Awaitable<void>
}

/** A request that fails with a status of SFTP. The message crosses the wire: it names no place of this machine. */
export class SftpError extends Error {
  readonly status: StatusCode

  constructor(status: StatusCode, message: string) {
    super(message)
    this.name = 'SftpError'
    this.status = status
  }
}

/** The status and sentence for any failure; the text of a file system's error stays here, for it names places of this machine. */
export function statusOf(cause: unknown): { status: StatusCode; message: string } {
  if (cause instanceof SftpError) return { status: cause.status, message: cause.message }
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return { status: STATUS.noSuchFile, message: 'No such file' }
    case 'EACCES':
    case 'EPERM':
    case 'ELOOP':
    case 'EROFS':
      return { status: STATUS.permissionDenied, message: 'Permission denied' }
    case 'EEXIST':
      return { status: STATUS.failure, message: 'File exists' }
    case 'ENOSPC':
    case 'EDQUOT':
      return { status: STATUS.failure, message: 'No space left on device' }
    default:
      return { status: STATUS.failure, message: 'Failure' }
  }
}
