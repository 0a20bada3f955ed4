// Orphans: packs that were taken for a commit that failed.

import type { Journal } from '../store/journal.ts'
import type { ContentStore } from './content-store.ts'

export class Orphans {
  readonly #journal: Journal
  readonly #store: ContentStore
  readonly #packs = new Set<string>()

  constructor({ journal, store }: { readonly journal: Journal; readonly store: ContentStore }) {
    this.#journal = journal
    this.#store = store
  }

  /** A commit with these packs failed: they go as soon as the journal can be written to. */
  leave(packs: readonly string[]): void {
    for (const pack of packs) this.#packs.add(pack)
    try {
      this.drop()
    } catch {
      // The next proposal tries again, and why it fails is being told by the commit.
    }
  }

  /**
   * Removes those that the journal does not know. Of a commit that failed at its very end a crash may still make a commit, as long as nothing was written
   * after it. Throws when the journal cannot be written to: then nothing is to be taken, or each try would leave more behind.
   */
  drop(): void {
    if (this.#packs.size === 0) return
    this.#journal.settle()
    for (const pack of this.#packs) {
      if (this.#journal.contentsOfPack(pack).length === 0) this.#store.dropPack(pack)
      this.#packs.delete(pack)
    }
  }
}
