// The hold on a folder: which directory this daemon keeps as the folder, locked against others and prepared, and whether it stands there still.

import { acquireDirLock } from '../disk/lock-file.ts'
import { rootIdentity, type RootIdentity } from '../disk/marker.ts'
import { laterProblemOf } from '../disk/trouble.ts'
import type { HostPath } from '../model/path.ts'
import type { Halt } from './folder-state.ts'

export class FolderHold implements Disposable {
  readonly #root: HostPath
  readonly #prepare: () => void
  #locked: { readonly dir: RootIdentity; readonly lock: Disposable } | undefined
  /** Names the time from one taking to the next doubt. */
  #taken: symbol | undefined

  /** `prepare` is run each time the folder is taken, before anything else is done with it. What it throws halts the folder. */
  constructor(root: HostPath, prepare: () => void = () => undefined) {
    this.#root = root
    this.#prepare = prepare
  }

  /** Locks the directory that stands at the root now; `false` when another has locked it. Where none does there is nothing to lock. */
  lock(): boolean {
    const dir = rootIdentity(this.#root)
    if (dir === undefined || this.#isLocked(dir)) return true
    this.#letGo()
    const lock = acquireDirLock(this.#root)
    if (lock !== undefined) this.#locked = { dir, lock }
    return lock !== undefined
  }

  /** Takes the directory at the root, which is known to be the folder, unless that is done already. What keeps it from being taken. */
  take(): Halt | undefined {
    try {
      if (!this.lock()) return keptByAnother(this.#root)
      if (this.#taken !== undefined) return undefined
      this.#prepare()
      this.#taken = Symbol('taken')
      return undefined
    } catch (error) {
      const { reason, todo } = laterProblemOf('.', error)
      return { path: '.', reason: `the folder ${this.#root} cannot be used: ${reason}`, todo, told: 'its disk fails' }
    }
  }

  /** What stands at the root may be something else by now: it has to be taken anew. The lock is kept, for it may not. */
  doubt(): void {
    this.#taken = undefined
  }

  /** Says, whenever it is called, whether the folder stood there without a break since now. */
  watch(): () => boolean {
    const taken = this.#taken
    return () => {
      if (taken === undefined || taken !== this.#taken) return false
      const dir = rootIdentity(this.#root)
      return dir !== undefined && this.#isLocked(dir)
    }
  }

  [Symbol.dispose](): void {
    this.#letGo()
  }

  #isLocked({ dev, ino }: RootIdentity): boolean {
    return this.#locked?.dir.dev === dev && this.#locked.dir.ino === ino
  }

  #letGo(): void {
    this.#locked?.lock[Symbol.dispose]()
    this.#locked = undefined
    this.#taken = undefined
  }
}

function keptByAnother(root: HostPath): Halt {
  return {
    path: '.',
    reason: `another daemon of this machine keeps ${root} already`,
    todo: 'stop the other one, or give this node a place of its own with "path.NODE" in the config file; it goes on by itself',
    told: 'another daemon keeps its directory',
  }
}
