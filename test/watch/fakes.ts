// Stand-ins for the tests of watch: a clock moved by hand, an inotify fed by hand, and a listener that can be waited on.

import { statSync } from 'node:fs'
import { relative } from 'node:path'
import type { Clock } from '../../lib/daemon/clock.ts'
import { type HostPath, hostPath } from '../../lib/model/path.ts'
import type { Problem } from '../../lib/model/problem.ts'
import type { WatchEvent } from '../../lib/model/watch-event.ts'
import { IN, type InotifyPort, InotifyRefused, type RawEvent } from '../../lib/watch/inotify.ts'
import type { TreeWatcherOptions } from '../../lib/watch/tree-watcher.ts'

/** A clock that stands still until it is moved. */
export class HandClock implements Clock {
  #at = 0
  readonly #timers = new Map<() => void, number>()

  now(): number {
    return this.#at
  }

  monotonic(): number {
    return this.#at
  }

  sleep(): Promise<void> {
    return Promise.reject(new Error('not used'))
  }

  after(ms: number, fn: () => void): Disposable {
    this.#timers.set(fn, this.#at + ms)
    return { [Symbol.dispose]: () => this.#timers.delete(fn) }
  }

  get armed(): number {
    return this.#timers.size
  }

  move(ms: number): void {
    this.#at += ms
    for (const [fn, due] of [...this.#timers]) {
      if (due > this.#at) continue
      this.#timers.delete(fn)
      fn()
    }
  }
}

/** Gives watches by inode, as the kernel does; `refuse` names the errno for a directory, if any. */
export class FakeInotify implements InotifyPort {
  readonly watched = new Map<number, string>()
  readonly root: string
  isClosed = false
  refuse: (dir: string, used: number) => string | undefined = () => undefined
  refuseOpen: () => string | undefined = () => undefined
  #deliver: (events: readonly RawEvent[]) => void = () => undefined
  readonly #wdOfInode = new Map<number, number>()
  #last = 0

  constructor(root: string) {
    this.root = root
  }

  readonly open = (deliver: (events: readonly RawEvent[]) => void): this => {
    const code = this.refuseOpen()
    if (code !== undefined) throw new InotifyRefused(`Cannot open: ${code}`, { code })
    this.#deliver = deliver
    return this
  }

  add(path: string): number {
    const dir = relative(this.root, path)
    const ino = statSync(path, { throwIfNoEntry: false })?.ino
    const known = ino === undefined ? undefined : this.#wdOfInode.get(ino)
    const code = ino === undefined ? 'ENOENT' : known === undefined ? this.refuse(dir, this.watched.size) : undefined
    if (code !== undefined || ino === undefined) throw new InotifyRefused(`Cannot watch: ${code}`, { code: code ?? '' })
    const wd = known ?? ++this.#last
    this.#wdOfInode.set(ino, wd)
    this.watched.set(wd, dir)
    return wd
  }

  remove(wd: number): boolean {
    for (const [ino, of] of this.#wdOfInode) if (of === wd) this.#wdOfInode.delete(ino)
    return this.watched.delete(wd)
  }

  close(): void {
    this.isClosed = true
  }

  /** The watch of `dir`, as it was called when it was set. */
  wdOf(dir: string): number {
    for (const [wd, of] of this.watched) if (of === dir) return wd
    throw new Error(`no watch on "${dir}"`)
  }

  tell(...events: { dir: string | number; mask: number; name?: string; cookie?: number }[]): void {
    this.#deliver(
      events.map(({ dir, mask, name, cookie = 0 }) => ({
        wd: typeof dir === 'number' ? dir : this.wdOf(dir),
        mask,
        cookie,
        name: name === undefined ? undefined : Buffer.from(name),
      })),
    )
  }

  overflow(): void {
    this.tell({ dir: -1, mask: IN.Q_OVERFLOW })
  }
}

/** Options whose events and problems are kept, and a wait for them. */
export class Listener {
  readonly events: WatchEvent[] = []
  readonly problems: Problem[] = []
  readonly clock = new HandClock()
  readonly root: HostPath
  #look: () => void = () => undefined

  constructor(root: string) {
    this.root = hostPath(root)
  }

  options(more: Partial<TreeWatcherOptions> = {}): TreeWatcherOptions {
    return {
      root: this.root,
      ignored: () => false,
      clock: this.clock,
      onEvents: (events) => {
        this.events.push(...events)
        this.#look()
      },
      onLimit: (problem) => {
        this.problems.push(problem)
      },
      ...more,
    }
  }

  /** All events so far as text, such as `whole a/b` or `tree x new`. */
  get told(): string[] {
    return this.events.map((event) =>
      event.kind === 'tree' ? `tree ${event.dir} ${event.why}` : `${event.kind} ${event.path}`,
    )
  }

  /** Waits until all of `wanted` were told. */
  until(...wanted: string[]): Promise<void> {
    return this.untilSo((told) => wanted.every((one) => told.includes(one)))
  }

  untilSo(isSo: (told: readonly string[]) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (isSo(this.told)) resolve()
      }
      this.#look()
    })
  }

  forget(): void {
    this.events.length = 0
  }
}
