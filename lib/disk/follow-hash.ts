// Hashes a file while it is still being written: from its start up to where it is known to be whole.

import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'

const BLOCK = 1024 * 1024

/** One file, open until disposed. What was hashed must not change any more: its writer sees to that. */
export class FollowHash implements Disposable {
  readonly #fd: number
  readonly #sha256 = createHash('sha256')
  readonly #block = Buffer.allocUnsafe(BLOCK)
  #at = 0

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Throws a Node-style error when it cannot be opened. */
  static open(place: HostPath): FollowHash {
    return new FollowHash(openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK))
  }

  /** Whether what stands at `place` is this very file. */
  isAt(place: HostPath): boolean {
    const own = fstatSync(this.#fd, { bigint: true })
    const there = lstatSync(place, { bigint: true, throwIfNoEntry: false })
    return there?.ino === own.ino && there.dev === own.dev
  }

  /** Hashes on up to the offset `end`, or the end of the file. */
  reach(end: number): void {
    while (this.#at < end) {
      const read = readSync(this.#fd, this.#block, 0, Math.min(BLOCK, end - this.#at), this.#at)
      if (read === 0) return
      this.#sha256.update(this.#block.subarray(0, read))
      this.#at += read
    }
  }

  /** SHA-256 of the whole file as it is now. Only once. */
  finish(): Digest {
    this.reach(fstatSync(this.#fd).size)
    return this.#sha256.digest('hex') as Digest
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}
