// What a folder must become, and the cheapest way to notice that it has.

import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

const POLL_MS = 4
const VERIFY_AGAIN_MS = 50
const BLOCK = 1024 * 1024
/** Names contenders use for what is not whole yet, or keep their own state under. */
const NOT_OURS = /^\.(unison|syncthing)\.|^\.st(folder|ignore|versions)$|^\.systemsync|^~syncthing~/

/** The wanted state of a folder: the size of each file, and a folder that holds the wanted contents. */
export class Goal {
  readonly #sizes: ReadonlyMap<string, number>
  readonly #like: string

  private constructor(sizes: ReadonlyMap<string, number>, like: string) {
    this.#sizes = sizes
    this.#like = like
  }

  /** All that is in `dir` now, found below `prefix`; contents are compared with `like`, later. */
  static of(dir: string, like: string, prefix = ''): Goal {
    const sizes = new Map<string, number>()
    for (const path of walk(dir)) sizes.set(join(prefix, path), statSync(join(dir, path)).size)
    return new Goal(sizes, like)
  }

  /** Sum of all sizes, in bytes. */
  get bytes(): number {
    return [...this.#sizes.values()].reduce((sum, size) => sum + size, 0)
  }

  /** Waits until all `folders` have reached it; returns for each when, by `performance.now()`. Throws after `timeoutMs`. */
  async reached(folders: readonly string[], timeoutMs: number): Promise<number[]> {
    return Promise.all(folders.map((folder) => this.#reachedBy(folder, performance.now() + timeoutMs)))
  }

  /** Whether `folder` stands at the goal, with all its contents. */
  isAt(folder: string): boolean {
    return (
      [...this.#sizes].every(([path, size]) => sizeOf(join(folder, path)) === size) && this.#wrong(folder) === undefined
    )
  }

  async #reachedBy(folder: string, end: number): Promise<number> {
    for (;;) {
      const at = await this.#allThere(folder, end)
      const wrong = this.#wrong(folder)
      if (wrong === undefined) return at
      if (performance.now() > end) throw new Error(`Cannot reach the goal: ${wrong} after the time set`)
      await sleep(VERIFY_AGAIN_MS)
    }
  }

  /** Waits for the files one after another: a poll asks for the first that is missing only, so polling costs next to nothing. */
  async #allThere(folder: string, end: number): Promise<number> {
    for (const [path, size] of this.#sizes) {
      while (sizeOf(join(folder, path)) !== size) {
        if (performance.now() > end) throw new Error(`Cannot reach the goal: "${path}" is not in "${folder}" in time`)
        await sleep(POLL_MS)
      }
    }
    return performance.now()
  }

  /** What is too much in `folder`, or not as it should be. */
  #wrong(folder: string): string | undefined {
    for (const path of walk(folder)) if (!this.#sizes.has(path)) return `"${path}" is too much in "${folder}"`
    for (const path of this.#sizes.keys())
      if (!isSame(join(this.#like, path), join(folder, path))) return `"${path}" differs in "${folder}"`
    return undefined
  }
}

/** The files below `dir`, relative to it; directories themselves do not count. */
function* walk(dir: string, prefix = ''): Generator<string> {
  let names
  try {
    names = readdirSync(join(dir, prefix), { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  for (const entry of names) {
    if (NOT_OURS.test(entry.name)) continue
    const path = join(prefix, entry.name)
    if (entry.isDirectory()) yield* walk(dir, path)
    else yield path
  }
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size
}

function isSame(one: string, other: string): boolean {
  const fds: number[] = []
  try {
    for (const path of [one, other]) fds.push(openSync(path, 'r'))
    const [first = 0, second = 0] = fds
    const [left, right] = [Buffer.allocUnsafe(BLOCK), Buffer.allocUnsafe(BLOCK)]
    for (;;) {
      const [gotLeft, gotRight] = [readSync(first, left), readSync(second, right)]
      if (gotLeft !== gotRight || !left.subarray(0, gotLeft).equals(right.subarray(0, gotRight))) return false
      if (gotLeft === 0) return true
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  } finally {
    for (const fd of fds) closeSync(fd)
  }
}

/** Waits `ms`. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
