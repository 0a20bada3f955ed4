// Decides how a content is made from others: which of its stretches stand in a source, which are zeros, and which must travel.

import { PATCH_OPS, type Patch, type PatchOp } from '../model/content.ts'
import { CHUNK_MAX } from './chunker.ts'
import { literalBytes, type Run } from './patch.ts'
import { CHUNK_DIGEST, type Recipe } from './recipe.ts'

/** A chunk of a source. */
export interface Found {
  readonly source: number
  readonly chunk: number
}

/** The chunks of some contents, to be looked up by what they hold. */
export class ChunkIndex {
  readonly #sources: readonly Recipe[]
  readonly #count: number
  // Open addressing: the number of a chunk over all sources, plus one; 0 = free.
  readonly #table: Int32Array

  constructor(sources: readonly Recipe[]) {
    this.#sources = sources
    this.#count = sources.reduce((sum, source) => sum + source.count, 0)
    let size = 16
    while (size < this.#count * 2) size *= 2
    this.#table = new Int32Array(size)
    let number = 0
    for (const source of sources) for (let chunk = 0; chunk < source.count; chunk++) this.#put(number++, source, chunk)
  }

  /** Where a chunk like this one stands; right after `last` when it stands there too, as stretches make fewer steps than scattered chunks. */
  find(recipe: Recipe, chunk: number, last: Found | undefined): Found | undefined {
    if (last !== undefined) {
      const next = { source: last.source, chunk: last.chunk + 1 }
      const source = this.#sources[next.source]
      if (source !== undefined && next.chunk < source.count && source.isSame(next.chunk, recipe, chunk)) return next
    }
    const mask = this.#table.length - 1
    for (let slot = recipe.keyOf(chunk) & mask; ; slot = (slot + 1) & mask) {
      const number = this.#numberIn(slot)
      if (number < 0) return undefined
      const found = this.#foundAt(number)
      if (this.#sources[found.source]?.isSame(found.chunk, recipe, chunk) === true) return found
    }
    /* c8 ignore next -- the loop ends by a return only: the table always has an empty slot */
  }

  #put(number: number, recipe: Recipe, chunk: number): void {
    const mask = this.#table.length - 1
    let slot = recipe.keyOf(chunk) & mask
    for (; this.#table[slot] !== 0; slot = (slot + 1) & mask) {
      // Equal chunks (zeros) are kept once: the first will do, and the table stays quick.
      const other = this.#foundAt(this.#numberIn(slot))
      if (this.#sources[other.source]?.isSame(other.chunk, recipe, chunk) === true) return
    }
    this.#table[slot] = number + 1
  }

  /** The number of the chunk in a slot; -1 when it is free. */
  #numberIn(slot: number): number {
    /* c8 ignore next -- the compiler cannot know that the slot is within the table */
    return (this.#table[slot] ?? 0) - 1
  }

  #foundAt(number: number): Found {
    let source = 0
    let chunk = number
    for (const { count } of this.#sources) {
      if (chunk < count) break
      chunk -= count
      source++
    }
    return { source, chunk }
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }
}

/** Says which chunk to expect next while a content is read, so that what only moved need not be cut anew: the bytes alone decide the cuts. */
export class Expectation {
  readonly #sources: readonly Recipe[]
  readonly #index: ChunkIndex
  #last: Found | undefined

  constructor(sources: readonly Recipe[]) {
    this.#sources = sources
    this.#index = new ChunkIndex(sources)
    // The start of the new content is most likely the start of the first source.
    this.#last = this.#index.isEmpty ? undefined : { source: 0, chunk: -1 }
  }

  /** Length of the chunk that should follow; 0 when nothing is expected. The last chunk of a source was cut by its end, so it is no model. */
  nextLength(): number {
    const next = this.#next()
    const length = next?.recipe.lengthOf(next.chunk) ?? 0
    return length > CHUNK_MAX ? 0 : length
  }

  /** Whether the chunk with this digest is the one that should follow. */
  isNext(digest: Uint8Array): boolean {
    const next = this.#next()
    if (next === undefined) return false
    const from = next.chunk * (next.recipe.bytes.length / next.recipe.count) + 4
    for (let at = 0; at < CHUNK_DIGEST; at++) if (next.recipe.bytes[from + at] !== digest[at]) return false
    return true
  }

  /** The chunk that came: the first of `recipe`, which holds it alone. */
  came(recipe: Recipe): void {
    this.#last = this.#index.find(recipe, 0, this.#last)
  }

  /** The expected chunk came. */
  cameAsExpected(): void {
    const next = this.#next()
    if (next !== undefined) this.#last = { source: next.source, chunk: next.chunk }
  }

  #next(): { recipe: Recipe; source: number; chunk: number } | undefined {
    if (this.#last === undefined) return undefined
    const { source, chunk } = this.#last
    const recipe = this.#sources[source]
    return recipe === undefined || chunk + 2 >= recipe.count ? undefined : { recipe, source, chunk: chunk + 1 }
  }
}

/** The steps that make a content of `size` bytes when nothing of it is known but where it is zero. `zeros` in order, apart from each other. */
export function zeroOps(size: number, zeros: readonly Run[]): PatchOp[] {
  const ops = new Ops()
  ops.data(0, size, zeros)
  return ops.list
}

/** A patch must spare this share of the bytes: below it the whole is simpler, and can be resumed. */
const WORTH = 0.3
/** About what one step costs in a message. Bytes. */
const OP_BYTES = 16

/** Whether sending a patch is better than sending all `size` bytes. */
export function isWorthIt({ ops }: Patch, size: number): boolean {
  return ops.length <= PATCH_OPS && literalBytes(ops) + ops.length * OP_BYTES < size * (1 - WORTH)
}

/** The patch without the sources that it does not use. */
export function withoutUnused({ sources, ops }: Patch): Patch {
  const used = [...new Set(ops.flatMap((op) => (op.kind === 'copy' ? [op.source] : [])))].sort((a, b) => a - b)
  return {
    sources: used.flatMap((source) => sources[source] ?? []),
    ops: ops.map((op) => (op.kind === 'copy' ? { ...op, source: used.indexOf(op.source) } : op)),
  }
}

/**
 * The steps that make the content of `recipe` from its sources. `zeros`: where it is zero, in order and apart from each other; that is cheaper than
 * any copy. `unfound`: is told each chunk that no source has.
 */
export function deltaOps(
  recipe: Recipe,
  sources: readonly Recipe[],
  { zeros, unfound }: { readonly zeros: readonly Run[]; readonly unfound?: (chunk: number) => void },
): PatchOp[] {
  const index = new ChunkIndex(sources)
  const offsets = sources.map(offsetsOf)
  const ops = new Ops()
  const left = new RunReader(zeros)
  let last: Found | undefined
  let at = 0
  for (let chunk = 0; chunk < recipe.count; chunk++) {
    const length = recipe.lengthOf(chunk)
    const within = left.overlapping(at, length)
    const found = index.find(recipe, chunk, last)
    last = found
    if (isAllZero(at, length, within)) ops.zero(length)
    else if (found === undefined) {
      unfound?.(chunk)
      ops.data(at, length, within)
    } else {
      /* c8 ignore next -- the compiler cannot know that what was found is among the offsets */
      const offset = offsets[found.source]?.[found.chunk] ?? 0
      ops.copy(found.source, offset, length)
    }
    at += length
  }
  return ops.list
}

/** Collects steps; neighbours that can be one are one. */
class Ops {
  readonly list: PatchOp[] = []

  copy(source: number, offset: number, length: number): void {
    const last = this.list.at(-1)
    if (last?.kind === 'copy' && last.source === source && last.offset + last.length === offset) {
      this.list[this.list.length - 1] = { ...last, length: last.length + length }
    } else this.list.push({ kind: 'copy', source, offset, length })
  }

  zero(length: number): void {
    this.#add('zero', length)
  }

  /** Bytes of the new content from `offset` on, those of `zeros`, which each have a part in them, as such. */
  data(offset: number, length: number, zeros: readonly Run[]): void {
    let at = offset
    const end = offset + length
    for (const zero of zeros) {
      const from = Math.max(at, zero.offset)
      const to = Math.min(end, zero.offset + zero.length)
      this.#add('data', from - at)
      this.#add('zero', to - from)
      at = to
    }
    this.#add('data', end - at)
  }

  #add(kind: 'data' | 'zero', length: number): void {
    if (length === 0) return
    const last = this.list.at(-1)
    if (last?.kind === kind) this.list[this.list.length - 1] = { kind, length: last.length + length }
    else this.list.push({ kind, length })
  }
}

/** Reads runs in step with a content. */
class RunReader {
  readonly #runs: readonly Run[]
  #at = 0

  constructor(runs: readonly Run[]) {
    this.#runs = runs
  }

  /** The runs that have a part in this stretch; stretches are asked for in order. */
  overlapping(offset: number, length: number): Run[] {
    for (let run = this.#runs[this.#at]; run !== undefined && run.offset + run.length <= offset;) {
      run = this.#runs[++this.#at]
    }
    const found: Run[] = []
    for (let i = this.#at, run = this.#runs[i]; run !== undefined && run.offset < offset + length;) {
      found.push(run)
      run = this.#runs[++i]
    }
    return found
  }
}

function isAllZero(offset: number, length: number, [run]: readonly Run[]): boolean {
  return run !== undefined && run.offset <= offset && run.offset + run.length >= offset + length
}

function offsetsOf(recipe: Recipe): Float64Array {
  const offsets = new Float64Array(recipe.count)
  for (let chunk = 0, at = 0; chunk < recipe.count; chunk++) {
    offsets[chunk] = at
    at += recipe.lengthOf(chunk)
  }
  return offsets
}
