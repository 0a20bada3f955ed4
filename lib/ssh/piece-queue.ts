// Pieces of one file, read or written off the event loop: one call at a time, and what waits meanwhile by one call.

import { readv, writev } from 'node:fs'

/** The most that is moved by one call. Bytes. */
const AT_ONCE = 1024 * 1024

/** Moves the bytes of `pieces`, which lie one after the other from `position` on; how many it could, which is fewer only at the end of the file. */
export type MovePieces = (pieces: readonly Buffer[], position: number) => Promise<number>

interface Piece {
  readonly bytes: Buffer
  readonly position: number
  readonly resolve: (count: number) => void
  readonly reject: (error: unknown) => void
}

/**
 * Several threads in one file only wait for each other, and each call wakes one: so pieces go in the order they came, and those that lie one
 * after the other go together.
 */
export class PieceQueue {
  readonly #move: MovePieces
  #waiting: Piece[] = []
  #isMoving = false

  constructor(move: MovePieces) {
    this.#move = move
  }

  /** Whether a piece would be begun at once. */
  get isIdle(): boolean {
    return !this.#isMoving
  }

  /** Moves `bytes`, which are the queue's until then; how many of them. Of two writes to the same bytes the later one wins. */
  add(bytes: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, position, resolve, reject })
      if (!this.#isMoving) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#isMoving = true
    for (let group = this.#take(); group.length > 0; group = this.#take()) await this.#moveGroup(group)
    this.#isMoving = false
  }

  async #moveGroup(group: readonly Piece[]): Promise<void> {
    try {
      const pieces = group.map(({ bytes }) => bytes)
      let count = await this.#move(pieces, group[0]?.position ?? 0)
      for (const { bytes, resolve } of group) {
        resolve(Math.min(count, bytes.length))
        count = Math.max(0, count - bytes.length)
      }
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }

  /** The first that wait, as far as each begins where the one before ends. */
  #take(): Piece[] {
    let bytes = 0
    let length = 0
    for (const piece of this.#waiting) {
      const begins = (this.#waiting[0]?.position ?? 0) + bytes
      if (length > 0 && (piece.position !== begins || bytes + piece.bytes.length > AT_ONCE)) break
      bytes += piece.bytes.length
      length++
    }
    const group = this.#waiting.slice(0, length)
    this.#waiting = this.#waiting.slice(length)
    return group
  }
}

/** Reads from `fd`. */
export function readPieces(fd: number, pieces: readonly Buffer[], position: number): Promise<number> {
  return moveAll(pieces, position, (rest, at, done) => {
    readv(fd, rest, at, done)
  })
}

/** Writes all of them to `fd`. */
export function writePieces(fd: number, pieces: readonly Buffer[], position: number): Promise<number> {
  return moveAll(pieces, position, (rest, at, done) => {
    writev(fd, rest, at, done)
  })
}

type Call = (
  rest: readonly Buffer[],
  position: number,
  done: (error: NodeJS.ErrnoException | null, count: number) => void,
) => void

/** A call may do less than it was asked for. */
async function moveAll(pieces: readonly Buffer[], position: number, call: Call): Promise<number> {
  let moved = 0
  for (let rest = pieces; rest.length > 0;) {
    const count = await new Promise<number>((resolve, reject) => {
      call(rest, position + moved, (error, some) => {
        if (error === null) resolve(some)
        else reject(error)
      })
    })
    if (count === 0) break
    moved += count
    rest = after(rest, count)
  }
  return moved
}

/** What is left of `pieces` after their first `count` bytes. */
function after(pieces: readonly Buffer[], count: number): readonly Buffer[] {
  let left = count
  const first = pieces.findIndex(({ length }) => {
    if (left < length) return true
    left -= length
    return false
  })
  if (first === -1) return []
  return pieces.slice(first).map((piece, index) => (index === 0 ? piece.subarray(left) : piece))
}
