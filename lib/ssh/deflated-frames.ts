// What READ and WRITE carry of a file that is open by its name below `deflated/`: frames, each one stretch of the file.
//
//     frame = 0, bytes                        the stretch as it is
//           | 1, uint32 length, bytes         its `length` bytes, deflated (RFC 1950): 8 KiB to 255 KiB
//
// Offsets are those of the file, so that whatever counts its bytes knows nothing of frames.

import { DEFLATED_MIN, deflateStretch, inflateExactly } from '../daemon/deflate.ts'

const AS_IS = 0
const DEFLATED = 1
/** What is before the bytes of a stretch that goes as it is, and of a deflated one. */
export const AS_IS_HEADER = 1
export const DEFLATED_HEADER = 5

/** The longest stretch of one frame. Bytes. */
export const STRETCH_MAX = 255 * 1024

/** After so many stretches in a row that do not shrink, so many are not looked at; after that one look at a time, until one shrinks. */
const MISSES = 4
const REST = 16

/** Which stretches of a content are looked at. What was compressed before costs no more than a look now and then. */
export class Looks {
  #misses = 0
  #left = 0

  /** Takes a turn: whether to look at this stretch. */
  take(): boolean {
    if (this.#left === 0) return true
    this.#left--
    return false
  }

  /** Says whether a stretch that was looked at shrank. Several may be looked at at once. */
  tried(shrank: boolean): void {
    this.#misses = shrank ? 0 : this.#misses + 1
    if (this.#misses >= MISSES) this.#left = REST
  }
}

/**
 * Makes the frame of the stretch that stands in `target` behind the place of an as-is header; how long it is. `target` is that long at least, and not
 * touched by others until then.
 */
export async function frameInPlace(target: Buffer, length: number, looks: Looks): Promise<number> {
  const mayShrink = length >= DEFLATED_MIN && looks.take()
  const deflated = mayShrink ? await deflateStretch(target.subarray(AS_IS_HEADER, AS_IS_HEADER + length)) : undefined
  if (mayShrink) looks.tried(deflated !== undefined)
  if (deflated === undefined) {
    target.writeUInt8(AS_IS)
    return AS_IS_HEADER + length
  }
  target.writeUInt8(DEFLATED)
  target.writeUInt32BE(length, 1)
  target.set(deflated, DEFLATED_HEADER)
  return DEFLATED_HEADER + deflated.length
}

/** What a frame holds: the bytes themselves, which are a part of it, or how to inflate them. */
export type Framed =
  | { readonly kind: 'as is'; readonly bytes: Buffer }
  | { readonly kind: 'deflated'; readonly length: number; readonly bytes: Buffer }

/** Reads the frame of at most `most` bytes; `undefined` when it is none, or holds nothing or more than that. */
export function parseFrame(frame: Buffer, most: number): Framed | undefined {
  if (frame.length <= AS_IS_HEADER) return undefined
  if (frame[0] === AS_IS) {
    const bytes = frame.subarray(AS_IS_HEADER)
    return bytes.length > most ? undefined : { kind: 'as is', bytes }
  }
  if (frame[0] !== DEFLATED || frame.length <= DEFLATED_HEADER) return undefined
  const length = frame.readUInt32BE(1)
  if (length < DEFLATED_MIN || length > most) return undefined
  return { kind: 'deflated', length, bytes: frame.subarray(DEFLATED_HEADER) }
}

/** The stretch that `framed` holds; `undefined` when it does not inflate to exactly that. */
export async function stretchOf(framed: Framed): Promise<Buffer | undefined> {
  if (framed.kind === 'as is') return framed.bytes
  const plain = await inflateExactly(framed.bytes, framed.length)
  return plain === undefined ? undefined : Buffer.from(plain.buffer, plain.byteOffset, plain.length)
}
