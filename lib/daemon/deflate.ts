// Deflates bytes that shrink, off the event loop, and inflates what is known to come out so long (RFC 1950).

import { deflate, inflate, inflateSync, type InputType, type ZlibOptions } from 'node:zlib'

/** The quickest: more effort costs more time than it saves. */
const LEVEL = 1
/** Deflating is worth it below this share of the size. */
const WORTH = 0.85
/** Fewer bytes than this travel in as many round trips either way. */
export const DEFLATED_MIN = 8 * 1024
/** Two pieces of this size say what the whole is like. */
const PIECE_BYTES = 64 * 1024
/** So much of a stretch is looked at. */
const LOOK_BYTES = 16 * 1024
/** The size of the buffers that deflate fills: each is a trip to another thread and back. Bytes. */
const CHUNK_BYTES = 256 * 1024

/** `bytes` deflated, `undefined` when they are few, or do not shrink enough. They must not change meanwhile. */
export async function deflateIfWorth(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (bytes.length < DEFLATED_MIN) return undefined
  if (bytes.length > 4 * PIECE_BYTES && !(await seemsWorth(bytes))) return undefined
  const deflated = await deflateAll(bytes)
  return deflated.length < worthBelow(bytes.length) ? deflated : undefined
}

/**
 * As `deflateIfWorth`, of one of many stretches of a content, some 100 KiB each: its first bytes stand for it, so that a stretch that does not shrink
 * costs a look.
 */
export async function deflateStretch(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (bytes.length < DEFLATED_MIN) return undefined
  if (bytes.length > 2 * LOOK_BYTES) {
    const look = await deflateAll(bytes.subarray(0, LOOK_BYTES))
    if (look.length >= worthBelow(LOOK_BYTES)) return undefined
  }
  const deflated = await deflateAll(bytes)
  return deflated.length < worthBelow(bytes.length) ? deflated : undefined
}

/** What `length` bytes must come down to. */
export function worthBelow(length: number): number {
  return Math.floor(length * WORTH)
}

/** What `deflated` holds, in a buffer of its own; `undefined` when that is not exactly `length` bytes (at least 8 KiB), and nothing after them. */
export async function inflateExactly(deflated: Uint8Array, length: number): Promise<Uint8Array | undefined> {
  if (length < DEFLATED_MIN) return undefined
  const found = await new Promise<unknown>((resolve) => {
    inflate(deflated, bounded(length), (error, result) => {
      resolve(error === null ? result : undefined)
    })
  })
  return wholeOf(found, deflated.length, length)
}

/** As `inflateExactly`, for threads that may wait. */
export function inflateExactlySync(deflated: Uint8Array, length: number): Uint8Array | undefined {
  if (length < DEFLATED_MIN) return undefined
  try {
    return wholeOf(inflateSync(deflated, bounded(length)), deflated.length, length)
  } catch (error) {
    // zlib's own words for what is broken, cut short or longer than allowed.
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}

/** The start and the middle stand for the whole: what is compressed already is left alone after a look at 128 KiB of it. */
async function seemsWorth(bytes: Uint8Array): Promise<boolean> {
  const middle = bytes.length >> 1
  const pieces = [bytes.subarray(0, PIECE_BYTES), bytes.subarray(middle, middle + PIECE_BYTES)]
  let length = 0
  for (const piece of pieces) length += (await deflateAll(piece)).length
  return length < worthBelow(2 * PIECE_BYTES)
}

function deflateAll(bytes: InputType): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    deflate(bytes, { level: LEVEL, chunkSize: CHUNK_BYTES }, (error, result) => {
      if (error === null) resolve(result)
      else reject(error)
    })
  })
}

/** All comes out in one buffer, which is too large to be shared with others. */
function bounded(length: number): ZlibOptions {
  return { maxOutputLength: length, chunkSize: length + 1, info: true }
}

/** What zlib gives with `info`, which its types do not know. */
function wholeOf(found: unknown, read: number, length: number): Uint8Array | undefined {
  if (found === undefined) return undefined
  const { buffer, engine } = found as { buffer: Buffer; engine: { bytesWritten: number } }
  return buffer.length === length && engine.bytesWritten === read ? buffer : undefined
}
