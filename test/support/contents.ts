// Contents for tests of deltas: bytes without a pattern, their recipes, and patches done in memory.

import { createHash } from 'node:crypto'
import { chunkLength } from '../../lib/core/chunker.ts'
import { RecipeWriter, type Recipe } from '../../lib/core/recipe.ts'
import type { PatchOp } from '../../lib/model/content.ts'

/** `size` bytes that have no pattern, the same for the same seed. */
export function noise(size: number, seed = 1): Buffer {
  const words = new Int32Array(Math.ceil(size / 4))
  let state = seed * 0x9e3779b1 || 1
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return Buffer.from(words.buffer, 0, size)
}

const WORDS = Array.from({ length: 256 }, (_, index) =>
  noise(6, index + 1)
    .toString('base64')
    .slice(0, 3 + (index % 6)),
)

/** Words in no order: text that shrinks to a third or so. */
export function words(size: number, seed: number): Buffer {
  return Buffer.from(Array.from(noise(size / 3, seed), (byte) => WORDS[byte] ?? '').join(' ')).subarray(0, size)
}

/** The chunks of `bytes`, cut one after the other. */
export function chunksOf(bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const length = chunkLength(bytes, at, bytes.length) || bytes.length - at
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return chunks
}

export function recipeOf(bytes: Uint8Array): Recipe {
  const writer = new RecipeWriter()
  for (const chunk of chunksOf(bytes)) writer.add(chunk.length, createHash('sha256').update(chunk).digest())
  return writer.finish()
}

/** What `ops` make of the sources; data is taken from `fresh`, the content that is to come out. */
export function patched(ops: readonly PatchOp[], sources: readonly Uint8Array[], fresh: Uint8Array): Buffer {
  const parts: Uint8Array[] = []
  let at = 0
  for (const op of ops) {
    if (op.kind === 'zero') parts.push(new Uint8Array(op.length))
    else if (op.kind === 'data') parts.push(fresh.subarray(at, at + op.length))
    else parts.push((sources[op.source] ?? new Uint8Array()).subarray(op.offset, op.offset + op.length))
    at += op.length
  }
  return Buffer.concat(parts)
}
