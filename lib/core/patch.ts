// Patches: checks the steps that make one content from others, chains two of them, and writes them down.

import { PATCH_MAX, PATCH_OPS, PATCH_SOURCES, type Patch, type PatchOp } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'

/** `length` bytes from `offset` on. */
export interface Run {
  readonly offset: number
  readonly length: number
}

/** A step as it is written down: `[source, offset, length]` copies, a positive number is data of that length, a negative one zeros. */
export type PatchCode = number | readonly [number, number, number]

export function codeOf(op: PatchOp): PatchCode {
  if (op.kind === 'copy') return [op.source, op.offset, op.length]
  return op.kind === 'data' ? op.length : -op.length
}

/** Parses a step; `undefined` when it is none. */
export function parseCode(code: unknown): PatchOp | undefined {
  if (typeof code === 'number') {
    if (!Number.isSafeInteger(code) || code === 0) return undefined
    return code > 0 ? { kind: 'data', length: code } : { kind: 'zero', length: -code }
  }
  if (!Array.isArray(code) || code.length !== 3) return undefined
  const [source, offset, length] = code as unknown[]
  if (!isCount(source) || !isCount(offset) || !isCount(length)) return undefined
  return length === 0 || source >= PATCH_SOURCES ? undefined : { kind: 'copy', source, offset, length }
}

/**
 * What is wrong with a patch that should make `size` bytes; `undefined` when nothing is. `sizeOf` tells the size of a source, `undefined` for one that
 * need not be known.
 */
export function patchFault(
  { sources, ops }: Patch,
  size: number,
  sizeOf: (sha256: Digest) => number | undefined,
): string | undefined {
  if (size > PATCH_MAX) return 'the content is too large for a patch'
  if (ops.length > PATCH_OPS || sources.length > PATCH_SOURCES) return 'the patch has too many steps'
  const sizes = sources.map(sizeOf)
  let made = 0
  for (const op of ops) {
    if (!isCount(op.length) || op.length === 0) return 'a step of the patch has no length'
    if (op.kind === 'copy') {
      if (!isCount(op.source) || op.source >= sources.length) return 'a step of the patch names no source'
      const known = sizes[op.source]
      if (!isCount(op.offset) || (known !== undefined && op.offset + op.length > known))
        return 'a step of the patch is outside its source'
    }
    made += op.length
    if (made > size) break
  }
  return made === size ? undefined : 'the patch does not make the size of the content'
}

/** How many bytes of the new content travel. */
export function literalBytes(ops: readonly PatchOp[]): number {
  return ops.reduce((sum, op) => sum + (op.kind === 'data' ? op.length : 0), 0)
}

/** How many bytes of the new content take room where it is made: zeros become holes. */
export function writtenBytes(ops: readonly PatchOp[]): number {
  return ops.reduce((sum, op) => sum + (op.kind === 'zero' ? 0 : op.length), 0)
}

/** Where the literals are in the new content, in order. */
export function literalRuns(ops: readonly PatchOp[]): Run[] {
  const runs: Run[] = []
  let offset = 0
  for (const { kind, length } of ops) {
    if (kind === 'data') runs.push({ offset, length })
    offset += length
  }
  return runs
}

/**
 * The patch with one source taken apart: what `patch` copies from `sources[which]` comes from that source's own sources. What is data there is
 * data here.
 */
export function throughSource(patch: Patch, which: number, source: Patch): Patch {
  const sources = [...patch.sources]
  const places = source.sources.map((sha256) => {
    const known = sources.indexOf(sha256)
    return known >= 0 ? known : sources.push(sha256) - 1
  })
  const ops = patch.ops.flatMap((op): PatchOp[] =>
    op.kind === 'copy' && op.source === which ? cut(source.ops, op, places) : [op],
  )
  return { sources, ops: merged(ops) }
}

/** In no list of sources: what names none before must not name one by chance afterwards. */
const NO_SOURCE = Number.MAX_SAFE_INTEGER

/** The steps that make the bytes `offset` to `offset + length` of what `ops` make. */
function cut(
  ops: readonly PatchOp[],
  { offset, length }: { readonly offset: number; readonly length: number },
  places: readonly number[],
): PatchOp[] {
  const found: PatchOp[] = []
  let start = 0
  for (const op of ops) {
    const from = Math.max(start, offset)
    const to = Math.min(start + op.length, offset + length)
    if (from < to) {
      const part = { ...op, length: to - from }
      found.push(
        part.kind === 'copy'
          ? { ...part, source: places[part.source] ?? NO_SOURCE, offset: part.offset + from - start }
          : part,
      )
    }
    start += op.length
    if (start >= offset + length) break
  }
  return found
}

function merged(ops: readonly PatchOp[]): PatchOp[] {
  const list: PatchOp[] = []
  for (const op of ops) {
    const last = list.at(-1)
    const follows =
      last?.kind === op.kind &&
      (last.kind !== 'copy' ||
        (op.kind === 'copy' && last.source === op.source && last.offset + last.length === op.offset))
    if (last !== undefined && follows) list[list.length - 1] = { ...last, length: last.length + op.length }
    else list.push(op)
  }
  return list
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
