// Opens directories below a folder's root without ever following a symbolic link on the way.

import { closeSync, constants, openSync, readlinkSync, realpathSync } from 'node:fs'
import { ROOT, nameOf, parentOf } from '../model/path.ts'
import type { DirPath, HostPath } from '../model/path.ts'
import { isAbsence } from './trouble.ts'

/** Linux: name a place without reading rights on it. Not in Node's constants. */
export const O_PATH = 0o10000000
const OPEN_DIR = O_PATH | constants.O_DIRECTORY

/** How many directories stay open. A caller may hold a descriptor only until it has asked for this many others. */
const CAPACITY = 64

/** Opens `name` in the directory `parentFd`, which must be a real directory. Throws a Node-style error (ENOTDIR for a link). */
export function openDirAt(parentFd: number, name: string): number {
  return openSync(placeAt(parentFd, name), OPEN_DIR | constants.O_NOFOLLOW)
}

/** The place `name` in the open directory `dirFd`, whatever the directory is called by now. */
export function placeAt(dirFd: number, name: string): string {
  return `/proc/self/fd/${dirFd}/${name}`
}

/** A descriptor of its own for the open directory `dirFd`, which stays open whatever becomes of that one. */
export function holdDir(dirFd: number): { readonly fd: number } & Disposable {
  const fd = openSync(`/proc/self/fd/${dirFd}`, OPEN_DIR)
  return { fd, [Symbol.dispose]: () => closeSync(fd) }
}

/** Opens the directory `place`, which may be reached through links. Throws a Node-style error. */
export function openRoot(place: HostPath): number {
  return openSync(place, OPEN_DIR)
}

/**
 * Opens directories for places that follow one another without a pause, as the files of a batch do: the directory that was asked for last is not
 * walked to again. When it is moved meanwhile, that is as if it had been moved a moment later. Nobody else may ask `dirs` in between.
 */
export class DirsInRow {
  readonly #dirs: SafeDirs
  #last: DirPath | undefined
  #fd: number | undefined

  constructor(dirs: SafeDirs) {
    this.#dirs = dirs
  }

  /** As `SafeDirs.open`. */
  open(dir: DirPath): number | undefined {
    if (this.#fd !== undefined && this.#last === dir) return this.#fd
    this.#fd = undefined // it may be closed on the way, even when this one cannot be opened
    this.#fd = this.#dirs.open(dir)
    this.#last = dir
    return this.#fd
  }

  /** The next is walked to, whatever it is. */
  forget(): void {
    this.#fd = undefined
  }
}

/**
 * The directories of one folder, opened as they are asked for. The root may be reached through links, nothing below it is. A descriptor
 * that is used again is known to be still the directory of that name: one that was moved, removed or replaced is opened anew.
 */
export class SafeDirs implements Disposable {
  readonly root: HostPath
  readonly #capacity: number
  readonly #open = new Map<DirPath, number>()
  #realRoot = ''

  constructor(root: HostPath, capacity: number = CAPACITY) {
    this.root = root
    this.#capacity = Math.max(capacity, 4)
  }

  /**
   * A descriptor (O_PATH: for names below it, not for reading) of the directory `dir`; `undefined` when no real directory stands there. It
   * stays ours: do not close it. Throws a Node-style error when that cannot be known (EACCES, EMFILE…).
   */
  open(dir: DirPath): number | undefined {
    const known = this.#open.get(dir)
    if (known !== undefined) {
      if (this.#isStill(dir, known)) return known
      this.#forget(dir, known)
    }
    try {
      if (dir === ROOT) return this.#keep(ROOT, this.#openRoot())
      const parent = this.open(parentOf(dir))
      return parent === undefined ? undefined : this.#keep(dir, openDirAt(parent, nameOf(dir)))
    } catch (error) {
      if (isAbsence(error)) return undefined
      throw error
    }
  }

  /** Closes all descriptors; the object can be used again after that. */
  close(): void {
    for (const fd of this.#open.values()) closeSync(fd)
    this.#open.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #openRoot(): number {
    this.close()
    this.#realRoot = realpathSync(this.root)
    return openRoot(this.root)
  }

  #isStill(dir: DirPath, fd: number): boolean {
    try {
      const real = this.#realRoot === '/' ? '' : this.#realRoot
      const wanted = dir === ROOT ? this.#realRoot : `${real}/${dir}`
      if (readlinkSync(`/proc/self/fd/${fd}`) !== wanted) return false
      this.#open.delete(dir) // to the young end
      this.#open.set(dir, fd)
      return true
    } catch {
      return false // the path is too long to be told: walk again
    }
  }

  #keep(dir: DirPath, fd: number): number {
    for (const [oldest, oldFd] of this.#open) {
      if (this.#open.size < this.#capacity) break
      if (oldest !== ROOT) this.#forget(oldest, oldFd)
    }
    this.#open.set(dir, fd)
    return fd
  }

  #forget(dir: DirPath, fd: number): void {
    this.#open.delete(dir)
    closeSync(fd)
  }
}
