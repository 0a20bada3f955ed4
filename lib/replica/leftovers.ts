// What large fetches left in staging: kept for as long as it may be gone on with, then thrown away.

import { cleanStaging } from '../disk/staged-file.ts'
import { PACKED_MAX } from '../model/content.ts'
import type { RelPath } from '../model/path.ts'
import type { ReplicaParts } from './folder-state.ts'
import type { Prefetches } from './prefetch.ts'

/** After a start or a reconnect, what nobody asked for so long is not wanted any more. */
const WAIT_MS = 30_000
const PAGE = 5000

export class Leftovers implements Disposable {
  readonly #parts: ReplicaParts
  readonly #prefetches: Pick<Prefetches, 'isUsing'>
  /** Something may lie in staging that is not in use. */
  #mayBe = false
  /** Names of those whose sender may still be heard of. */
  readonly #awaited = new Set<string>()
  #timer: Disposable | undefined

  constructor(parts: ReplicaParts, prefetches: Pick<Prefetches, 'isUsing'>) {
    this.#parts = parts
    this.#prefetches = prefetches
  }

  /** The folder is opened: what an earlier life left is removed, but for large contents. */
  opened(): void {
    const { root, base, keepStaged } = this.#parts
    const wanted = new Set(largeIncoming(base).map((sha256) => `o-${sha256}`))
    cleanStaging(root, (name) => {
      if (!name.startsWith('o-')) return keepStaged(name)
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
    if (!this.#mayBe || this.#parts.base.incomingCount().count > 0) return
    this.#mayBe = false
    cleanStaging(this.#parts.root, (name) => {
      if (!name.startsWith('o-') || this.#awaited.has(name)) return true
      const isUsed = this.#prefetches.isUsing(name)
      this.#mayBe ||= isUsed
      return isUsed
    })
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }
}

/** Large contents that wait to be fetched: what is staged of them is of use. */
function largeIncoming(base: ReplicaParts['base']): string[] {
  const found: string[] = []
  for (let after: RelPath | undefined; ;) {
    const page = base.incomingAfter(after, PAGE)
    for (const { head } of page) {
      if (head.entry?.kind === 'file' && head.entry.size > PACKED_MAX) found.push(head.entry.sha256)
    }
    after = page.at(-1)?.head.path
    if (page.length < PAGE) return found
  }
}
