// Cut-through: fetches a large content while its author still sends it. Nothing of it is visible before the whole is committed and verified.

import { SyncError } from '../errors.ts'
import { StagedFile, stagedPlace } from '../disk/staged-file.ts'
import type { Digest } from '../model/digest.ts'
import { Bell } from './bell.ts'
import type { Attached, ReplicaParts } from './folder-state.ts'
import type { Followed } from './ports.ts'

/** A content that is on its way to the coordinator: `end` bytes of `size` can be read there; 0: it is withdrawn. */
export interface Coming {
  readonly sha256: Digest
  readonly size: number
  readonly end: number
}

/** What was fetched of a content, its first `from` bytes; `followed` is the taker's from now on. */
export interface Prefetched {
  readonly from: number
  readonly followed: Followed
}

/** So many at once: more would only take the link from each other. */
const LANES = 2
/** So much is read at a time: whoever takes over waits for no more. Bytes. */
const PIECE = 16 * 1024 * 1024
/** What does not grow for so long, and is not committed, is given up: nothing is left of it. */
const IDLE_MS = 60_000

interface Fetch {
  readonly coming: { size: number; end: number }
  readonly bell: Bell
  readonly done: Promise<Prefetched | undefined>
  isWanted: boolean
}

interface Work extends Pick<Fetch, 'coming' | 'bell'> {
  readonly sha256: Digest
  readonly attached: Attached
}

export class Prefetches {
  readonly #parts: ReplicaParts
  readonly #idleMs: number
  readonly #fetches = new Map<Digest, Fetch>()

  constructor(parts: ReplicaParts, idleMs = IDLE_MS) {
    this.#parts = parts
    this.#idleMs = idleMs
  }

  /** Hears that a content comes, or that more of it can be read. A hint: it may be ignored. */
  hear({ sha256, size, end }: Coming, attached: Attached): void {
    const known = this.#fetches.get(sha256)
    if (known !== undefined) {
      known.coming.end = end
      known.bell.ring()
      return
    }
    const { base } = this.#parts
    if (end === 0 || end > size || this.#fetches.size >= LANES || base.holds(sha256)) return
    // What an earlier fetch left is gone on with when the content is committed.
    if (attached.hub.depot.isNear || isStaged(this.#parts, sha256)) return
    const coming = { size, end }
    const bell = new Bell()
    const done = this.#fetch({ sha256, coming, bell, attached }).finally(() => this.#fetches.delete(sha256))
    done.catch(() => undefined) // whoever takes it hears of it
    this.#fetches.set(sha256, { coming, bell, done, isWanted: false })
  }

  /** The content is committed: hands over what was fetched of it. */
  async take(sha256: Digest): Promise<Prefetched | undefined> {
    const fetch = this.#fetches.get(sha256)
    if (fetch === undefined) return undefined
    fetch.isWanted = true
    fetch.bell.ring()
    return await fetch.done
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
    let isKept = false
    try {
      StagedFile.create(root, nameOf(sha256)).close()
      const from = await this.#readOn(work, followed)
      if (from === undefined) return undefined
      isKept = true
      return { from, followed }
    } catch (error) {
      // Once it is committed, what came is gone on with, by this link or the next.
      isKept = this.#isWanted(sha256)
      if (isKept || !(error instanceof SyncError || attached.signal.aborted)) throw error
      log.debug(`Gave up fetching ${sha256} ahead: ${String(error)}`, { folder: name })
      return undefined
    } finally {
      if (!isKept) {
        followed[Symbol.dispose]()
        StagedFile.reopen(root, nameOf(sha256))?.discard()
      }
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
    let at = 0
    let canRead = true
    const onBytes = (bytes: number): void => {
      at += bytes
      followed.reached(at)
    }
    while (!this.#isWanted(sha256)) {
      if (coming.end === 0) return undefined
      const to = Math.min(coming.end, at + PIECE)
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

function nameOf(sha256: Digest): string {
  return `o-${sha256}`
}

function isStaged({ root }: ReplicaParts, sha256: Digest): boolean {
  using left = StagedFile.reopen(root, nameOf(sha256))
  return left !== undefined
}
