// Reads bodies of small contents from the files they lie in: neighbours at once, and into the same memory.

import { closeSync, openSync, readSync } from 'node:fs'
import { codeOf } from '../disk/trouble.ts'
import { Refused } from '../errors.ts'
import { EMPTY_DIGEST } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { KeptContent } from '../store/contents.ts'

/** Bytes of a content on this machine. */
export interface HostPlace {
  readonly file: HostPath
  readonly offset: number
}

/** Contents that lie one after the other in a file. `at`: where in the run. Bytes. */
interface Run {
  readonly file: HostPath
  readonly offset: number
  length: number
  readonly parts: { readonly content: KeptContent; readonly at: number }[]
}

/** The bytes of each content, in order. Throws `Refused` 404 for one that is not there, or not all of it. */
export function readBodies(
  contents: readonly KeptContent[],
  placeOf: (content: KeptContent) => HostPlace,
): Uint8Array[] {
  const bodies = new Map<KeptContent, Uint8Array>()
  for (const run of runsOf(contents, placeOf)) {
    const bytes = readSpan(run)
    for (const { content, at } of run.parts) bodies.set(content, bytes.subarray(at, at + content.size))
  }
  return contents.map((content) => bodies.get(content) ?? new Uint8Array(content.size))
}

function runsOf(contents: readonly KeptContent[], placeOf: (content: KeptContent) => HostPlace): Run[] {
  const placed = contents
    .filter(({ sha256 }) => sha256 !== EMPTY_DIGEST)
    .map((content) => ({ content, ...placeOf(content) }))
    .sort((a, b) => (a.file === b.file ? a.offset - b.offset : a.file < b.file ? -1 : 1))
  const runs: Run[] = []
  for (const { content, file, offset } of placed) {
    const last = runs.at(-1)
    if (last?.file === file && last.offset + last.length === offset) {
      last.parts.push({ content, at: last.length })
      last.length += content.size
    } else runs.push({ file, offset, length: content.size, parts: [{ content, at: 0 }] })
  }
  return runs
}

function readSpan({ file, offset, length, parts }: Run): Uint8Array {
  const bytes = new Uint8Array(length)
  const fd = openOrRefuse(file, parts)
  try {
    for (let at = 0; at < length;) {
      const read = readSync(fd, bytes, at, length - at, offset + at)
      if (read === 0) throw new Refused(`Cannot read content ${cutAt(parts, at)}: it is cut short`, { status: 404 })
      at += read
    }
    return bytes
  } finally {
    closeSync(fd)
  }
}

/** The first content of a run that is not all there when only `length` bytes of it are. */
function cutAt(parts: Run['parts'], length: number): string {
  return parts.find(({ content, at }) => at + content.size > length)?.content.sha256 ?? ''
}

function openOrRefuse(file: HostPath, parts: Run['parts']): number {
  try {
    return openSync(file, 'r')
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') throw cause
    throw new Refused(`Cannot read content ${cutAt(parts, 0)}: it is not held`, { status: 404, cause })
  }
}
