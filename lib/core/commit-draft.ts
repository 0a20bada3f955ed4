// Drafts a commit: the journal as it will be, with the revisions that a batch has added so far laid over it.

import type { DirPath, RelPath } from '../model/path.ts'
import { ancestorsOf, ROOT } from '../model/path.ts'
import type { Revision, Seq, Stamp } from '../model/revision.ts'
import type { StampedHead } from './arbitrate.ts'

/** What a commit needs to know of the journal. */
export interface CommitView {
  head(path: RelPath): StampedHead | undefined
  /** The live heads below `dir`, in any order. */
  liveBelow(dir: DirPath): Iterable<StampedHead>
  /** All revisions of `path`, losing ones too, with a Seq greater than `seq`, oldest first. */
  revisionsAfter(path: RelPath, seq: Seq): readonly Revision[]
  stampOf(seq: Seq): Stamp | undefined
}

/** A journal view that revisions can be added to. */
export class CommitDraft implements CommitView {
  readonly #view: CommitView
  readonly #firstSeq: Seq
  readonly #revisions: Revision[] = []
  readonly #heads = new Map<RelPath, StampedHead>()
  readonly #read = new Map<RelPath, StampedHead | undefined>()
  readonly #below = new Map<DirPath, Set<RelPath>>()
  readonly #byPath = new Map<RelPath, Revision[]>()

  /** `firstSeq`: the number that the first added revision gets. */
  constructor(view: CommitView, firstSeq: Seq) {
    this.#view = view
    this.#firstSeq = firstSeq
  }

  /** What was added, by ascending Seq. */
  get revisions(): readonly Revision[] {
    return this.#revisions
  }

  head(path: RelPath): StampedHead | undefined {
    const added = this.#heads.get(path)
    if (added !== undefined) return added
    if (!this.#read.has(path)) this.#read.set(path, this.#view.head(path))
    return this.#read.get(path)
  }

  *liveBelow(dir: DirPath): Iterable<StampedHead> {
    for (const head of this.#view.liveBelow(dir)) if (!this.#heads.has(head.path)) yield head
    for (const path of this.#below.get(dir) ?? []) {
      const head = this.#heads.get(path)
      if (head?.entry !== undefined) yield head
    }
  }

  /** Whether anything lives below `dir`. */
  hasLiveBelow(dir: DirPath): boolean {
    for (const head of this.liveBelow(dir)) return head.entry !== undefined
    return false
  }

  revisionsAfter(path: RelPath, seq: Seq): readonly Revision[] {
    const added = (this.#byPath.get(path) ?? []).filter((revision) => revision.seq > seq)
    return [...this.#view.revisionsAfter(path, seq), ...added]
  }

  stampOf(seq: Seq): Stamp | undefined {
    return this.#revisions[seq - this.#firstSeq]?.stamp ?? this.#view.stampOf(seq)
  }

  /** Adds a revision; unless it is a loser, it is the head of its path from now on. */
  add(revision: Omit<Revision, 'seq'>): Revision {
    const added = { ...revision, seq: this.#firstSeq + this.#revisions.length }
    this.#revisions.push(added)
    const known = this.#byPath.get(added.path)
    if (known === undefined) this.#byPath.set(added.path, [added])
    else known.push(added)
    if (!added.loser) this.#setHead(added)
    return added
  }

  #setHead({ path, seq, entry, stamp }: Revision): void {
    this.#heads.set(path, { path, seq, entry, stamp })
    for (const dir of [ROOT, ...ancestorsOf(path)] as const) {
      const below = this.#below.get(dir)
      if (below === undefined) this.#below.set(dir, new Set([path]))
      else below.add(path)
    }
  }
}
