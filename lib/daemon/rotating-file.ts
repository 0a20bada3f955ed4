// A file of lines that is kept from growing without end: at `maxBytes` it becomes `.1`, the old `.1` becomes `.2`, and so on.

import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

const MAX_BYTES = 10 * 1024 * 1024
const KEEP = 3

/** Lines are written at once. What cannot be written (a full disk) is counted, and the count is written when that works again. */
export class RotatingFile implements Disposable {
  readonly #path: string
  readonly #maxBytes: number
  readonly #keep: number
  #fd: number | undefined
  #size = 0
  #lost = 0

  /** `keep`: how many files in all. Throws when the file cannot be opened. */
  constructor(path: string, { maxBytes = MAX_BYTES, keep = KEEP }: { maxBytes?: number; keep?: number } = {}) {
    this.#path = path
    this.#maxBytes = maxBytes
    this.#keep = keep
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    this.#open()
  }

  /** Writes `line`, which ends in a newline. Never throws. */
  write(line: string): void {
    try {
      if (this.#size > 0 && this.#size + line.length > this.#maxBytes) this.#rotate()
      if (this.#fd === undefined) this.#open()
      if (this.#lost > 0) {
        this.#append(`{"lost":${String(this.#lost)}}\n`)
        this.#lost = 0
      }
      this.#append(line)
    } catch {
      // A log that cannot be written must not stop the daemon; the gap is told when there is room again.
      this.#lost++
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #append(text: string): void {
    if (this.#fd !== undefined) this.#size += writeSync(this.#fd, text)
  }

  #open(): void {
    this.#fd = openSync(this.#path, 'a', 0o600)
    this.#size = fstatSync(this.#fd).size
  }

  #rotate(): void {
    this[Symbol.dispose]()
    rmSync(this.#name(this.#keep - 1), { force: true })
    for (let n = this.#keep - 2; n >= 0; n--) {
      try {
        renameSync(this.#name(n), this.#name(n + 1))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
    this.#open()
  }

  #name(n: number): string {
    return n === 0 ? this.#path : `${this.#path}.${String(n)}`
  }
}
