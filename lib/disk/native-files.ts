// Opens and looks at files by an open directory and a name, where a place says both: the way through /proc costs more than the call itself.

import { fstatSync, lstatSync } from 'node:fs'
import koffi from 'koffi'
import type { Fingerprint, Kind } from '../model/entry.ts'
import { printOf } from './fingerprint.ts'
import { AT_SYMLINK_NOFOLLOW, atOf, lastError, STATX_BASIC_STATS, statx } from './native.ts'

const AT_EMPTY_PATH = 0x1000
/** Not in Node's constants, which sets it by itself. */
const O_CLOEXEC = 0o2000000
const S_IFMT = 0o170000
const KINDS: ReadonlyMap<number, Kind> = new Map([
  [0o100000, 'file'],
  [0o040000, 'dir'],
  [0o120000, 'link'],
])

const libc = koffi.load(null)
const openat: (dirFd: number, name: string, flags: number, mode: number) => number = libc.func('openat', 'int', [
  'int',
  'str',
  'int',
  'uint',
])
const close: (fd: number) => number = libc.func('close', 'int', ['int'])

/**
 * `struct statx` of statx(2), which is the same on every machine: in halves (mode), and in eighths (ino, size, seconds of ctime and mtime, each
 * with nanoseconds in the 4 bytes after it). The inode is read with a sign, as Node tells it: so it is in every base.
 */
class RawStatx {
  readonly bytes = new Uint8Array(256)
  readonly halves = new Uint16Array(this.bytes.buffer)
  readonly quarters = new Uint32Array(this.bytes.buffer)
  readonly eighths = new BigInt64Array(this.bytes.buffer)
}

/** Written and read within one call. */
const RAW = new RawStatx()
const MODE = 14
const INO = 4
const SIZE = 5
const CTIME = 12
const MTIME = 14

/**
 * Opens the file at `place` (see `placeAt`). Close it with `closeFile`: a thread of Node keeps account of what it opened itself, and only of
 * that. Throws a Node-style error.
 */
export function openFile(place: string, flags: number, mode = 0): number {
  const { dirFd, name } = atOf(place)
  for (;;) {
    const fd = openat(dirFd, name, flags | O_CLOEXEC, mode)
    if (fd >= 0) return fd
    const error = lastError('openat', place)
    if (error.code !== 'EINTR') throw error
  }
}

/** Closes what `openFile` opened. */
export function closeFile(fd: number): void {
  close(fd) // Linux has closed it whatever it answers.
}

/** What stands at `place`; `special` for a pipe, socket or device. Throws a Node-style error when that cannot be known. */
export function lookAtPlace(place: string): Fingerprint | 'special' | undefined {
  const { dirFd, name } = atOf(place)
  if (statx?.(dirFd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, RAW.bytes) === 0) return printOfStatx() ?? 'special'
  // Nothing there, an error that Node words better, or no such call here.
  const stats = lstatSync(place, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? undefined : (printOf(stats) ?? 'special')
}

/** The fingerprint of the open file `fd`; `undefined` for a pipe, socket or device. Throws a Node-style error. */
export function printOfFile(fd: number): Fingerprint | undefined {
  if (statx?.(fd, '', AT_EMPTY_PATH, STATX_BASIC_STATS, RAW.bytes) === 0) return printOfStatx()
  return printOf(fstatSync(fd, { bigint: true }))
}

/** The fingerprint that statx(2) has written; `undefined` for a pipe, socket or device. */
export function printOfStatx(raw: Omit<RawStatx, 'bytes'> = RAW): Fingerprint | undefined {
  const mode = raw.halves[MODE] ?? 0
  const kind = KINDS.get(mode & S_IFMT)
  if (kind === undefined) return undefined
  return {
    kind,
    size: Number(raw.eighths[SIZE]),
    mtimeNs: nanoseconds(raw, MTIME),
    ctimeNs: nanoseconds(raw, CTIME),
    ino: String(raw.eighths[INO]),
    mode: mode & 0o777,
  }
}

/** The moment whose seconds are at `index`, as decimal nanoseconds. */
function nanoseconds({ quarters, eighths }: Omit<RawStatx, 'bytes'>, index: number): string {
  const seconds = eighths[index] ?? 0n
  const rest = quarters[2 * index + 2] ?? 0
  if (seconds > 0n) return `${seconds}${String(rest).padStart(9, '0')}`
  return (seconds * 1_000_000_000n + BigInt(rest)).toString()
}
