// Fetches small bodies: where the coordinator keeps them, and then the bytes, a chunk at a time, the next one ahead.

import type { ApplyStep } from '../core/apply-step.ts'
import { Refused } from '../errors.ts'
import { PACK_BODIES, PACK_BYTES, PACKED_MAX, type ContentPlace, type PlacedHead } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { Head } from '../model/revision.ts'
import type { Attached, FolderState } from './folder-state.ts'
import type { Hub, OnBytes, PlacedContent } from './ports.ts'

export type Write = Extract<ApplyStep, { do: 'write' }>

/** A write with its bytes; without, when they cannot be had. */
export interface Fetched {
  readonly step: Write
  readonly bytes: Uint8Array | undefined
}

/** Bodies that are on their way though nobody has asked for them yet. */
interface Ahead {
  readonly digests: ReadonlySet<Digest>
  readonly bodies: Promise<ReadonlyMap<Digest, Uint8Array>>
}

export class Fetcher {
  readonly #state: FolderState
  /** Where the coordinator said that a head's content can be read. */
  readonly #places = new WeakMap<Head, ContentPlace>()
  #ahead: Ahead | undefined

  constructor(state: FolderState) {
    this.#state = state
  }

  /** Remembers where the content of a head was said to be. */
  note({ head, place }: PlacedHead): void {
    if (place !== undefined) this.#places.set(head, place)
  }

  /**
   * Begins to fetch what heads that were just told of will need, while those before them are still being written: one chunk at most, and none when
   * there is one already. It changes nothing but when the bytes come.
   */
  ahead(heads: readonly PlacedHead[], { hub }: Attached, signal: AbortSignal): void {
    if (this.#ahead !== undefined || hub.depot.isNear) return
    const wanted = this.#wantedSoon(heads)
    if (wanted.length === 0) return
    const read = async (): Promise<ReadonlyMap<Digest, Uint8Array>> => {
      const bodies = await hub.depot.read(wanted, () => undefined, signal)
      return new Map(wanted.flatMap(({ sha256 }, index) => entryOf(sha256, bodies[index])))
    }
    const digests = new Set(wanted.map(({ sha256 }) => sha256))
    // Whatever is wrong with it, it is asked for again, and told, by who needs it.
    this.#ahead = { digests, bodies: read().catch(() => new Map()) }
  }

  /** Nobody is going to ask for what was fetched ahead. */
  forgetAhead(): void {
    this.#ahead = undefined
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
    const ahead = await this.#takeAhead(unique)
    for (const [digest, bytes] of ahead) {
      unique.delete(digest)
      onBytes(bytes.length)
    }
    const placed = await this.#readPlaced([...unique.values()], hub, { onBytes, signal })
    const byDigest = new Map([...ahead, ...placed])
    const used = new Set<Digest>()
    return chunk.map((step) => {
      const found = byDigest.get(step.entry.sha256)
      const bytes = used.has(step.entry.sha256) ? found?.slice() : found
      used.add(step.entry.sha256)
      return { step, bytes }
    })
  }

  /** Reads the contents of writes from where they are said to be, and, when they are not there, from where they are now. */
  async #readPlaced(
    steps: readonly Write[],
    hub: Hub,
    { onBytes, signal }: { readonly onBytes: OnBytes; readonly signal: AbortSignal },
  ): Promise<[Digest, Uint8Array][]> {
    if (steps.length === 0) return []
    const read = async (how: 'known' | 'ask'): Promise<[Digest, Uint8Array][]> => {
      const placed = await this.place(steps, hub, signal, how)
      const bodies = await hub.depot.read(placed, onBytes, signal)
      return placed.flatMap(({ sha256 }, index) => entryOf(sha256, bodies[index]))
    }
    try {
      return await read('known')
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      return await read('ask')
    }
  }

  /** What was fetched ahead of `wanted`; the rest of it is forgotten once something of it was wanted. */
  async #takeAhead(wanted: ReadonlyMap<Digest, Write>): Promise<[Digest, Uint8Array][]> {
    const ahead = this.#ahead
    if (ahead === undefined || ![...ahead.digests].some((digest) => wanted.has(digest))) return []
    this.#ahead = undefined
    const bodies = await ahead.bodies
    return [...bodies].filter(([digest]) => wanted.has(digest))
  }

  /** Small contents of `heads` that nothing on this machine holds, as much as is in one chunk. */
  #wantedSoon(heads: readonly PlacedHead[]): PlacedContent[] {
    const { changes, parts } = this.#state
    const lacking = new Map<Digest, PlacedContent>()
    let bytes = 0
    for (const { head, place } of heads) {
      const { entry, path } = head
      if (entry?.kind !== 'file' || place === undefined || entry.size === 0 || entry.size > PACKED_MAX) continue
      if (changes.has(path) || lacking.has(entry.sha256)) continue
      if (lacking.size >= PACK_BODIES || bytes + entry.size > PACK_BYTES) break
      lacking.set(entry.sha256, { sha256: entry.sha256, size: entry.size, place })
      bytes += entry.size
    }
    for (const digest of parts.base.heldAmong([...lacking.keys()])) lacking.delete(digest)
    return [...lacking.values()]
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

function entryOf(digest: Digest, bytes: Uint8Array | undefined): [Digest, Uint8Array][] {
  return bytes === undefined ? [] : [[digest, bytes]]
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
