// Covers the directories of a folder: a watch for each that is not ignored, a place in the list of polled ones where that is refused.

import { lstatSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { SyncError } from '../errors.ts'
import { type DirPath, type HostPath, isName, joinPath, OWN_DIR, placeOf, type RelPath, ROOT } from '../model/path.ts'
import { IN, type InotifyPort } from './inotify.ts'
import { topmost, WatchMap, type WatchNode } from './watch-map.ts'

const MASK =
  IN.CLOSE_WRITE |
  IN.CREATE |
  IN.MODIFY |
  IN.ATTRIB |
  IN.DELETE |
  IN.MOVED_FROM |
  IN.MOVED_TO |
  IN.DELETE_SELF |
  IN.MOVE_SELF |
  IN.ONLYDIR |
  IN.EXCL_UNLINK

/** Directories looked at together: enough to hide the waits of the disk, few enough to leave the event loop free. */
const WALK_WIDTH = 8

export class Coverage {
  readonly map = new WatchMap()
  readonly #root: HostPath
  readonly #onStray: () => void
  /** Directories without a watch, each with the number of directories that it leaves unwatched. None stands below another. */
  readonly #polled = new Map<WatchNode, number>()
  #inotify: InotifyPort | undefined
  /** No watch was left when last asked for; not asked for again before `askAgain`. */
  #isFull = false
  #isOpen = true

  /** The ignore rules now in force. */
  ignored: (path: RelPath, isDir: boolean) => boolean

  /** `onStray`: a watched directory went to a place that only a walk of the whole folder can find. */
  constructor(root: HostPath, ignored: (path: RelPath, isDir: boolean) => boolean, onStray: () => void) {
    this.#root = root
    this.ignored = ignored
    this.#onStray = onStray
  }

  /** Takes the instance that sets the watches; without one everything is polled. */
  use(inotify: InotifyPort): void {
    this.#inotify = inotify
  }

  get hasInotify(): boolean {
    return this.#inotify !== undefined
  }

  /** How many directories have no watch because none is left; 0 when that is not the reason, or when there are none. */
  get missing(): number {
    return this.#isFull ? [...this.#polled.values()].reduce((sum, count) => sum + count, 0) : 0
  }

  /** The uppermost directories that are polled. */
  get polledDirs(): DirPath[] {
    return topmost([...this.#polled.keys()].map((node) => this.map.pathOf(node)).filter((dir) => dir !== undefined))
  }

  get isWhole(): boolean {
    return this.#polled.size === 0
  }

  isPolled(node: WatchNode): boolean {
    return this.#polled.has(node)
  }

  /** From now on watches are asked for again, though none was left. */
  askAgain(): void {
    this.#isFull = false
  }

  /** Whether a directory stands where the folder should be. */
  hasRoot(): boolean {
    return isDirectory(this.#root, statSync)
  }

  close(): void {
    this.#isOpen = false
    this.#inotify?.close()
    this.#inotify = undefined
  }

  /** Puts a directory that was moved within the folder at its new place: its watches came along. */
  arrive(moved: WatchNode | undefined, parent: WatchNode, name: string, isIgnored: boolean): void {
    if (moved === undefined) return
    const isKnown = parent.children?.get(name)?.wd !== undefined // A walk found it here before its events were read.
    if (isIgnored || (isKnown && moved.wd === undefined)) this.drop(moved)
    else {
      const there = this.map.attach(moved, parent, name)
      if (there !== undefined) this.drop(there)
    }
  }

  /** Stops watching `node` and all below. */
  drop(node: WatchNode): void {
    this.map.detach(node)
    this.#unwatch(node)
  }

  #unwatch(node: WatchNode): void {
    this.map.forget(node, (each, wd) => {
      this.#polled.delete(each)
      if (wd !== undefined) this.#inotify?.remove(wd)
    })
  }

  /** Watches `top` and all below, a few directories at a time. False when nothing stands there. Walks must not overlap. */
  async walk(top: WatchNode): Promise<boolean> {
    const due = [top]
    while (due.length > 0 && this.#isOpen) {
      const found = await Promise.all(due.splice(-WALK_WIDTH).map((node) => this.#visit(node)))
      for (const children of found) for (const child of children) due.push(child)
    }
    return top.wd !== undefined || this.#polled.has(top)
  }

  /** Watches one directory and returns those right below. It is read after it is watched: nothing can come to be in between. */
  async #visit(node: WatchNode): Promise<readonly WatchNode[]> {
    const before = this.map.pathOf(node)
    if (before === undefined) return []
    const state = this.#cover(node, before)
    if (state === 'absent') {
      this.drop(node)
      return []
    }
    const names = await this.#dirsIn(before)
    if (state === 'polled') {
      const count = await this.#countDirs(before, names)
      if (this.#polled.has(node)) this.#polled.set(node, count)
      return []
    }
    const dir = this.map.pathOf(node) // It may have been moved meanwhile.
    if (dir === undefined) return []
    if (names === 'unreadable') {
      this.#polled.set(node, 1) // What is below is not known, so not watched.
      return []
    }
    const wanted = new Set(names.filter((name) => this.#isWanted(dir, name)))
    for (const child of [...(node.children?.values() ?? [])]) if (!wanted.has(child.name)) this.drop(child)
    return [...wanted].map((name) => this.map.child(node, name))
  }

  /** Sets the watch of `node`. `polled`: it cannot be watched now. `absent`: no directory stands there. */
  #cover(node: WatchNode, dir: DirPath): 'watched' | 'polled' | 'absent' {
    if (this.#inotify === undefined || (this.#isFull && node.wd === undefined)) return this.#poll(node, dir)
    try {
      // The folder itself may be named by a link; inside it links are never followed.
      const mask = node === this.map.root ? MASK : MASK | IN.DONT_FOLLOW
      const former = this.map.bind(node, this.#inotify.add(placeOf(this.#root, dir), mask))
      // The directory that was watched here is gone, or, when its watch is still alive, moved to a place that is not known yet.
      if (former !== undefined && this.#inotify.remove(former)) this.#onStray()
      if (node.wd === undefined) return 'absent' // A second mount of a directory above: what is in it is told there.
      this.#polled.delete(node)
      return 'watched'
    } catch (error) {
      const code = codeOf(error)
      if (code === undefined) throw error
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return 'absent'
      if (code === 'ENOSPC') this.#isFull = true
      return this.#poll(node, dir)
    }
  }

  #poll(node: WatchNode, dir: DirPath): 'polled' | 'absent' {
    const place = placeOf(this.#root, dir)
    if (!isDirectory(place, node === this.map.root ? statSync : lstatSync)) return 'absent'
    const count = this.#polled.get(node) ?? 1
    this.#unwatch(node)
    this.#polled.set(node, count)
    return 'polled'
  }

  #isWanted(dir: DirPath, name: string): boolean {
    return isName(name) && !(dir === ROOT && name === OWN_DIR) && !this.ignored(joinPath(dir, name), true)
  }

  /** Names of the directories in `dir`, none when it is gone. Node itself asks `lstat` where the file system gives no types. */
  async #dirsIn(dir: DirPath): Promise<readonly string[] | 'unreadable'> {
    try {
      const entries = await readdir(placeOf(this.#root, dir), { withFileTypes: true })
      return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      return code === 'ENOENT' || code === 'ENOTDIR' ? [] : 'unreadable'
    }
  }

  /** How many directories stand at and below `top`, whose directories are `names`. */
  async #countDirs(top: DirPath, names: readonly string[] | 'unreadable'): Promise<number> {
    let count = 1
    const due: RelPath[] = []
    const note = (dir: DirPath, found: readonly string[] | 'unreadable'): void => {
      if (found === 'unreadable') return
      for (const name of found) if (this.#isWanted(dir, name)) due.push(joinPath(dir, name))
    }
    note(top, names)
    for (let dir = due.pop(); dir !== undefined && this.#isOpen; dir = due.pop()) {
      count++
      note(dir, await this.#dirsIn(dir))
    }
    return count
  }
}

function isDirectory(place: HostPath, look: typeof lstatSync): boolean {
  try {
    return look(place, { throwIfNoEntry: false })?.isDirectory() === true
  } catch {
    return false // A file stands in the way (ENOTDIR), or the way is closed: nothing that could be watched.
  }
}

/** The name of the errno in `error`; undefined when it is a bug. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof SyncError ? error.code : undefined
}
