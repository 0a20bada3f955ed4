// Calls libc for what Node has no call for: nanosecond times, syncfs, flock and renameat2.

import { getSystemErrorName } from 'node:util'
import koffi from 'koffi'

export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
const OPEN_DIRS = '/proc/self/fd/'
const UTIME_OMIT = (1n << 30n) - 2n
const LOCK_EX_NB = 2 | 4
const RENAME_NOREPLACE = 1
const RENAME_EXCHANGE = 2
const NS_PER_S = 1_000_000_000n

// The C library that Node itself runs on. One load per thread; nothing here is ever written to again.
const libc = koffi.load(null)
const utimensat: (fd: number, path: string, times: BigInt64Array, flags: number) => number = libc.func(
  'utimensat',
  'int',
  ['int', 'str', 'void *', 'int'],
)
const futimens: (fd: number, times: BigInt64Array) => number = libc.func('futimens', 'int', ['int', 'void *'])
const syncfs: (fd: number) => number = libc.func('syncfs', 'int', ['int'])
const flock: (fd: number, operation: number) => number = libc.func('flock', 'int', ['int', 'int'])
const renameat2 = bindRenameat2()

/** Asks for all that `lstat` tells. */
export const STATX_BASIC_STATS = 0x7ff
type Statx = (dirFd: number, name: string, flags: number, mask: number, into: Uint8Array | Uint32Array) => number
/** statx(2); `undefined` where the C library is too old for it. */
export const statx: Statx | undefined = bindStatx()

/**
 * Sets the mtime of `place` (decimal nanoseconds since 1970, may be negative) to the nanosecond and leaves the atime alone. A link is not
 * followed, unless `follow` is given (for `/proc/self/fd/N`). Throws a Node-style error with `code`.
 */
export function setTimesNs(place: string, mtimeNs: string, follow?: 'follow'): void {
  const flags = follow === 'follow' ? 0 : AT_SYMLINK_NOFOLLOW
  if (utimensat(AT_FDCWD, place, timesOf(mtimeNs), flags) !== 0) throw lastError('utimensat', place)
}

/** Sets the mtime of the open file `fd`, as `setTimesNs` does. */
export function setFdTimesNs(fd: number, mtimeNs: string): void {
  if (futimens(fd, timesOf(mtimeNs)) !== 0) throw lastError('futimens')
}

/** Makes everything written to the file system that `fd` is on durable: one flush for any number of files. Throws a Node-style error. */
export function syncFileSystem(fd: number): void {
  if (syncfs(fd) !== 0) throw lastError('syncfs')
}

/** Takes the exclusive lock of the open file `fd` without waiting; `false` when another holds it. It ends when `fd` is closed. */
export function lockFile(fd: number): boolean {
  if (flock(fd, LOCK_EX_NB) === 0) return true
  const error = lastError('flock')
  if (error.code === 'EAGAIN' || error.code === 'EWOULDBLOCK') return false
  throw error
}

/** Renames, but never onto something. `unsupported`: this kernel or file system cannot; nothing was done. Throws a Node-style error. */
export function renameNoReplace(from: string, to: string): 'done' | 'exists' | 'unsupported' {
  const error = tryRename(from, to, RENAME_NOREPLACE)
  if (error === undefined) return 'done'
  if (error === 'unsupported') return 'unsupported'
  if (error.code === 'EEXIST') return 'exists'
  throw error
}

/** Swaps what stands at `a` and at `b`, atomically. `missing`: nothing stands at one of them. Throws a Node-style error. */
export function renameExchange(a: string, b: string): 'done' | 'missing' | 'unsupported' {
  const error = tryRename(a, b, RENAME_EXCHANGE)
  if (error === undefined) return 'done'
  if (error === 'unsupported') return 'unsupported'
  if (error.code === 'ENOENT') return 'missing'
  throw error
}

/**
 * `place` as the calls of libc that end in `at` take it. A name in an open directory (`placeAt`) goes as that directory and the name, which means
 * the same and spares the way through /proc.
 */
export function atOf(place: string): { readonly dirFd: number; readonly name: string } {
  const slash = place.startsWith(OPEN_DIRS) ? place.indexOf('/', OPEN_DIRS.length) : -1
  if (slash < 0 || slash === place.length - 1 || place.includes('/', slash + 1)) return { dirFd: AT_FDCWD, name: place }
  return { dirFd: Number(place.slice(OPEN_DIRS.length, slash)), name: place.slice(slash + 1) }
}

function tryRename(from: string, to: string, flags: number): NativeError | 'unsupported' | undefined {
  if (renameat2 === undefined) return 'unsupported'
  const [source, target] = [atOf(from), atOf(to)]
  if (renameat2(source.dirFd, source.name, target.dirFd, target.name, flags) === 0) return undefined
  const error = lastError('renameat2', from)
  return error.code === 'EINVAL' || error.code === 'ENOSYS' || error.code === 'ENOTSUP' ? 'unsupported' : error
}

type Renameat2 = (fromFd: number, from: string, toFd: number, to: string, flags: number) => number

function bindStatx(): Statx | undefined {
  try {
    return libc.func('statx', 'int', ['int', 'str', 'int', 'uint', 'void *'])
  } catch {
    return undefined
  }
}

function bindRenameat2(): Renameat2 | undefined {
  try {
    return libc.func('renameat2', 'int', ['int', 'str', 'int', 'str', 'uint'])
  } catch {
    return undefined // an old C library: callers know how to do without
  }
}

/** `struct timespec[2]`: atime untouched, then mtime; nanoseconds are always counted upwards from the second. */
function timesOf(mtimeNs: string): BigInt64Array {
  const ns = BigInt(mtimeNs)
  const rest = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S
  return new BigInt64Array([0n, UTIME_OMIT, (ns - rest) / NS_PER_S, rest])
}

export type NativeError = Error & { code: string; syscall: string; path?: string }

/** The error of the call that has just failed. */
export function lastError(syscall: string, path?: string): NativeError {
  const code = getSystemErrorName(-koffi.errno())
  const at = path === undefined ? '' : ` '${path}'`
  return Object.assign(new Error(`${code}: ${syscall}${at}`), {
    code,
    syscall,
    ...(path === undefined ? {} : { path }),
  })
}
