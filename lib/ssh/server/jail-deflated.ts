// Files of the jail as frames: what is read is deflated, what is written is inflated, a few stretches at once and off the event loop.

import { AS_IS_HEADER, frameInPlace, Looks, parseFrame, STRETCH_MAX, stretchOf } from '../deflated-frames.ts'
import { SftpError, type ReadHandle, type WriteHandle } from './sftp-tree.ts'
import { STATUS } from './sftp-wire.ts'

/** Lets so many pieces of work be done at once, and no more than are let `above`; the others wait for their turn, in order. */
export class WorkRoom {
  readonly #most: number
  readonly #above: WorkRoom | undefined
  readonly #waiting: (() => void)[] = []
  #busy = 0

  constructor(most: number, above?: WorkRoom) {
    this.#most = most
    this.#above = above
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy < this.#most) this.#busy++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await (this.#above === undefined ? work() : this.#above.use(work))
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#busy--
      else next()
    }
  }
}

/** `file`, read in frames: a READ of n + 1 bytes gets the frame of up to n bytes of the file. */
export function readInFrames(file: ReadHandle, room: WorkRoom): ReadHandle {
  const looks = new Looks()
  return {
    size: file.size + AS_IS_HEADER,
    read: (target, position, length) =>
      room.use(async () => {
        // It is read to where it stays when it does not shrink.
        const place = target.subarray(AS_IS_HEADER, length)
        if (place.length === 0) return 0
        const count = await file.read(place, position, place.length)
        return count === 0 ? 0 : await frameInPlace(target, count, looks)
      }),
    stat: () => file.stat(),
    close: () => file.close(),
  }
}

/**
 * `file`, written in frames: what a frame holds is written as a WRITE of that would be, in the order the frames came, however long each takes to inflate.
 * Of a frame that is not right nothing is.
 */
export function writeInFrames(file: WriteHandle, room: WorkRoom): WriteHandle {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = (write: Promise<void>): Promise<void> => {
    last = write.catch(() => undefined)
    return write
  }
  return {
    ...file,
    write: (frame, position) => {
      const framed = parseFrame(frame, STRETCH_MAX)
      if (framed === undefined) throw new SftpError(STATUS.badMessage, 'Not a frame')
      const before = last
      if (framed.kind === 'as is') return inTurn(before.then(() => file.write(framed.bytes, position)))
      // Its room is held until it is written: what is inflated and waits for its turn is no more than that.
      const work = async (): Promise<void> => {
        const plain = await stretchOf(framed)
        await before
        if (plain === undefined) throw new SftpError(STATUS.badMessage, 'It does not inflate to what it says')
        await file.write(plain, position)
      }
      return inTurn(room.use(work))
    },
  }
}
