// Cuts contents into chunks where the bytes themselves say so: what is inserted or removed moves only the cuts around it.

/** Version of the cuts: sizes, table and masks. Recipes of another version are of no use, and are made anew. */
export const CHUNKER_VERSION = 1

// A chunk is what one edit costs on the wire, on each hop: 32 KiB on average keep two edits of a file below 200 KiB. Smaller ones would
// not be worth their 20 bytes in the recipe; larger ones (64 KiB) doubled the cost of an edit and were no faster to find.
/** No chunk but the last is shorter: these bytes need not be looked at, which makes up for the looking. */
export const CHUNK_MIN = 8 * 1024
/** From here on a cut is 16 times as likely: sizes stay close to it (normalised cut points). */
export const CHUNK_NORMAL = 32 * 1024
/** No chunk is longer: bounds what must be held in memory, and what bytes without any cut (zeros) cost. */
export const CHUNK_MAX = 128 * 1024

/** The hash of a byte's neighbourhood: these many bytes, the last one among them, decide. */
const WINDOW = 32

// Masks of the top bits, which are the ones that all of the window has a part in: 15 bits = log2 of the normal size, and two more or less.
const RARE = -1 << (32 - 17)
const OFTEN = -1 << (32 - 13)

const GEAR = gearTable(0x53794368) // SyCh

/**
 * Length of the chunk that starts at `from` of `bytes`, which are known up to `end`; 0 when it takes more bytes to tell. The end of a content
 * ends its last chunk: that is the caller's to know.
 */
export function chunkLength(bytes: Uint8Array, from: number, end: number): number {
  const known = end - from
  if (known < CHUNK_MIN) return 0
  // Counted from 0, the loops below are half as fast again.
  const chunk = bytes.subarray(from, from + Math.min(known, CHUNK_MAX))
  const normal = Math.min(chunk.length, CHUNK_NORMAL)
  let at = CHUNK_MIN - WINDOW
  let hash = 0
  /* c8 ignore next -- the compiler cannot know that both are within bounds */
  for (; at < CHUNK_MIN; at++) hash = ((hash << 1) + (GEAR[chunk[at] ?? 0] ?? 0)) | 0
  for (; at < normal; at++) {
    /* c8 ignore next -- the compiler cannot know that both are within bounds */
    hash = ((hash << 1) + (GEAR[chunk[at] ?? 0] ?? 0)) | 0
    if ((hash & RARE) === 0) return at + 1
  }
  for (; at < chunk.length; at++) {
    /* c8 ignore next -- the compiler cannot know that both are within bounds */
    hash = ((hash << 1) + (GEAR[chunk[at] ?? 0] ?? 0)) | 0
    if ((hash & OFTEN) === 0) return at + 1
  }
  return known >= CHUNK_MAX ? CHUNK_MAX : 0
}

/** One number for each byte, spread over all bits: `splitmix32` from a fixed seed. Part of the version. */
function gearTable(seed: number): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0, state = seed; byte < 256; byte++) {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    table[byte] = mixed ^ (mixed >>> 15)
  }
  return table
}
