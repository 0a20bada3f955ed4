// Recipes: the ordered chunks of one content, as they are kept and as they are looked through.

/**
 * Bytes kept of a chunk's SHA-256. Half of it: a recipe only proposes what may be equal, and whatever is made from it is verified by the SHA-256 of the
 * whole before anyone sees it. A cheaper checksum will not do: contents that hold CRCs of their own (archives, images) make CRCs collide.
 */
export const CHUNK_DIGEST = 16

/** One chunk in a kept recipe: its length (4 bytes, little-endian), then its digest. */
const ROW = 4 + CHUNK_DIGEST

/** One chunk in this many is marked, so that another content that shares a stretch is found. */
const MARKED_BITS = 0b111
/** So many marks at most are kept of one content. */
const MARKS = 4096

/** The chunks of one content in order. */
export class Recipe {
  /** As it is kept. */
  readonly bytes: Uint8Array
  readonly #view: DataView

  /** `bytes` as they were kept; a torn last row is left out. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes.subarray(0, bytes.length - (bytes.length % ROW))
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, this.bytes.length)
  }

  /** How many chunks it has. */
  get count(): number {
    return this.bytes.length / ROW
  }

  lengthOf(chunk: number): number {
    return this.#view.getUint32(chunk * ROW, true)
  }

  /** The first 4 bytes of a chunk's digest, as an integer. */
  keyOf(chunk: number): number {
    return this.#view.getInt32(chunk * ROW + 4, true)
  }

  /** Whether both chunks are the same. */
  isSame(chunk: number, other: Recipe, otherChunk: number): boolean {
    const from = chunk * ROW
    const otherFrom = otherChunk * ROW
    for (let at = 0; at < ROW; at += 4) {
      if (this.#view.getInt32(from + at, true) !== other.#view.getInt32(otherFrom + at, true)) return false
    }
    return true
  }

  /** Marks of the chunks by which this content can be found; sparser in a large one. */
  marks(): number[] {
    const marks = this.#marksOf(MARKED_BITS)
    const step = Math.ceil(marks.length / MARKS)
    return step <= 1 ? marks : marks.filter((mark) => (mark >>> 3) % step === 0)
  }

  /** The mark of each of these chunks that could have been kept as one. */
  marksAmong(chunks: Iterable<number>): number[] {
    const marks: number[] = []
    for (const chunk of chunks) if ((this.keyOf(chunk) & MARKED_BITS) === 0) marks.push(this.keyOf(chunk))
    return marks
  }

  #marksOf(bits: number): number[] {
    const marks: number[] = []
    for (let chunk = 0; chunk < this.count; chunk++) {
      if ((this.keyOf(chunk) & bits) === 0) marks.push(this.keyOf(chunk))
    }
    return marks
  }
}

/** Writes a recipe down, chunk by chunk. */
export class RecipeWriter {
  #bytes = new Uint8Array(64 * ROW)
  #length = 0

  /** The next chunk; `digest` is cut to what is kept of it. */
  add(length: number, digest: Uint8Array): void {
    if (this.#length + ROW > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    new DataView(this.#bytes.buffer).setUint32(this.#length, length, true)
    this.#bytes.set(digest.subarray(0, CHUNK_DIGEST), this.#length + 4)
    this.#length += ROW
  }

  /** What was written, in a buffer of its own. */
  finish(): Recipe {
    return new Recipe(this.#bytes.slice(0, this.#length))
  }
}
