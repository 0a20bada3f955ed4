// Fetches small bodies: where the coordinator keeps them, and then the bytes, a chunk at a time.

import type { ApplyStep } from '../core/apply-step.ts'
import { Refused } from '../errors.ts'
import { PACK_BODIES, PACK_BYTES, type ContentPlace, type PlacedHead } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { Head } from '../model/revision.ts'
import type { Attached, FolderState } from './folder-state.ts'
import type { Hub, PlacedContent } from './ports.ts'

export type Write = Extract<ApplyStep, { do: 'write' }>

/** A write with its bytes; without, when they cannot be had. */
export interface Fetched {
  readonly step: Write
  readonly bytes: Uint8Array | undefined
}

export class Fetcher {
  readonly #state: FolderState
  /** Where the coordinator said that a head's content can be read. */
  readonly #places = new WeakMap<Head, ContentPlace>()

  constructor(state: FolderState) {
    this.#state = state
  }

  /** Remembers where the content of a head was said to be. */
  note({ head, place }: PlacedHead): void {
    if (place !== undefined) this.#places.set(head, place)
  }

  /** Fetches the bodies of one chunk. */
  async fetch(chunk: readonly Write[], { hub }: Attached, signal: AbortSignal): Promise<Fetched[]> {
    const { progress } = this.#state
    progress.bytesTotal += chunk.reduce((sum, step) => sum + step.entry.size, 0)
    const onBytes = (bytes: number): void => {
      progress.bytesDone += bytes
      this.#state.changed()
    }
    const unique = new Map<Digest, Write>()
    for (const step of chunk) unique.set(step.entry.sha256, step)
    let placed = await this.place([...unique.values()], hub, signal, 'known')
    let bodies: readonly Uint8Array[]
    try {
      bodies = await hub.depot.read(placed, onBytes, signal)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      placed = await this.place([...unique.values()], hub, signal, 'ask')
      bodies = await hub.depot.read(placed, onBytes, signal)
    }
    const byDigest = new Map(placed.map((content, index) => [content.sha256, bodies[index]]))
    const used = new Set<Digest>()
    return chunk.map((step) => {
      const found = byDigest.get(step.entry.sha256)
      const bytes = used.has(step.entry.sha256) ? found?.slice() : found
      used.add(step.entry.sha256)
      return { step, bytes }
    })
  }

  /** Where the contents of writes can be read; those that are nowhere are left out. */
  async place(steps: readonly Write[], hub: Hub, signal: AbortSignal, how: 'known' | 'ask'): Promise<PlacedContent[]> {
    const known = steps.map((step) => (how === 'known' ? this.#places.get(step.head) : undefined))
    const missing = steps.filter((_, index) => known[index] === undefined)
    const asked =
      missing.length === 0
        ? []
        : await hub.places(
            missing.map((step) => step.entry.sha256),
            signal,
          )
    return steps.flatMap((step, index): PlacedContent[] => {
      const place = known[index] ?? asked[missing.indexOf(step)]
      return place === undefined ? [] : [{ sha256: step.entry.sha256, size: step.entry.size, place }]
    })
  }
}

/** Cuts writes into chunks of bounded size, in order. */
export function chunksOf(steps: readonly Write[]): Write[][] {
  const chunks: Write[][] = []
  let chunk: Write[] = []
  let bytes = 0
  for (const step of steps) {
    if (chunk.length > 0 && (chunk.length >= PACK_BODIES || bytes + step.entry.size > PACK_BYTES)) {
      chunks.push(chunk)
      chunk = []
      bytes = 0
    }
    chunk.push(step)
    bytes += step.entry.size
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}
