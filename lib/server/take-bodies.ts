// Bodies: what came with proposals becomes whole and the coordinator's own before anything is decided about it.

import { literalBytes, patchFault, writtenBytes } from '../core/patch.ts'
import type { Log } from '../daemon/log.ts'
import type { PatchOp, Source, SourcedProposal } from '../model/content.ts'
import { EMPTY_DIGEST, type Digest } from '../model/digest.ts'
import type { FileEntry } from '../model/entry.ts'
import type { Outcome } from '../model/revision.ts'
import type { Content } from '../replica/ports.ts'
import type { KeptContent, NewContent } from '../store/contents.ts'
import type { Journal } from '../store/journal.ts'
import type { ContentStore } from './content-store.ts'
import { PATCH_TOLD, type Patching, type Slice } from './ports.ts'

/** What has been made sure of the bodies that came with a batch. */
export interface Bodies {
  readonly contents: readonly NewContent[]
  /** Packs that arrived whole; those nothing was committed from are dropped. */
  readonly packs: readonly string[]
  readonly bad: ReadonlySet<SourcedProposal>
  /** What is wrong with patches that cannot make what they should. */
  readonly malformed?: ReadonlyMap<SourcedProposal, string>
}

/** `onPatch` is told of patches as soon as all that they need is here. */
export interface BodyParts {
  readonly name: string
  readonly journal: Journal
  readonly store: ContentStore
  readonly log: Log
  readonly onPatch: (patching: Patching) => void
}

export class BodyTaker {
  readonly #name: string
  readonly #journal: Journal
  readonly #store: ContentStore
  readonly #log: Log
  readonly #onPatch: (patching: Patching) => void

  constructor({ name, journal, store, log, onPatch }: BodyParts) {
    this.#name = name
    this.#journal = journal
    this.#store = store
    this.#log = log
    this.#onPatch = onPatch
  }

  /**
   * Which of these contents are held. One whose bytes are not there now is not, so that whoever has it is asked for it; the journal goes on to know
   * where it was: a disk that is away comes back, and where it comes to rest anew counts from then on.
   */
  held(digests: readonly Digest[]): Map<Digest, KeptContent> {
    const held = this.#journal.places(digests)
    const lost = this.#store.lacking(held.values()).map(({ sha256 }) => sha256)
    if (lost.length === 0) return held
    this.#log.error(`The bytes of ${String(lost.length)} contents are not on the disk: they are asked for again`, {
      folder: this.#name,
      first: lost[0],
    })
    for (const sha256 of lost) held.delete(sha256)
    return held
  }

  /** Whether a content need not come. */
  #isHere(sha256: Digest): boolean {
    return sha256 === EMPTY_DIGEST || this.held([sha256]).has(sha256)
  }

  /** Verifies the bodies of a batch, moves them out of their sender's reach, and makes them durable. */
  async take(peer: string, batch: readonly SourcedProposal[], signal: AbortSignal): Promise<Bodies> {
    const packs = new Map<string, { sourced: SourcedProposal; slice: Slice }[]>()
    const contents: NewContent[] = []
    const bad = new Set<SourcedProposal>()
    const malformed = new Map<SourcedProposal, string>()
    const kept: string[] = []
    for (const sourced of batch) {
      const { entry } = sourced.proposal
      const { source } = sourced
      if (source.kind === 'held') continue
      if (entry?.kind !== 'file') bad.add(sourced)
      else if (source.kind === 'pack') {
        const slices = packs.get(source.pack) ?? []
        slices.push({ sourced, slice: { sha256: entry.sha256, size: entry.size, offset: source.offset } })
        packs.set(source.pack, slices)
      } else if (source.kind === 'patch') {
        const taken = await this.#takePatch(peer, { entry, source }, signal)
        if (typeof taken === 'string') malformed.set(sourced, taken)
        else if (taken !== undefined) contents.push(taken)
      } else if (this.#isHere(entry.sha256)) this.#store.discard(peer, source.name)
      else {
        const isGood = await this.#store.takeFile(peer, source.name, entry, signal)
        if (isGood) contents.push({ sha256: entry.sha256, size: entry.size, place: { kind: 'object' } })
        else bad.add(sourced)
      }
    }
    for (const [name, slices] of packs) {
      const wanted = slices.map(({ slice }) => slice)
      const { pack, good } = await this.#store.takePack(peer, name, wanted, signal).catch((error: unknown) => {
        for (const taken of kept) this.#store.dropPack(taken)
        throw error
      })
      if (pack !== undefined) kept.push(pack)
      slices.forEach(({ sourced, slice }, index) => {
        if (good[index] !== true) bad.add(sourced)
        else if (pack !== undefined) {
          contents.push({ sha256: slice.sha256, size: slice.size, place: { kind: 'pack', pack, offset: slice.offset } })
        }
      })
    }
    return { contents, packs: kept, bad, malformed }
  }

  /** Makes a content by a patch. A text: why the patch is no patch. `undefined`: it is held already, or it has to come whole. */
  async #takePatch(
    peer: string,
    { entry, source }: { entry: FileEntry; source: Extract<Source, { kind: 'patch' }> },
    signal: AbortSignal,
  ): Promise<NewContent | string | undefined> {
    const { sha256, size } = entry
    const { name, patch } = source
    const held = patch.sources.map((digest) => this.#journal.place(digest))
    const fault = patchFault(patch, size, (digest) => this.#journal.place(digest)?.size)
    if (fault !== undefined) return fault
    if (name === undefined && literalBytes(patch.ops) > 0) return 'the data of the patch is missing'
    if (this.#isHere(sha256)) {
      if (name !== undefined) this.#store.discard(peer, name)
      return undefined
    }
    const sources = held.flatMap((content) =>
      content === undefined ? [] : this.#store.hostPlace(content.sha256, content.place),
    )
    const isHeld = sources.length === patch.sources.length
    using room = isHeld ? this.#roomFor(peer, { name, ops: patch.ops }) : undefined
    void room
    if (isHeld && size >= PATCH_TOLD) this.#onPatch({ peer, sha256, size, patch })
    const isMade = isHeld && (await this.#store.assemble(peer, entry, { name, ops: patch.ops, sources }, signal))
    if (!isMade) {
      this.#log.info(`Content ${sha256} could not be made by a patch from ${peer}: it is asked for whole`, {
        folder: this.#name,
      })
    }
    return isMade ? { sha256, size, place: { kind: 'object' }, patch } : undefined
  }

  /** Keeps room free for what a patch makes, until disposed. Throws `Refused` 507 when there is none; its staged data is gone then. */
  #roomFor(
    peer: string,
    { name, ops }: { readonly name: string | undefined; readonly ops: readonly PatchOp[] },
  ): Disposable {
    try {
      return this.#store.room.reserve(writtenBytes(ops))
    } catch (error) {
      if (name !== undefined) this.#store.discard(peer, name)
      throw error
    }
  }
}

/** What is wrong with the body of a proposal; `undefined` when nothing is. `contents`: all that is held now. */
export function checkBody(
  sourced: SourcedProposal,
  bodies: Bodies,
  contents: ReadonlyMap<Digest, Content>,
): Outcome | undefined {
  const { entry } = sourced.proposal
  if (bodies.bad.has(sourced)) {
    return { kind: 'refused', status: 409, reason: 'the bytes that came are not the content that was named' }
  }
  const fault = bodies.malformed?.get(sourced)
  if (fault !== undefined) return { kind: 'refused', status: 400, reason: fault }
  if (entry?.kind !== 'file') return undefined
  const size = entry.sha256 === EMPTY_DIGEST ? 0 : contents.get(entry.sha256)?.size
  if (size === undefined) return { kind: 'need' }
  if (size !== entry.size) return { kind: 'refused', status: 400, reason: 'the size is not that of the content' }
  return undefined
}
