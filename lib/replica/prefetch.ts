// Cut-through: fetches a large content while its author still sends it. Nothing of it is visible before the whole is committed and verified.

import { rmSync } from 'node:fs'
import { JointSignal } from '../daemon/joint-signal.ts'
import { SyncError } from '../errors.ts'
import { StagedFile, stagedPlace } from '../disk/staged-file.ts'
import { largeName as nameOf } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import { Bell } from './bell.ts'
import { stageLarge } from './stage-large.ts'
import type { Attached, ReplicaParts } from './folder-state.ts'
import { makeAhead, type ComingPatch } from './patch-ahead.ts'
import type { Followed } from './ports.ts'

/** A content that is on its way to the coordinator: `end` bytes of `size` can be read there; 0: it is withdrawn. */
export interface Coming {
  readonly sha256: Digest
  readonly size: number
  readonly end: number
}

/** What was fetched of a content is the taker's from now on: its first `from` bytes, which are `followed`; or all of it, `made` by a patch and verified. */
export type Prefetched =
  | { readonly kind: 'part'; readonly from: number; readonly followed: Followed }
  | { readonly kind: 'made'; readonly place: HostPath }

/** So many at once: more would only take the link from each other. */
const LANES = 2
/** So much is read at a time: whoever takes over waits for no more. Bytes. */
const PIECE = 16 * 1024 * 1024
/** What does not grow for so long, and is not committed, is given up: nothing is left of it. */
const IDLE_MS = 600_000

interface Fetch {
  readonly coming: { size: number; end: number }
  readonly bell: Bell
  /** Aborts when the content is withdrawn. */
  readonly withdrawn: AbortController
  readonly done: Promise<Prefetched | undefined>
  isWanted: boolean
}

interface Work extends Pick<Fetch, 'coming' | 'bell' | 'withdrawn'> {
  readonly sha256: Digest
  readonly attached: Attached
}

export class Prefetches {
  readonly #parts: ReplicaParts
  readonly #onLeft: (name: string) => void
  readonly #idleMs: number
  readonly #fetches = new Map<Digest, Fetch>()
  readonly #taken = new Set<Digest>()
  /** Contents of files here that are being pushed. */
  readonly #own = new Set<Digest>()

  /** `onLeft` is told of staged files that are left for the next link. */
  constructor(parts: ReplicaParts, onLeft: (name: string) => void, idleMs = IDLE_MS) {
    this.#parts = parts
    this.#onLeft = onLeft
    this.#idleMs = idleMs
  }

  /** Hears that a content comes, or that more of it can be read. A hint: it may be ignored. */
  hear({ sha256, size, end }: Coming, attached: Attached): void {
    if (this.#own.has(sha256)) return // what was fetched of it is given up already, and not to be gone on with
    const known = this.#fetches.get(sha256)
    if (known !== undefined && !this.#taken.has(sha256)) {
      known.coming.end = end
      if (end === 0) known.withdrawn.abort()
      known.bell.ring()
    }
    if (known !== undefined || end === 0 || end > size || !this.#isOfUse(sha256, attached)) return
    this.#begin({ sha256, size, end }, attached, (work) => this.#fetch(work))
  }

  /** Hears that the coordinator makes a content by a patch: it can be made here meanwhile. A hint: it may be ignored. */
  hearPatch(news: ComingPatch, attached: Attached): void {
    const { sha256, size } = news
    if (this.#own.has(sha256) || this.#fetches.has(sha256) || !this.#isOfUse(sha256, attached)) return
    this.#begin({ sha256, size, end: size }, attached, (work) => this.#make(work, news))
  }

  #isOfUse(sha256: Digest, attached: Attached): boolean {
    if (this.#taken.has(sha256) || attached.hub.depot.isNear) return false
    return this.#fetches.size < LANES && !this.#parts.base.holds(sha256)
  }

  #begin(
    { sha256, size, end }: Coming,
    attached: Attached,
    fetch: (work: Work) => Promise<Prefetched | undefined>,
  ): void {
    const state = { coming: { size, end }, bell: new Bell(), withdrawn: new AbortController() }
    const done = fetch({ ...state, sha256, attached }).finally(() => this.#fetches.delete(sha256))
    done.catch(() => undefined) // whoever takes it hears of it
    this.#fetches.set(sha256, { ...state, done, isWanted: false })
  }

  /** The content is committed: hands over what was fetched of it. Until it is released it is not fetched ahead, nor thrown away. */
  async take(sha256: Digest): Promise<Prefetched | undefined> {
    this.#taken.add(sha256)
    const fetch = this.#fetches.get(sha256)
    if (fetch === undefined) return undefined
    fetch.isWanted = true
    fetch.bell.ring()
    return await fetch.done
  }

  /** A file here has this content and is being pushed: it need not be fetched. */
  own(sha256: Digest): Disposable {
    this.#own.add(sha256)
    const fetch = this.#fetches.get(sha256)
    if (fetch !== undefined) {
      fetch.coming.end = 0
      fetch.withdrawn.abort()
      fetch.bell.ring()
    }
    return { [Symbol.dispose]: () => void this.#own.delete(sha256) }
  }

  /** What was taken is in its place, or given up for now. */
  release(sha256: Digest): void {
    this.#taken.delete(sha256)
  }

  /** Whether what is staged of a content is in use. */
  isUsing(sha256: Digest): boolean {
    return this.#fetches.has(sha256) || this.#taken.has(sha256)
  }

  /** Resolves when nothing is under way; what is, ends with its link. */
  async ended(): Promise<void> {
    await Promise.allSettled([...this.#fetches.values()].map(({ done }) => done))
  }

  async #fetch(work: Work): Promise<Prefetched | undefined> {
    const { sha256, attached } = work
    const { root, disk, log, name } = this.#parts
    await Promise.resolve() // from here on it is known as a fetch
    const followed = disk.follow(stagedPlace(root, nameOf(sha256)))
    let from: number | undefined
    let isLeft = false
    try {
      from = await this.#readOn(work, followed)
      return from === undefined ? undefined : { kind: 'part', from, followed }
    } catch (error) {
      // What came may be gone on with by the next link.
      isLeft = attached.signal.aborted || this.#isWanted(sha256)
      if (attached.signal.aborted) this.#onLeft(nameOf(sha256))
      if (this.#isWanted(sha256) || !(error instanceof SyncError || attached.signal.aborted)) throw error
      log.debug(`Gave up fetching ${sha256} ahead: ${String(error)}`, { folder: name })
      return undefined
    } finally {
      if (from === undefined) followed[Symbol.dispose]()
      if (from === undefined && !isLeft) StagedFile.reopen(root, nameOf(sha256))?.discard()
    }
  }

  /** What cannot be made, or is not committed soon, leaves nothing: it is fetched when its head comes, as if there had been no hint. */
  async #make({ sha256, bell, withdrawn, attached }: Work, news: ComingPatch): Promise<Prefetched | undefined> {
    const { log, name, clock } = this.#parts
    await Promise.resolve() // from here on it is known as a fetch
    using joint = new JointSignal(attached.signal, withdrawn.signal)
    const { signal } = joint
    let place: HostPath | undefined
    let isTaken = false
    try {
      place = await makeAhead(news, { hub: attached.hub, parts: this.#parts }, signal)
      while (place !== undefined && !this.#isWanted(sha256)) {
        if (!(await bell.wait(signal, (until) => clock.sleep(this.#idleMs, until)))) return undefined
      }
      isTaken = place !== undefined
      return place === undefined ? undefined : { kind: 'made', place }
    } catch (error) {
      attached.signal.throwIfAborted()
      log.debug(`Gave up making ${sha256} ahead: ${String(error)}`, { folder: name })
      return undefined
    } finally {
      if (place !== undefined && !isTaken) rmSync(place, { force: true })
    }
  }

  #isWanted(sha256: Digest): boolean {
    return this.#fetches.get(sha256)?.isWanted === true
  }

  /** Reads what can be read until the content is wanted; how far it came. `undefined`: it is given up. */
  async #readOn(
    { sha256, coming, bell, attached: { hub, signal } }: Work,
    followed: Followed,
  ): Promise<number | undefined> {
    const place = stagedPlace(this.#parts.root, nameOf(sha256))
    let at = stageLarge(this.#parts.root, nameOf(sha256), coming.size)
    let canRead = true
    const onBytes = (bytes: number): void => {
      at += bytes
      followed.reached(at)
    }
    while (!this.#isWanted(sha256)) {
      if (coming.end === 0) return undefined
      const to = Math.min(coming.end, coming.size, at + PIECE)
      if (canRead && to > at) {
        canRead = await hub.depot.readComing({ sha256 }, { place, from: at, to }, onBytes, signal)
        continue
      }
      const rang = await bell.wait(signal, (until) => this.#parts.clock.sleep(this.#idleMs, until))
      if (!rang) return undefined
    }
    return at
  }
}
