// A local file as the parts of an upload: reads ahead in larger blocks, hands out parts, uses its buffers again.

import { SyncError } from '../../errors.ts'
import { readPieces } from '../piece-queue.ts'
import { BufferPool } from './flight.ts'

/** One part. `release` it when its bytes are needed no more. */
export interface LocalPart {
  readonly offset: number
  readonly bytes: Buffer
  release(): void
}

/** Parts read at once. */
const PARTS_A_BLOCK = 4

interface Block {
  readonly buffer: Buffer
  readonly offset: number
  readonly length: number
  /** Parts handed out and not released, and one for as long as parts are left. */
  holders: number
}

/** Bytes `from` to `size` of the open file `fd`, as parts of `partBytes`. When disposed, `fd` is not touched any more. */
export class LocalBlocks implements AsyncDisposable {
  readonly #fd: number
  readonly #size: number
  readonly #partBytes: number
  readonly #pool: BufferPool
  #block: Block | undefined
  #taken = 0
  #ahead: Promise<Block | undefined>
  #aheadOffset: number

  constructor(fd: number, { from, size, partBytes }: { from: number; size: number; partBytes: number }) {
    this.#fd = fd
    this.#size = size
    this.#partBytes = partBytes
    this.#pool = new BufferPool(partBytes * PARTS_A_BLOCK)
    this.#aheadOffset = from
    this.#ahead = this.#readAhead()
  }

  /** The next part; `undefined` at the end. Throws when the file ends before `size` or cannot be read. */
  async next(): Promise<LocalPart | undefined> {
    if (this.#block === undefined || this.#taken >= this.#block.length) {
      if (this.#block !== undefined) this.#letGo(this.#block)
      this.#block = await this.#ahead
      this.#taken = 0
      this.#ahead = this.#readAhead()
    }
    const block = this.#block
    if (block === undefined) return undefined
    const bytes = block.buffer.subarray(this.#taken, Math.min(this.#taken + this.#partBytes, block.length))
    const offset = block.offset + this.#taken
    this.#taken += bytes.length
    block.holders++
    return {
      offset,
      bytes,
      release: () => {
        this.#letGo(block)
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ahead.catch(() => undefined)
  }

  #letGo(block: Block): void {
    if (--block.holders === 0) this.#pool.give(block.buffer)
  }

  #readAhead(): Promise<Block | undefined> {
    const offset = this.#aheadOffset
    const length = Math.min(this.#partBytes * PARTS_A_BLOCK, this.#size - offset)
    this.#aheadOffset += Math.max(0, length)
    if (length <= 0) return Promise.resolve(undefined)
    const buffer = this.#pool.take()
    const block = readFully(this.#fd, buffer.subarray(0, length), offset).then(() => ({
      buffer,
      offset,
      length,
      holders: 1,
    }))
    // It is awaited by `next`, or by the disposal, which may come later than the failure.
    block.catch(() => undefined)
    return block
  }
}

/** Fills `target` from `offset` on. Throws when the file ends before. */
async function readFully(fd: number, target: Buffer, offset: number): Promise<void> {
  const count = await readPieces(fd, [target], offset)
  if (count === target.length) return
  const message = `Cannot send the local file: it ends at ${offset + count}, at least ${offset + target.length} bytes wanted`
  throw new SyncError(message, { code: 'LOCAL_CHANGED', retry: 'now' })
}
