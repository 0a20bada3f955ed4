// Reads a large file once: its SHA-256, where it is zero and, when asked for, its recipe.

import { createHash, hash } from 'node:crypto'
import { readSync } from 'node:fs'
import { chunkLength } from '../core/chunker.ts'
import { Expectation } from '../core/delta.ts'
import type { Run } from '../core/patch.ts'
import { RecipeWriter, type Recipe } from '../core/recipe.ts'
import type { Digest } from '../model/digest.ts'
import type { Fingerprint } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { withFile, type Unread } from './read-content.ts'
import type { SafeDirs } from './safe-dir.ts'

/** How much is read at once. Bytes. A chunk that reaches beyond it is looked at twice, which this size makes rare. */
const BLOCK = 4 * 1024 * 1024

/** Of a file that may share a stretch with others, the first part of each span is looked at: an eighth of it. Bytes. */
const SAMPLE = 1024 * 1024
const SAMPLE_SPAN = 8 * SAMPLE
/** So many samples at most. */
const SAMPLES = 128

/** The smallest stretch of zeros that is worth a step of its own, and by which size zeros are told. Bytes. */
const ZEROS_MIN = 64 * 1024
const PAGE = 4096
const ZERO_PAGE = Buffer.alloc(PAGE)
/** So many stretches of zeros are noted at most; the rest counts as data. */
const ZERO_RUNS = 2000

/** `sha256`: of the whole; `undefined` when someone else hashes it. */
export type LargeHashed =
  | {
      readonly kind: 'read'
      readonly sha256: Digest | undefined
      readonly zeros: readonly Run[]
      readonly recipe: Recipe | undefined
    }
  | Unread

/**
 * Reads the file, and hashes it unless someone else does. `like`: what it may be made from; with it, even when that is an empty list, the recipe is made
 * too.
 */
export function hashLarge(
  dirs: SafeDirs,
  file: { readonly path: RelPath; readonly print: Fingerprint },
  how: {
    readonly like: readonly Recipe[] | undefined
    readonly isHashed?: boolean
    readonly shouldStop: () => boolean
  },
): LargeHashed {
  return withFile(dirs, file.path, file.print, (fd): LargeHashed => {
    const sha256 = how.isHashed === true ? undefined : createHash('sha256')
    const zeros = new ZeroRuns()
    const chunks = how.like === undefined ? undefined : new Chunks(how.like)
    const { size } = file.print
    const onBytes = (fresh: Buffer, offset: number): void => {
      sha256?.update(fresh)
      zeros.look(fresh, offset)
    }
    if (!readThrough(fd, { size, chunks, onBytes, shouldStop: how.shouldStop })) return { kind: 'changed' }
    return {
      kind: 'read',
      sha256: sha256?.digest('hex') as Digest | undefined,
      zeros: zeros.found,
      recipe: chunks?.recipe(),
    }
  })
}

/** The recipe of a file whose SHA-256 is known. */
export function recipeOfFile(
  dirs: SafeDirs,
  file: { readonly path: RelPath; readonly print: Fingerprint },
  shouldStop: () => boolean,
): { readonly kind: 'read'; readonly recipe: Recipe } | Unread {
  return withFile(dirs, file.path, file.print, (fd) => {
    const chunks = new Chunks([])
    const isWhole = readThrough(fd, { size: file.print.size, chunks, onBytes: () => undefined, shouldStop })
    return isWhole ? { kind: 'read' as const, recipe: chunks.recipe() } : { kind: 'changed' as const }
  })
}

interface Reading {
  readonly size: number
  readonly chunks: Chunks | undefined
  readonly onBytes: (fresh: Buffer, offset: number) => void
  readonly shouldStop: () => boolean
}

/** Reads all of a file once; `false` when it is not `size` bytes long, or was told to stop. */
function readThrough(fd: number, { size, chunks, onBytes, shouldStop }: Reading): boolean {
  const buffer = Buffer.allocUnsafe(BLOCK)
  let total = 0
  for (let held = 0; ;) {
    // In whole pages, so that stretches of zeros are found where they can be holes.
    const read = readSync(fd, buffer, held, (BLOCK - held) & -PAGE, null)
    if (read === 0) {
      chunks?.cutLast(buffer.subarray(0, held))
      return total === size
    }
    if (total + read > size || shouldStop()) return false
    onBytes(buffer.subarray(held, held + read), total)
    total += read
    if (chunks === undefined) continue
    const taken = chunks.cut(buffer.subarray(0, held + read))
    held = held + read - taken
    buffer.copyWithin(0, taken, taken + held)
  }
}

/** A recipe of samples of the file: enough to tell whether other contents share a stretch with it. Cheap. */
export function sampleChunks(
  dirs: SafeDirs,
  file: { readonly path: RelPath; readonly print: Fingerprint },
): { readonly kind: 'read'; readonly recipe: Recipe } | Unread {
  return withFile(dirs, file.path, file.print, (fd) => {
    const buffer = Buffer.allocUnsafe(SAMPLE)
    const chunks = new Chunks([])
    const span = Math.max(SAMPLE_SPAN, Math.ceil(file.print.size / SAMPLES / PAGE) * PAGE)
    for (let at = 0; at < file.print.size; at += span) {
      const read = readSync(fd, buffer, 0, SAMPLE, at)
      chunks.cut(buffer.subarray(0, read))
    }
    return { kind: 'read' as const, recipe: chunks.recipe() }
  })
}

/** Cuts a content into chunks while it is read. */
class Chunks {
  readonly #writer = new RecipeWriter()
  readonly #expected: Expectation

  constructor(like: readonly Recipe[]) {
    this.#expected = new Expectation(like)
  }

  /** Takes the chunks that are whole in `bytes`; says how many bytes they are. */
  cut(bytes: Uint8Array): number {
    let at = 0
    for (;;) {
      const expected = this.#expected.nextLength()
      if (expected > 0 && at + expected > bytes.length) return at
      if (expected > 0) {
        const digest = hash('sha256', bytes.subarray(at, at + expected), 'buffer')
        if (this.#expected.isNext(digest)) {
          this.#writer.add(expected, digest)
          this.#expected.cameAsExpected()
          at += expected
          continue
        }
      }
      const length = chunkLength(bytes, at, bytes.length)
      if (length === 0) return at
      this.#add(bytes.subarray(at, at + length))
      at += length
    }
  }

  /** Takes what is left at the end: it may still be more than one chunk, as one was expected to be longer. */
  cutLast(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const length = chunkLength(bytes, at, bytes.length) || bytes.length - at
      this.#add(bytes.subarray(at, at + length))
      at += length
    }
  }

  recipe(): Recipe {
    return this.#writer.finish()
  }

  #add(chunk: Uint8Array): void {
    const digest = hash('sha256', chunk, 'buffer')
    this.#writer.add(chunk.length, digest)
    const alone = new RecipeWriter()
    alone.add(chunk.length, digest)
    this.#expected.came(alone.finish())
  }
}

/** Finds long stretches of zeros in a content that is read in order. */
class ZeroRuns {
  readonly found: Run[] = []
  #from = -1
  #end = 0

  look(bytes: Buffer, offset: number): void {
    for (let at = 0; at < bytes.length; at += PAGE) {
      const end = Math.min(at + PAGE, bytes.length)
      // The first byte settles it nearly always, without a call.
      const isZero = bytes[at] === 0 && ZERO_PAGE.compare(bytes, at, end, 0, end - at) === 0
      if (!isZero) continue
      if (this.#end !== offset + at || this.#from < 0) this.#from = offset + at
      this.#end = offset + end
      this.#note()
    }
  }

  #note(): void {
    const length = this.#end - this.#from
    if (length < ZEROS_MIN) return
    const last = this.found.at(-1)
    if (last?.offset === this.#from) this.found[this.found.length - 1] = { offset: this.#from, length }
    else if (this.found.length < ZERO_RUNS) this.found.push({ offset: this.#from, length })
  }
}
