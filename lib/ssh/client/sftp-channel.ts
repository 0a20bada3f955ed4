// One SFTP channel: puts and gets contents at full speed, whole or in ranges, with bounded memory.

import ssh2 from 'ssh2'
import type { SFTPWrapper } from 'ssh2'
import { systemClock, type Clock } from '../../daemon/clock.ts'
import { PieceQueue, writePieces } from '../piece-queue.ts'
import { BufferPool, fetchPieces, Flight, WholeMark } from './flight.ts'
import { LocalBlocks } from './local-blocks.ts'
import { ChannelWatch, isNoSuchFile, toSftpError, type Handle, type SftpCalls } from './sftp-calls.ts'

/** Waits until `bytes` more may pass. Rejects with the signal's reason. */
export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>

export interface SftpOptions {
  readonly paceUpload?: Pace
  readonly paceDownload?: Pace
  /** The channel is given up when requests wait and nothing is answered for so long. Default 30 s. */
  readonly stallMs?: number
  readonly clock?: Clock
}

/** `from`: offset to start at. `size`: of the whole file. `onProgress(end)`: all bytes before `end` are there; a later try may start `from` it. */
export interface Transfer {
  readonly from: number
  readonly size: number
  readonly onProgress?: (end: number) => void
  /** Asked before each request: whether no more are to follow. */
  readonly isStopped?: () => boolean
}

export interface Range {
  readonly offset: number
  readonly length: number
}

// An ssh2 receiver refills its window in time only when messages are whole multiples of 32 KiB: WRITE is 25 bytes, a handle and the
// data; DATA is 13 bytes and the data.
const MESSAGE_BYTES = 4 * 32 * 1024
const WRITE_BYTES = MESSAGE_BYTES - 25 - 4
const READ_BYTES = MESSAGE_BYTES - 13

/** 16 large requests, or 64 small ones. */
const IN_FLIGHT = { bytes: 16 * MESSAGE_BYTES, count: 64 }

/** A WRITE of this size is one message whatever the server's limits. */
const UNSPLIT_BYTES = 24 * 1024

const STALL_MS = 30_000

const FLAG = ssh2.utils.sftp.OPEN_MODE

/**
 * Every operation stops promptly when its signal aborts, and throws `Refused` (404 no such file, 403, 507 no space, 500) when the server
 * says no, `Unreachable` when the channel dies or stalls. Nothing is left waiting.
 */
export class SftpChannel implements AsyncDisposable {
  /** Resolves when the channel is over. */
  readonly closed: Promise<void>
  readonly #watch: ChannelWatch
  readonly #paceUpload: Pace | undefined
  readonly #paceDownload: Pace | undefined

  constructor(
    sftp: SFTPWrapper,
    { paceUpload, paceDownload, stallMs = STALL_MS, clock = systemClock }: SftpOptions = {},
  ) {
    this.closed = new Promise((resolve) => {
      sftp.on('close', () => {
        resolve()
      })
    })
    this.#watch = new ChannelWatch(sftp, { clock, stallMs })
    this.#paceUpload = paceUpload
    this.#paceDownload = paceDownload
  }

  /** Makes `remote` hold exactly `bytes`, which must not change meanwhile. */
  async putBytes(remote: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    await this.withFile(
      { what: `Cannot write "${remote}"`, remote, flags: FLAG.WRITE | FLAG.CREAT | FLAG.TRUNC },
      signal,
      async (calls, handle) => {
        const flight = new Flight(IN_FLIGHT)
        for (let at = 0; at < whole.length; at += WRITE_BYTES) {
          const part = whole.subarray(at, at + WRITE_BYTES)
          await this.#paceUpload?.(part.length, signal)
          await flight.room(part.length)
          flight.add(part.length, calls.write(handle, part, at))
        }
        // SFTP keeps the order of requests to one handle, so the CLOSE may follow at once and save a round trip; but a WRITE that ssh2 had to
        // split sends its rest only after an answer. What the WRITEs were told stands: nobody waits for the answer to a CLOSE after them.
        const closed = whole.length <= UNSPLIT_BYTES ? calls.close(handle) : undefined
        closed?.catch(() => undefined)
        await flight.landed()
        if (closed === undefined) calls.abandon(handle)
        else await closed
      },
    )
  }

  /**
   * Writes the local file `fd` to `remote`, bytes `from` to `size`; from 0, `remote` is emptied first. Tells the offset reached: `size`,
   * or less when `isStopped` said so. The server is asked in order, but after a failure only bytes told to `onProgress` are sure to be
   * there. Throws `SyncError` LOCAL_CHANGED when the local file ends early, and what `fs` throws when it cannot be read. `fd` is not touched any more once this settles.
   */
  async putFile(remote: string, fd: number, options: Transfer, signal: AbortSignal): Promise<number> {
    const { from, size, onProgress, isStopped = () => false } = options
    const flags = FLAG.WRITE | FLAG.CREAT | (from === 0 ? FLAG.TRUNC : 0)
    return await this.withFile({ what: `Cannot write "${remote}"`, remote, flags }, signal, async (calls, handle) => {
      const flight = new Flight(IN_FLIGHT)
      const mark = new WholeMark(from)
      await using blocks = new LocalBlocks(fd, { from, size, partBytes: WRITE_BYTES })
      while (!isStopped()) {
        const part = await blocks.next()
        if (part === undefined) break
        await this.#paceUpload?.(part.bytes.length, signal)
        await flight.room(part.bytes.length)
        const answer = calls.write(handle, part.bytes, part.offset).then(() => {
          part.release()
          mark.add(part.offset, part.bytes.length)
          onProgress?.(mark.end)
        })
        flight.add(part.bytes.length, answer)
      }
      await flight.landed()
      await calls.close(handle)
      return mark.end
    })
  }

  /** Reads `length` bytes from `offset` on. Throws `Refused` with the code TRUNCATED when the file is shorter. */
  async getRange(remote: string, offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.getRanges(remote, [{ offset, length }], signal)
    return bytes ?? new Uint8Array()
  }

  /** Reads several ranges of one file, in any order; neighbours share a buffer and requests. Holds all of them in memory. */
  async getRanges(remote: string, ranges: readonly Range[], signal: AbortSignal): Promise<Uint8Array[]> {
    const spans = mergeRanges(ranges)
    if (spans.length > 0) {
      await this.withFile(
        { what: `Cannot read "${remote}"`, remote, flags: FLAG.READ },
        signal,
        async (calls, handle) => {
          const flight = new Flight(IN_FLIGHT)
          for (const part of spans.flatMap(partsOf)) {
            await this.#paceDownload?.(part.bytes.length, signal)
            await flight.room(part.bytes.length)
            flight.add(part.bytes.length, calls.read(handle, part.bytes, part.offset))
          }
          await flight.landed()
          calls.abandon(handle)
        },
      )
    }
    return ranges.map(({ offset, length }) => {
      const span = spans.find((it) => offset >= it.offset && offset + length <= it.offset + it.bytes.length)
      return span === undefined
        ? new Uint8Array()
        : span.bytes.subarray(offset - span.offset, offset - span.offset + length)
    })
  }

  /**
   * Reads all of `remote`, which has at most `most` bytes; of a longer file those. Holds them in memory. Tells when it is open: what a server makes up as
   * it is opened takes its time there.
   */
  async getWhole(
    remote: string,
    { most, onOpen }: { readonly most: number; readonly onOpen?: () => void },
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const whole = { offset: 0, bytes: Buffer.allocUnsafeSlow(most) }
    return await this.withFile(
      { what: `Cannot read "${remote}"`, remote, flags: FLAG.READ },
      signal,
      async (calls, handle) => {
        onOpen?.()
        const flight = new Flight(IN_FLIGHT)
        let end = most
        const fetch = async ({ offset, bytes }: Span) => {
          const got = await calls.readSome(handle, bytes, offset)
          if (got < bytes.length) end = Math.min(end, offset + got)
        }
        for (const part of partsOf(whole)) {
          await flight.room(part.bytes.length)
          if (part.offset >= end) break
          await this.#paceDownload?.(part.bytes.length, signal)
          flight.add(part.bytes.length, fetch(part))
        }
        await flight.landed()
        calls.abandon(handle)
        return whole.bytes.subarray(0, end)
      },
    )
  }

  /**
   * Reads bytes `from` to `size` of `remote` into the local file `fd`, at the same offsets. Tells the offset reached: `size`, or less when
   * `isStopped` said so. Throws `Refused` (TRUNCATED) when `remote` is shorter. `fd` is not touched any more once this settles.
   */
  async getFile(remote: string, fd: number, options: Transfer, signal: AbortSignal): Promise<number> {
    const { from, size, onProgress, isStopped = () => false } = options
    if (from >= size) return from
    return await this.withFile(
      { what: `Cannot read "${remote}"`, remote, flags: FLAG.READ },
      signal,
      async (calls, handle) => {
        const flight = new Flight(IN_FLIGHT)
        const mark = new WholeMark(from)
        const pool = new BufferPool(READ_BYTES)
        const writes = new PieceQueue((pieces, offset) => writePieces(fd, pieces, offset))
        const fetch = async (offset: number, length: number) => {
          const buffer = pool.take()
          const bytes = buffer.subarray(0, length)
          await calls.read(handle, bytes, offset)
          await writes.add(bytes, offset)
          pool.give(buffer)
          mark.add(offset, length)
          onProgress?.(mark.end)
        }
        const pace = async (bytes: number) => await this.#paceDownload?.(bytes, signal)
        await fetchPieces({ flight, calls }, { from, size, pieceBytes: READ_BYTES, isStopped, pace }, fetch)
        calls.abandon(handle)
        return mark.end
      },
    )
  }

  /** Opens `remote` for `work`, which closes the handle. What fails is told as by every other operation. */
  async withFile<T>(
    { what, remote, flags }: { readonly what: string; readonly remote: string; readonly flags: number },
    signal: AbortSignal,
    work: (calls: SftpCalls, handle: Handle) => Promise<T>,
  ): Promise<T> {
    return await this.#with(what, signal, async (calls) => {
      const handle = await calls.open(remote, flags)
      try {
        return await work(calls, handle)
      } catch (error) {
        calls.fail(error)
        calls.abandon(handle)
        throw error
      }
    })
  }

  /** The size in bytes; `undefined` when there is no such file. */
  async size(remote: string, signal: AbortSignal): Promise<number | undefined> {
    return await this.#with(`Cannot look at "${remote}"`, signal, async (calls) => await orMissing(calls.size(remote)))
  }

  /** Removes the file, if it is there. */
  async remove(remote: string, signal: AbortSignal): Promise<void> {
    await this.#with(`Cannot remove "${remote}"`, signal, async (calls) => await orMissing(calls.unlink(remote)))
  }

  /** Has the server put the file's bytes on its disk (fsync@openssh.com). */
  async syncFile(remote: string, signal: AbortSignal): Promise<void> {
    await this.withFile(
      { what: `Cannot sync "${remote}"`, remote, flags: FLAG.WRITE },
      signal,
      async (calls, handle) => {
        await calls.fsync(handle)
        await calls.close(handle)
      },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch.end('it was closed')
    await Promise.resolve()
  }

  async #with<T>(what: string, signal: AbortSignal, work: (calls: SftpCalls) => Promise<T>): Promise<T> {
    using calls = this.#watch.begin(signal)
    try {
      return await work(calls)
    } catch (error) {
      signal.throwIfAborted()
      throw toSftpError(error, what)
    }
  }
}

interface Span {
  readonly offset: number
  readonly bytes: Buffer
}

/** The stretches that cover `ranges`, each with a buffer for it; touching ranges are one stretch, empty ones none. */
function mergeRanges(ranges: readonly Range[]): Span[] {
  const merged: { offset: number; end: number }[] = []
  const inOrder = ranges.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset)
  for (const { offset, length } of inOrder) {
    const last = merged.at(-1)
    if (last !== undefined && offset <= last.end) last.end = Math.max(last.end, offset + length)
    else merged.push({ offset, end: offset + length })
  }
  return merged.map(({ offset, end }) => ({ offset, bytes: Buffer.allocUnsafeSlow(end - offset) }))
}

/** The requests that fill `span`. */
function partsOf({ offset, bytes }: Span): Span[] {
  const count = Math.ceil(bytes.length / READ_BYTES)
  return Array.from({ length: count }, (_, i) => ({
    offset: offset + i * READ_BYTES,
    bytes: bytes.subarray(i * READ_BYTES, (i + 1) * READ_BYTES),
  }))
}

async function orMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isNoSuchFile(error)) return undefined
    throw error
  }
}
