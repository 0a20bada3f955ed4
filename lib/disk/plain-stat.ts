// Asks statx(2) of the C library for plain prints: a third of what `lstat` of Node costs, which makes an object of every answer.

import { endianness } from 'node:os'
import { AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, statx } from './native.ts'

/** `struct statx`, in 32-bit words. */
const WORDS = 64
const AT = { mask: 0, mode: 7, ino: 8, size: 10, ctime: 24, mtime: 28 }
const [LOW, HIGH] = endianness() === 'LE' ? [0, 1] : [1, 0]
const MODES = 0o170777
const WORD = 2 ** 32

/** Looks at names in open directories. The answer to one look is gone with the next. */
export class PlainStat {
  readonly #words = new Uint32Array(WORDS)
  readonly #print = [0, 0, 0, 0, 0, 0, 0, 0]

  /** The plain print of `name` in the open directory `dirFd`, a link not followed; `undefined` when nothing stands there or it cannot be told. */
  look(dirFd: number, name: string): readonly number[] | undefined {
    if (statx?.(dirFd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, this.#words) !== 0) return undefined
    if ((this.#word(AT.mask) & STATX_BASIC_STATS) !== STATX_BASIC_STATS) return undefined
    const print = this.#print
    // st_mode has 16 bits, and 16 of padding follow it.
    print[0] = (LOW === 0 ? this.#word(AT.mode) : this.#word(AT.mode) >>> 16) & MODES
    print[1] = this.#long(AT.size)
    print[2] = this.#long(AT.mtime)
    print[3] = this.#word(AT.mtime + 2)
    print[4] = this.#long(AT.ctime)
    print[5] = this.#word(AT.ctime + 2)
    print[6] = this.#word(AT.ino + HIGH)
    print[7] = this.#word(AT.ino + LOW)
    return print
  }

  #word(at: number): number {
    return this.#words[at] ?? 0
  }

  /** Times before 1970 come out far too large: equal to nothing. */
  #long(at: number): number {
    return this.#word(at + HIGH) * WORD + this.#word(at + LOW)
  }
}
