// Moves a large file in frames, deflated where it shrinks, by way of a channel to a server that knows `deflated/`; with bounded memory.

import ssh2 from 'ssh2'
import { Refused } from '../../errors.ts'
import { AS_IS_HEADER, frameInPlace, Looks, parseFrame, stretchOf } from '../deflated-frames.ts'
import { BufferPool, fetchPieces, Flight, WholeMark } from './flight.ts'
import { PieceQueue, writePieces } from '../piece-queue.ts'
import { LocalBlocks, type LocalPart } from './local-blocks.ts'
import type { Handle, SftpCalls } from './sftp-calls.ts'
import type { SftpChannel, Transfer } from './sftp-channel.ts'

/** `onOpen`: the server knows `deflated/`. `onAsked`: a request is on its way. `onWire`: it was answered, and took so many bytes on the wire. */
export interface FramesTransfer extends Transfer {
  readonly onOpen?: () => void
  readonly onAsked?: () => void
  readonly onWire?: (bytes: number) => void
}

// Stretches that go as they are make messages of 7 x 32 KiB, as ssh2's windows want it: see `sftp-channel`.
const MESSAGE_BYTES = 7 * 32 * 1024
const SENT_BYTES = MESSAGE_BYTES - 25 - 4 - AS_IS_HEADER
const READ_BYTES = MESSAGE_BYTES - 13 - AS_IS_HEADER

/** Frames under way: as many bytes as of a plain transfer, or so many stretches. */
const SENT_IN_FLIGHT = { bytes: 2 * 1024 * 1024, count: 32 }
/** What will come of a READ is not known before: its whole stretch is counted. */
const READ_IN_FLIGHT = { bytes: 16 * READ_BYTES, count: 16 }
/** Stretches deflated at once, ahead of the one that is sent next: as many as Node has threads for it. */
const AHEAD = 4

const FLAG = ssh2.utils.sftp.OPEN_MODE

interface Made {
  readonly offset: number
  readonly length: number
  readonly frame: Promise<Buffer>
}

/** As `putFile`, in frames. Throws `Refused` before `onOpen` when the server takes none. */
export async function putFrames(
  sftp: SftpChannel,
  { remote, fd }: { readonly remote: string; readonly fd: number },
  transfer: FramesTransfer,
  signal: AbortSignal,
): Promise<number> {
  const { from, size, onOpen } = transfer
  const flags = FLAG.WRITE | FLAG.CREAT | (from === 0 ? FLAG.TRUNC : 0)
  return await sftp.withFile({ what: `Cannot write "${remote}"`, remote, flags }, signal, async (calls, handle) => {
    onOpen?.()
    await using blocks = new LocalBlocks(fd, { from, size, partBytes: SENT_BYTES })
    const end = await sendAll({ calls, handle, blocks }, transfer)
    await calls.close(handle)
    return end
  })
}

async function sendAll(
  { calls, handle, blocks }: { calls: SftpCalls; handle: Handle; blocks: LocalBlocks },
  { from, onProgress, onAsked, onWire, isStopped = () => false }: FramesTransfer,
): Promise<number> {
  const flight = new Flight(SENT_IN_FLIGHT)
  const mark = new WholeMark(from)
  for await (const { offset, length, frame } of madeAhead(blocks, isStopped)) {
    const bytes = await frame
    await flight.room(bytes.length)
    onAsked?.()
    const answer = calls.write(handle, bytes, offset).then(() => {
      onWire?.(bytes.length)
      mark.add(offset, length)
      onProgress?.(mark.end)
    })
    flight.add(bytes.length, answer)
  }
  await flight.landed()
  return mark.end
}

/** The frames of all parts in order, a few of them being made. */
async function* madeAhead(blocks: LocalBlocks, isStopped: () => boolean): AsyncGenerator<Made, void, undefined> {
  const looks = new Looks()
  const made: Made[] = []
  for (let isOver = false; ;) {
    while (!isOver && made.length < AHEAD) {
      const part = isStopped() ? undefined : await blocks.next()
      if (part === undefined) isOver = true
      else made.push({ offset: part.offset, length: part.bytes.length, frame: frameOf(part, looks) })
    }
    const first = made.shift()
    if (first === undefined) return
    yield first
  }
}

function frameOf(part: LocalPart, looks: Looks): Promise<Buffer> {
  const { bytes } = part
  const frame = Buffer.allocUnsafeSlow(AS_IS_HEADER + bytes.length)
  frame.set(bytes, AS_IS_HEADER)
  part.release()
  const made = frameInPlace(frame, bytes.length, looks).then((length) => frame.subarray(0, length))
  // It is awaited when its turn comes, unless the transfer failed before.
  made.catch(() => undefined)
  return made
}

/** As `getFile`, in frames. Throws `Refused` before `onOpen` when the server gives none. */
export async function getFrames(
  sftp: SftpChannel,
  { remote, fd }: { readonly remote: string; readonly fd: number },
  transfer: FramesTransfer,
  signal: AbortSignal,
): Promise<number> {
  const { from, size, onOpen, isStopped = () => false } = transfer
  const what = `Cannot read "${remote}"`
  return await sftp.withFile({ what, remote, flags: FLAG.READ }, signal, async (calls, handle) => {
    onOpen?.()
    const flight = new Flight(READ_IN_FLIGHT)
    const stretches = new Stretches({ calls, handle, fd }, transfer)
    const pieces = { from, size, pieceBytes: READ_BYTES, isStopped }
    await fetchPieces({ flight, calls }, pieces, (offset, length) => stretches.fetch(offset, length))
    calls.abandon(handle)
    return stretches.end
  })
}

/** Fetches stretches of one file into another. */
class Stretches {
  readonly #file: { readonly calls: SftpCalls; readonly handle: Handle }
  readonly #writes: PieceQueue
  readonly #transfer: FramesTransfer
  readonly #mark: WholeMark
  readonly #pool = new BufferPool(AS_IS_HEADER + READ_BYTES)

  constructor(file: { calls: SftpCalls; handle: Handle; fd: number }, transfer: FramesTransfer) {
    this.#file = file
    this.#writes = new PieceQueue((pieces, offset) => writePieces(file.fd, pieces, offset))
    this.#transfer = transfer
    this.#mark = new WholeMark(transfer.from)
  }

  get end(): number {
    return this.#mark.end
  }

  async fetch(offset: number, length: number): Promise<void> {
    const { calls, handle } = this.#file
    const buffer = this.#pool.take()
    for (let done = 0; done < length;) {
      const target = buffer.subarray(0, AS_IS_HEADER + length - done)
      this.#transfer.onAsked?.()
      const got = await calls.readSome(handle, target, offset + done)
      this.#transfer.onWire?.(got)
      const plain = await plainOf(target.subarray(0, got), length - done)
      await this.#writes.add(plain, offset + done)
      done += plain.length
    }
    this.#pool.give(buffer)
    this.#mark.add(offset, length)
    this.#transfer.onProgress?.(this.#mark.end)
  }
}

/** What a frame of up to `most` bytes holds. */
async function plainOf(frame: Buffer, most: number): Promise<Buffer> {
  if (frame.length === 0) throw new Refused('it ends before', { status: 404, code: 'TRUNCATED' })
  const framed = parseFrame(frame, most)
  const plain = framed === undefined ? undefined : await stretchOf(framed)
  if (plain === undefined) throw new Refused('what came is no frame of it', { status: 500, code: 'NO_FRAME' })
  return plain
}
