// Watches a whole folder: keeps one watch on every directory that is not ignored and tells what may have changed.

import { isUtf8 } from 'node:buffer'
import { lstatSync } from 'node:fs'
import type { Clock } from '../daemon/clock.ts'
import { SyncError } from '../errors.ts'
import {
  type DirPath,
  type HostPath,
  isName,
  joinPath,
  nameOf,
  OWN_DIR,
  parentOf,
  placeOf,
  type RelPath,
  ROOT,
} from '../model/path.ts'
import type { Problem } from '../model/problem.ts'
import type { WatchEvent } from '../model/watch-event.ts'
import { codeOf, Coverage } from './coverage.ts'
import { EventBatch } from './event-batch.ts'
import { IN, Inotify, type InotifyPort, type RawEvent } from './inotify.ts'
import { limitProblem } from './limits.ts'
import { topmost, type WatchMap, type WatchNode } from './watch-map.ts'

export interface TreeWatcherOptions {
  readonly root: HostPath
  readonly ignored: (path: RelPath, isDir: boolean) => boolean
  /** Gets events in order, one batch for each wake-up. Must not wait. */
  readonly onEvents: (events: readonly WatchEvent[]) => void
  /** Gets one problem when a limit of inotify is reached; what is not watched is polled from then on. */
  readonly onLimit: (problem: Problem) => void
  readonly clock: Clock
  /** How often what is not watched is reported for a rescan. Milliseconds. */
  readonly pollMs?: number
  /** How often watching it is tried again. Milliseconds. */
  readonly retryMs?: number
  /** Opens an inotify instance; throws `InotifyRefused`. */
  readonly openInotify?: (onEvents: (events: readonly RawEvent[]) => void) => InotifyPort
}

type Why = Extract<WatchEvent, { kind: 'tree' }>['why']

const COMES_OR_GOES = IN.CREATE | IN.MOVED_TO | IN.DELETE | IN.MOVED_FROM

/**
 * Watches `root` and every directory below that is not ignored; symbolic links are never followed. Every change is told at least once, by an
 * event of its path or of a tree around it, after it happened: a new directory is told as a tree once it is watched.
 */
export class TreeWatcher implements AsyncDisposable {
  readonly #options: TreeWatcherOptions
  readonly #signal: AbortSignal
  readonly #coverage: Coverage
  readonly #map: WatchMap
  readonly #batch = new EventBatch()
  /** Directories moved away in this batch, by cookie. */
  readonly #moving = new Map<number, WatchNode>()
  /** Directories to be walked, with the reason that their event will tell. */
  readonly #due = new Map<DirPath, Why>()
  #walking: Promise<void> | undefined
  #timer: Disposable | undefined
  #retryAt = 0
  #isLimitTold = false
  #isRootLost = false
  /** The first walk is over: walks never overlap, or one could drop what another just found. */
  #isStarted = false
  #isOpen = true

  /** Resolves when the whole tree is watched, or polled where it cannot be. Throws when `root` is no directory or cannot be watched. */
  static async open(options: TreeWatcherOptions, signal: AbortSignal): Promise<TreeWatcher> {
    signal.throwIfAborted()
    const watcher = new TreeWatcher(options, signal)
    try {
      await watcher.#start()
      signal.throwIfAborted()
      return watcher
    } catch (error) {
      await watcher[Symbol.asyncDispose]()
      signal.throwIfAborted()
      throw error
    }
  }

  private constructor(options: TreeWatcherOptions, signal: AbortSignal) {
    this.#options = options
    this.#coverage = new Coverage(options.root, options.ignored, () => {
      this.#walkSoon(ROOT, 'lost')
    })
    this.#map = this.#coverage.map
    this.#signal = signal
    signal.addEventListener('abort', this.#close, { once: true })
  }

  /** How many watches are in use. */
  get watches(): number {
    return this.#map.size
  }

  /** Takes new ignore rules; resolves when what they ignore is no longer watched and what they no longer ignore is. Tells a tree of the root. */
  async setIgnored(ignored: (path: RelPath, isDir: boolean) => boolean): Promise<void> {
    this.#coverage.ignored = ignored
    this.#walkSoon(ROOT, 'new')
    await this.#walking
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    await this.#walking?.catch(() => undefined) // Its error was thrown already where it can be seen.
  }

  readonly #close = (): void => {
    this.#signal.removeEventListener('abort', this.#close)
    this.#isOpen = false
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    this.#coverage.close()
    this.#due.clear()
  }

  async #start(): Promise<void> {
    this.#openInotify()
    const isThere = await this.#coverage.walk(this.#map.root)
    if (!isThere) {
      throw new SyncError(`Cannot watch "${this.#options.root}": it is no directory, one is wanted`, {
        code: 'NO_ROOT',
      })
    }
    this.#afterWalk()
    this.#isStarted = true
    if (this.#due.size > 0) this.#startWalking()
  }

  /** Opens an instance where there is none; without one the whole folder is polled. */
  #openInotify(): void {
    if (this.#coverage.hasInotify) return
    const open = this.#options.openInotify ?? ((onEvents): InotifyPort => Inotify.open(onEvents))
    try {
      this.#coverage.use(
        open((events) => {
          this.#take(events)
        }),
      )
    } catch (error) {
      const code = codeOf(error)
      if (code !== 'EMFILE' && code !== 'ENFILE') throw error
      this.#tellLimit(() => limitProblem({ kind: 'instances' }))
    }
  }

  // From here on: the events of the kernel.

  #take(events: readonly RawEvent[]): void {
    if (!this.#isOpen) return
    for (const [index, raw] of events.entries()) this.#takeOne(raw, events[index + 1])
    // Moved out of the folder, or its arrival comes with the next batch and is then walked as new.
    for (const node of this.#moving.values()) this.#coverage.drop(node)
    this.#moving.clear()
    this.#flush()
  }

  #takeOne(raw: RawEvent, next: RawEvent | undefined): void {
    if ((raw.mask & IN.Q_OVERFLOW) !== 0) {
      this.#batch.forgetOpen()
      this.#walkSoon(ROOT, 'overflow')
      return
    }
    const node = this.#map.byWd(raw.wd)
    if (node === undefined) return
    if (raw.name === undefined) {
      this.#takeOwn(node, raw.mask)
      return
    }
    const dir = this.#map.pathOf(node)
    if (dir === undefined) return // Below a directory that is being moved: its new place is walked as a whole.
    const name = isUtf8(raw.name) ? raw.name.toString() : undefined
    if (name === undefined || !isName(name)) {
      // It cannot be synced, so what it holds does not matter; that it came or went does, for the scan to tell.
      if ((raw.mask & COMES_OR_GOES) !== 0) this.#batch.add({ kind: 'tree', dir, why: 'lost' })
      return
    }
    if (dir === ROOT && name === OWN_DIR) return
    const isDir = (raw.mask & IN.ISDIR) !== 0
    if (isDir) this.#takeDir(raw, node, name)
    else this.#takeFile(raw, joinPath(dir, name), next)
  }

  /** An event of the watched directory itself. */
  #takeOwn(node: WatchNode, mask: number): void {
    const path = this.#map.pathOf(node)
    if (node === this.#map.root && (mask & (IN.DELETE_SELF | IN.MOVE_SELF | IN.UNMOUNT | IN.IGNORED)) !== 0) {
      this.#loseRoot()
    } else if ((mask & IN.DELETE_SELF) !== 0) {
      this.#coverage.drop(node)
    } else if ((mask & (IN.IGNORED | IN.UNMOUNT)) !== 0) {
      this.#coverage.drop(node)
      if (path !== undefined) this.#walkSoon(path, 'lost')
    } else if ((mask & IN.ATTRIB) !== 0 && path !== undefined && path !== ROOT) {
      this.#batch.add({ kind: 'whole', path })
    }
  }

  #takeFile({ mask, wd, name }: RawEvent, path: RelPath, next: RawEvent | undefined): void {
    if (this.#coverage.ignored(path, false)) return
    if ((mask & (IN.DELETE | IN.MOVED_FROM)) !== 0) this.#batch.add({ kind: 'gone', path })
    else if ((mask & (IN.CLOSE_WRITE | IN.MOVED_TO)) !== 0) this.#batch.add({ kind: 'whole', path })
    else if ((mask & IN.MODIFY) !== 0) this.#batch.add({ kind: 'open', path })
    else if ((mask & IN.ATTRIB) !== 0) this.#batch.add({ kind: this.#batch.isOpen(path) ? 'open' : 'whole', path })
    else if ((mask & IN.CREATE) !== 0) {
      const isWritten =
        next !== undefined &&
        next.wd === wd &&
        (next.mask & (IN.MODIFY | IN.CLOSE_WRITE)) !== 0 &&
        name !== undefined &&
        next.name?.equals(name) === true
      const kind = isWritten || this.#willBeClosed(path) ? 'open' : 'whole'
      this.#batch.add({ kind, path })
    }
  }

  /** Whether a close after writing can be expected of what was created at `path`: of links, hard or symbolic, none will come. */
  #willBeClosed(path: RelPath): boolean {
    try {
      const stat = lstatSync(placeOf(this.#options.root, path), { throwIfNoEntry: false })
      return stat === undefined || (stat.isFile() && stat.nlink === 1)
    } catch {
      return true // It cannot be looked at now; the scan will tell why.
    }
  }

  #takeDir({ mask, cookie }: RawEvent, parent: WatchNode, name: string): void {
    const dir = this.#map.pathOf(parent)
    if (dir === undefined) return
    const path = joinPath(dir, name)
    const node = parent.children?.get(name)
    const isIgnored = this.#coverage.ignored(path, true)
    if ((mask & IN.MOVED_FROM) !== 0 && node !== undefined) {
      this.#map.detach(node)
      this.#moving.set(cookie, node)
    } else if ((mask & IN.DELETE) !== 0 && node !== undefined) {
      this.#coverage.drop(node)
    } else if ((mask & IN.MOVED_TO) !== 0) {
      this.#coverage.arrive(this.#moving.get(cookie), parent, name, isIgnored)
      this.#moving.delete(cookie)
    }
    if (isIgnored) return
    if ((mask & (IN.DELETE | IN.MOVED_FROM)) !== 0) this.#batch.add({ kind: 'gone', path })
    else if ((mask & (IN.CREATE | IN.MOVED_TO)) !== 0) this.#walkSoon(path, 'new')
    else if ((mask & IN.ATTRIB) !== 0) {
      this.#batch.add({ kind: 'whole', path })
      if (node === undefined || this.#coverage.isPolled(node)) this.#walkSoon(path, 'lost')
    }
  }

  #loseRoot(): void {
    if (this.#isRootLost || !this.#isOpen) return
    this.#coverage.drop(this.#map.root)
    this.#due.clear()
    this.#isRootLost = true
    this.#batch.add({ kind: 'tree', dir: ROOT, why: 'lost' })
    this.#armTimer()
  }

  #flush(): void {
    const events = this.#batch.take()
    if (this.#isOpen && events.length > 0) this.#options.onEvents(events)
  }

  // From here on: walks, one after the other.

  #walkSoon(dir: DirPath, why: Why): void {
    this.#due.set(dir, why)
    if (this.#isStarted) this.#startWalking()
  }

  #startWalking(): void {
    this.#walking ??= this.#walkDue()
      .catch((error: unknown) => {
        process.nextTick(() => {
          throw error
        })
      })
      .finally(() => {
        this.#walking = undefined
        if (this.#isOpen && this.#due.size > 0) this.#startWalking()
      })
  }

  async #walkDue(): Promise<void> {
    while (this.#isOpen && this.#due.size > 0) {
      const due = new Map(this.#due)
      this.#due.clear()
      for (const dir of topmost(due.keys())) {
        const why = due.get(dir) ?? 'lost'
        const found = await this.#walkFrom(dir)
        if (dir === ROOT && !found) this.#loseRoot()
        if (found || why !== 'new') this.#batch.add({ kind: 'tree', dir, why })
        this.#flush()
      }
      this.#afterWalk()
    }
  }

  /** Watches what stands at `dir`. False when there is nothing. */
  async #walkFrom(dir: DirPath): Promise<boolean> {
    if (dir === ROOT) return this.#coverage.walk(this.#map.root)
    const parent = this.#map.find(parentOf(dir))
    // Without a parent in the map this place is polled, gone, or part of a walk still to come.
    if (parent === undefined || parent.wd === undefined) return true
    return this.#coverage.walk(this.#map.child(parent, nameOf(dir)))
  }

  // From here on: what cannot be watched.

  /** After every walk: tells a limit once, and polls while anything is not watched. */
  #afterWalk(): void {
    if (!this.#isOpen) return
    const { missing, isWhole } = this.#coverage
    if (missing > 0) this.#tellLimit(() => limitProblem({ kind: 'watches', used: this.#map.size, missing }))
    if (isWhole) {
      this.#isLimitTold = false
      this.#coverage.askAgain()
      this.#retryAt = 0
    }
    this.#armTimer()
  }

  #tellLimit(problem: () => Problem): void {
    if (this.#isLimitTold) return
    this.#isLimitTold = true
    this.#options.onLimit(problem())
  }

  #armTimer(): void {
    if (!this.#isOpen || this.#timer !== undefined || (this.#coverage.isWhole && !this.#isRootLost)) return
    if (this.#retryAt === 0) this.#retryAt = this.#options.clock.monotonic() + (this.#options.retryMs ?? 60_000)
    this.#timer = this.#options.clock.after(this.#options.pollMs ?? 5000, () => {
      this.#timer = undefined
      this.#tick()
    })
  }

  /** Looks whether a lost root is back, reports what is polled, and now and then tries to watch it. */
  #tick(): void {
    if (!this.#isOpen) return
    if (this.#isRootLost) {
      if (this.#coverage.hasRoot()) {
        this.#isRootLost = false
        this.#walkSoon(ROOT, 'lost')
      }
    } else if (this.#options.clock.monotonic() >= this.#retryAt) {
      this.#retryAt = 0
      this.#coverage.askAgain()
      this.#openInotify()
      for (const dir of this.#coverage.polledDirs) this.#walkSoon(dir, 'poll')
    } else {
      for (const dir of this.#coverage.polledDirs) this.#batch.add({ kind: 'tree', dir, why: 'poll' })
      this.#flush()
    }
    this.#armTimer()
  }
}
