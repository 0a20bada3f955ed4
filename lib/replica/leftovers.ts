// What large fetches left in staging: kept for as long as it may be gone on with, then thrown away.

import { cleanStaging } from '../disk/staged-file.ts'
import { contentStaged, largeName, largeNamed, PACKED_MAX } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { RelPath } from '../model/path.ts'
import type { ReplicaParts } from './folder-state.ts'
import type { Prefetches } from './prefetch.ts'

/** After a start or a reconnect, what nobody asked for so long is not wanted any more. */
const WAIT_MS = 600_000
const PAGE = 5000

export class Leftovers implements Disposable {
  readonly #parts: ReplicaParts
  readonly #prefetches: Pick<Prefetches, 'isUsing'>
  readonly #isHalted: () => boolean
  /** Something may lie in staging that is not in use. */
  #mayBe = false
  /** Names of those whose sender may still be heard of. */
  readonly #awaited = new Set<string>()
  #timer: Disposable | undefined

  /** `isHalted`: whether what stands at the root may be another folder. */
  constructor(parts: ReplicaParts, prefetches: Pick<Prefetches, 'isUsing'>, isHalted: () => boolean) {
    this.#parts = parts
    this.#prefetches = prefetches
    this.#isHalted = isHalted
  }

  /** The folder is opened: what an earlier life left is removed, but for large contents. */
  opened(): void {
    const { root, base, keepStaged } = this.#parts
    const wanted = new Set(largeIncoming(base).map(largeName))
    this.#mayBe = true
    cleanStaging(root, (name) => {
      if (largeNamed(name) === undefined) return keepStaged(name)
      if (!wanted.has(name)) this.#awaited.add(name)
      return true
    })
  }

  /** A large fetch begins, and may leave something. */
  begun(): void {
    this.#mayBe = true
  }

  /** What was under way when the process or the link ended may be gone on with over the next link. */
  await(name: string): void {
    this.#awaited.add(name)
  }

  /** The link is gone: nothing is litter before the next one has told all. */
  detached(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }

  /** All is known again: what is not asked for soon is litter. */
  caughtUp(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    if (this.#awaited.size === 0) return
    this.#timer = this.#parts.clock.after(WAIT_MS, () => {
      this.#awaited.clear()
      this.#mayBe = true
      this.tidy()
    })
  }

  /** Removes what is neither in use nor awaited, once no head waits. Cheap when there is nothing. */
  tidy(): void {
    if (!this.#mayBe || this.#isHalted()) return
    try {
      if (this.#parts.base.incomingCount().count === 0) this.#remove()
    } catch (error) {
      // A disk that cannot be read now is told of by the guard of the root.
      const { log, name } = this.#parts
      log.debug(`Cannot tidy staging: ${String(error)}`, { folder: name })
    }
  }

  #remove(): void {
    this.#mayBe = false
    cleanStaging(this.#parts.root, (name) => {
      const sha256 = contentStaged(name)
      if (sha256 === undefined || this.#awaited.has(name)) return true
      const isUsed = this.#prefetches.isUsing(sha256)
      this.#mayBe ||= isUsed
      return isUsed
    })
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }
}

/** Large contents that wait to be fetched: what is staged of them is of use. */
function largeIncoming(base: ReplicaParts['base']): Digest[] {
  const found: Digest[] = []
  for (let after: RelPath | undefined; ;) {
    const page = base.incomingAfter(after, PAGE)
    for (const { head } of page) {
      if (head.entry?.kind === 'file' && head.entry.size > PACKED_MAX) found.push(head.entry.sha256)
    }
    after = page.at(-1)?.head.path
    if (page.length < PAGE) return found
  }
}
