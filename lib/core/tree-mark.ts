// Marks what is believed to live below a directory, so that two sides can tell whether they believe the same without naming it all.

import type { RelPath } from '../model/path.ts'
import type { Seq, TreeMark } from '../model/revision.ts'

/** One path below a directory, with the Seq of its head. */
interface Known {
  readonly path: RelPath
  readonly seq: Seq
}

/** The mark of what lives below `dir`. Each path counts once; their order does not. */
export function treeMark(dir: RelPath, below: Iterable<Known>): TreeMark {
  let count = 0
  let high = 0
  let low = 0
  for (const { path, seq } of below) {
    count += 1
    // Two sums of two hashes of the same text: what one of them misses the other does not.
    const text = `${seq} ${path.slice(dir.length + 1)}`
    high = (high + hashOf(text, 0x9e3779b1)) >>> 0
    low = (low + hashOf(text, 0x85ebca77)) >>> 0
  }
  return { count, hash: hex(high) + hex(low) }
}

export function sameMark(a: TreeMark, b: TreeMark): boolean {
  return a.count === b.count && a.hash === b.hash
}

/** 32 bits of `text` that depend on every bit of it and of `seed`, an odd number. */
function hashOf(text: string, seed: number): number {
  let state = seed ^ text.length
  for (let i = 0; i < text.length; i++) {
    state = Math.imul(state ^ text.charCodeAt(i), seed)
    state ^= state >>> 15
  }
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae3d)
  state = Math.imul(state ^ (state >>> 16), seed)
  return (state ^ (state >>> 14)) >>> 0
}

function hex(bits: number): string {
  return bits.toString(16).padStart(8, '0')
}
