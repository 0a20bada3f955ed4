// Plans a commit: which revisions a batch of proposals adds to the journal, and what becomes of each proposal.
//
// The live heads always form a tree: nothing lives below a live file or link. A directory may live without a head of its own.
// A proposer learns of every revision that is not one of its own `accepted` outcomes by way of the changes, as everyone else does. When a
// proposal that is based on the head is not accepted, the head is announced again as a new revision, so that the proposer comes to apply it.

import type { DirEntry, Entry } from '../model/entry.ts'
import { EMPTY_DIGEST } from '../model/digest.ts'
import { sameEntry } from '../model/entry.ts'
import type { RelPath } from '../model/path.ts'
import { ancestorsOf, joinPath, nameOf, parentOf, rebase, utf8Length } from '../model/path.ts'
import type { Collision, Outcome, Proposal, Revision, Seq, Stamp } from '../model/revision.ts'
import { arbitrate } from './arbitrate.ts'
import type { StampedHead, Verdict } from './arbitrate.ts'
import { CommitDraft } from './commit-draft.ts'
import type { CommitView } from './commit-draft.ts'
import { conflictName } from './conflict-name.ts'
import { clampWriteTime, compareStamps, laterStamp } from './stamp.ts'

/** `nextSeq`: the number of the first new revision. `conflict`: whether the loser of a collision also appears beside the winner. */
export interface CommitContext {
  readonly peer: string
  readonly nowMs: number
  readonly nextSeq: Seq
  readonly conflict: 'latest' | 'keep-both'
}

/** `revisions` by ascending Seq from `nextSeq` on, losers flagged; `outcomes` in the order of the proposals. */
export interface CommitPlan {
  readonly revisions: readonly Revision[]
  readonly collisions: readonly Collision[]
  readonly outcomes: readonly Outcome[]
}

const MAX_PATH_BYTES = 4096
const MAX_NAME_BYTES = 255
const DEFAULT_DIR: DirEntry = { kind: 'dir', mode: 0o755 }

/**
 * Plans the commit of one peer's batch. Later proposals see what earlier ones did, so deletes come first, deepest first, and directories
 * before what is in them. The contents are held already.
 */
export function planCommit(view: CommitView, context: CommitContext, proposals: readonly Proposal[]): CommitPlan {
  const batch = new Batch(view, context)
  const outcomes = proposals.map((proposal) => batch.take(proposal))
  return { revisions: batch.draft.revisions, collisions: batch.collisions, outcomes }
}

/** A proposal with an entry, on its way through the rules. */
interface Put {
  readonly path: RelPath
  readonly base: Seq
  readonly entry: Entry
  readonly stamp: Stamp
}

class Batch {
  readonly draft: CommitDraft
  readonly collisions: Collision[] = []
  readonly #context: CommitContext
  /** Contents of the files that this batch deleted, and from where: what is created with one of them was moved. */
  readonly #deleted = new Map<string, RelPath[]>()

  constructor(view: CommitView, context: CommitContext) {
    this.draft = new CommitDraft(view, context.nextSeq)
    this.#context = context
  }

  take(said: Proposal): Outcome {
    const { path, entry, writtenAtMs } = said
    const { peer, nowMs } = this.#context
    const head = this.draft.head(path)
    const own = this.#lastSaid(said, head)
    const replayed = own !== undefined && sameEntry(own.entry, entry) ? own : this.#oldHead(said, head)
    if (replayed !== undefined) {
      return { kind: replayed.seq === head?.seq ? 'duplicate' : 'superseded', seq: replayed.seq }
    }
    // Whoever did not hear what became of its own proposal edited that all the same.
    const base = own?.seq ?? said.base
    const proposal = { ...said, base }
    const afterMs = this.draft.stampOf(base)?.timeMs ?? -Infinity
    const stamp = { timeMs: clampWriteTime(writtenAtMs, { afterMs, nowMs }), peer }
    return entry === undefined
      ? this.#delete(proposal, head, stamp)
      : this.#put({ path, base, entry, stamp }, this.#circumstancesOf(proposal, head, stamp))
  }

  /**
   * What the proposer said last of the path, when it names an older base: it missed the answer. A peer's proposals of one path come in order, so
   * when this is what it proposes now, it says no more than that again; and when it is not, it was changed since. Without a base nothing is
   * certain: it may have lost it.
   */
  #lastSaid({ path, base }: Proposal, head: StampedHead | undefined): Revision | undefined {
    if (base === 0 || head === undefined || head.seq === base) return undefined
    return this.draft.revisionsAfter(path, base).findLast((past) => past.stamp.peer === this.#context.peer)
  }

  /** Without a base, what equals anything that the proposer said, or any past head, is only old. */
  #oldHead({ path, base, entry }: Proposal, head: StampedHead | undefined): Revision | undefined {
    if (base !== 0 || head === undefined) return undefined
    // A peer without a base may have lost it long ago: what it holds is no delete's to take.
    if (head.entry === undefined && entry !== undefined) return undefined
    return this.draft
      .revisionsAfter(path, base)
      .findLast((past) => sameEntry(past.entry, entry) && (past.stamp.peer === this.#context.peer || !past.loser))
  }

  #circumstancesOf({ path, base }: Proposal, head: StampedHead | undefined, stamp: Stamp) {
    if (head === undefined || head.seq === base) return { stamp, alone: false, baseEntry: undefined }
    const known = this.draft.revisionsAfter(path, Math.max(base - 1, 0))
    const edited = known.find((revision) => revision.seq === base)
    // A base that lost, or that is gone from the journal, was followed by nobody.
    const isFollowed = base === 0 || (edited !== undefined && !edited.loser)
    const alone = isFollowed && known.every((revision) => revision.seq === base || revision.stamp.peer === stamp.peer)
    return { stamp, alone, baseEntry: edited?.entry }
  }

  #delete(proposal: Proposal, head: StampedHead | undefined, stamp: Stamp): Outcome {
    const { path } = proposal
    const verdict = arbitrate(head, proposal, this.#circumstancesOf(proposal, head, stamp))
    if (head === undefined || verdict.kind === 'duplicate') return { kind: 'duplicate', seq: head?.seq ?? 0 }
    if (verdict.kind !== 'advance') return { kind: 'superseded', seq: head.seq }
    // Something lives in the directory that the proposer did not know: the directory stays.
    if (this.draft.hasLiveBelow(path)) return { kind: 'superseded', seq: this.#announce(head).seq }
    if (head.entry?.kind === 'file' && head.entry.sha256 !== EMPTY_DIGEST) {
      const paths = this.#deleted.get(head.entry.sha256)
      if (paths === undefined) this.#deleted.set(head.entry.sha256, [path])
      else paths.push(path)
    }
    return { kind: 'accepted', seq: this.#add(path, undefined, stamp).seq }
  }

  #put(put: Put, circumstances: Parameters<typeof arbitrate>[2]): Outcome {
    const { path, base, entry, stamp } = put
    const file = this.#liveFileAbove(path)
    if (file !== undefined) {
      const lost = this.#lostDir(file)
      if (lost !== undefined || compareStamps(stamp, file.stamp) < 0) return this.#divert(put, file, lost)
      this.#displaceFile(file, stamp)
    }
    if (entry.kind !== 'dir' && this.draft.hasLiveBelow(path)) return this.#putOnDir(put)
    const head = this.draft.head(path)
    const verdict = arbitrate(head, { path, base, entry, writtenAtMs: stamp.timeMs }, circumstances)
    if (head === undefined || verdict.kind === 'advance') return this.#accept(put)
    return this.#settle(put, head, verdict)
  }

  /** The proposal met a head that it does not know. */
  #settle(put: Put, head: StampedHead, verdict: Exclude<Verdict, { kind: 'advance' }>): Outcome {
    switch (verdict.kind) {
      case 'duplicate':
      case 'overridden':
        return { kind: 'duplicate', seq: head.seq }
      case 'metadata':
        return verdict.winner === 'proposal' ? this.#accept(put) : { kind: 'superseded', seq: this.#lose(put).seq }
      case 'conflict': {
        const isTypeClash = (head.entry?.kind === 'dir') !== (put.entry.kind === 'dir')
        const keepsBoth = isTypeClash || this.#context.conflict === 'keep-both'
        if (verdict.winner === 'proposal') {
          const outcome = this.#accept(put)
          this.#collide(put.path, { peer: put.stamp.peer, rev: outcome.seq }, authorOf(head))
          if (keepsBoth && head.entry !== undefined) this.#copyBeside(put.path, head.entry, head.stamp)
          return outcome
        }
        const loser = this.#lose(put)
        this.#collide(put.path, authorOf(head), { peer: put.stamp.peer, rev: loser.seq })
        if (keepsBoth) this.#copyBeside(put.path, put.entry, put.stamp)
        return { kind: 'superseded', seq: loser.seq }
      }
      /* c8 ignore next 2 -- the compiler knows that there is no other verdict */
      default:
        return verdict satisfies never
    }
  }

  #accept({ path, entry, stamp }: Put): { kind: 'accepted'; seq: Seq } {
    for (const dir of ancestorsOf(path)) {
      const head = this.draft.head(dir)
      // Deleted elsewhere while something was made inside: it keeps its place, and so the directory lives again.
      if (head !== undefined && head.entry === undefined) this.#add(dir, this.#lastDir(dir), stamp)
    }
    const from = this.#movedFrom(path, entry)
    return { kind: 'accepted', seq: this.#add(path, entry, stamp, from).seq }
  }

  #movedFrom(path: RelPath, entry: Entry): RelPath | undefined {
    if (entry.kind !== 'file' || this.draft.head(path)?.entry !== undefined) return undefined
    return this.#deleted.get(entry.sha256)?.pop()
  }

  /** A file or link is put where others know a directory: the later of the two has the name, the other lives on beside it. */
  #putOnDir(put: Put): Outcome {
    const { path, base, entry, stamp } = put
    const head = this.draft.head(path)
    const below = [...this.draft.liveBelow(path)].sort((a, b) => (a.path < b.path ? -1 : 1))
    const unknown = head?.entry !== undefined && head.seq !== base ? [head, ...below] : below
    const newest = unknown.reduce((a, b) => (laterStamp(a.stamp, b.stamp) === a.stamp ? a : b))
    const dir = this.#freePath(path, 'dir', newest.stamp)
    const fits = [dir, ...below.map((one) => rebase(one.path, path, dir))].every(isPathLength)
    if (unknown.every((one) => this.#isOnlyBy(one.path, stamp.peer))) {
      // The proposer has replaced its own directory, and only missed the answers that told it of what was in there.
      for (const one of below) this.#add(one.path, undefined, stamp)
      return this.#accept(put)
    }
    if (compareStamps(stamp, newest.stamp) > 0 && fits) return this.#displaceDir(put, { dir, below, newest })
    const loser = this.#lose(put)
    this.#collide(path, authorOf(newest), { peer: stamp.peer, rev: loser.seq })
    this.#copyBeside(path, entry, stamp)
    if (head?.entry === undefined) this.#add(path, this.#lastDir(path), newest.stamp)
    else if (head.seq === base) this.#announce(head)
    return { kind: 'superseded', seq: loser.seq }
  }

  /** The directory gives its name to the file, and lives on as `dir` with all in it. */
  #displaceDir(put: Put, lost: { dir: RelPath; below: readonly StampedHead[]; newest: StampedHead }): Outcome {
    const { path, stamp } = put
    const { dir, below, newest } = lost
    // No `from`: a move of a directory would take along what is moved one by one here.
    this.#add(dir, this.#lastDir(path), newest.stamp)
    for (const one of below) {
      this.#add(one.path, undefined, stamp)
      const from = one.entry?.kind === 'dir' ? undefined : one.path
      this.#add(rebase(one.path, path, dir), one.entry, one.stamp, from)
    }
    const outcome = this.#accept(put)
    this.#collide(path, { peer: stamp.peer, rev: outcome.seq }, authorOf(newest))
    return outcome
  }

  #isOnlyBy(path: RelPath, peer: string): boolean {
    return this.draft.revisionsAfter(path, 0).every((revision) => revision.stamp.peer === peer)
  }

  /** The live file or link that stands where `path` needs a directory. */
  #liveFileAbove(path: RelPath): StampedHead | undefined {
    for (const dir of ancestorsOf(path)) {
      const head = this.draft.head(dir)
      if (head?.entry !== undefined && head.entry.kind !== 'dir') return head
    }
    return undefined
  }

  /** The file gives its name to the directory that something later was put in, and lives on beside it. */
  #displaceFile(file: StampedHead, stamp: Stamp): void {
    const dir = this.#add(file.path, this.#lastDir(file.path), stamp)
    this.#collide(file.path, { peer: stamp.peer, rev: dir.seq }, authorOf(file))
    if (file.entry !== undefined) this.#copyBeside(file.path, file.entry, file.stamp)
  }

  /** The proposer's directory that lost its name to `file` already. */
  #lostDir(file: StampedHead): Revision | undefined {
    return this.draft
      .revisionsAfter(file.path, file.seq)
      .findLast((past) => past.loser && past.entry?.kind === 'dir' && past.stamp.peer === this.#context.peer)
  }

  /** Puts beside `file` what was put in a directory that lost its name to it. */
  #divert(put: Put, file: StampedHead, lost: Revision | undefined): Outcome {
    const { path, entry, stamp } = put
    const lostStamp = lost?.stamp ?? stamp
    const dir = this.#pathFor(file.path, 'dir', lostStamp, (at) => {
      const head = this.draft.head(at)
      return head?.entry === undefined ? !this.draft.hasLiveBelow(at) : head.entry.kind === 'dir'
    })
    const target = rebase(path, file.path, dir)
    if (!isPathLength(target))
      return { kind: 'refused', status: 409, reason: 'path is too long beside the file that has its name' }
    if (lost === undefined) {
      const loser = this.#lose({ path: file.path, base: 0, entry: this.#lastDir(file.path), stamp })
      this.#collide(file.path, authorOf(file), { peer: stamp.peer, rev: loser.seq })
    }
    if (this.draft.head(dir)?.entry === undefined) this.#add(dir, lost?.entry ?? this.#lastDir(file.path), lostStamp)
    const loser = this.#lose(put)
    // The proposer has it at `path` and must come to remove it there.
    this.#add(path, undefined, file.stamp)
    const moved: Proposal = { path: target, base: 0, entry, writtenAtMs: stamp.timeMs }
    this.#put({ path: target, base: 0, entry, stamp }, this.#circumstancesOf(moved, this.draft.head(target), stamp))
    return { kind: 'superseded', seq: loser.seq }
  }

  #copyBeside(path: RelPath, entry: Entry, stamp: Stamp): void {
    this.#add(this.#freePath(path, entry.kind, stamp), entry, stamp)
  }

  /** A conflict name beside `path` where nothing lives. */
  #freePath(path: RelPath, kind: Entry['kind'], stamp: Stamp): RelPath {
    return this.#pathFor(
      path,
      kind,
      stamp,
      (at) => this.draft.head(at)?.entry === undefined && !this.draft.hasLiveBelow(at),
    )
  }

  #pathFor(path: RelPath, kind: Entry['kind'], stamp: Stamp, isFit: (at: RelPath) => boolean): RelPath {
    const parent = parentOf(path)
    const maxBytes = Math.min(MAX_NAME_BYTES, MAX_PATH_BYTES - utf8Length(parent) - 1)
    let count = 0
    let at: RelPath
    do {
      count += 1
      at = joinPath(parent, conflictName(nameOf(path), { kind, stamp, count, maxBytes }))
    } while (!isFit(at))
    return at
  }

  /** The mode that the directory had when it last lived. */
  #lastDir(path: RelPath): DirEntry {
    const last = this.draft.revisionsAfter(path, 0).findLast((past) => past.entry?.kind === 'dir')
    return last?.entry?.kind === 'dir' ? last.entry : DEFAULT_DIR
  }

  #announce({ path, entry, stamp }: StampedHead): Revision {
    return this.#add(path, entry, stamp)
  }

  #lose({ path, entry, stamp }: Put): Revision {
    return this.draft.add({ path, what: this.#whatFor(path, entry), entry, stamp, loser: true })
  }

  #add(path: RelPath, entry: Entry | undefined, stamp: Stamp, from?: RelPath): Revision {
    const what = from === undefined ? this.#whatFor(path, entry) : 'move'
    return this.draft.add({ path, what, entry, stamp, loser: false, ...(from === undefined ? {} : { from }) })
  }

  #whatFor(path: RelPath, entry: Entry | undefined): 'create' | 'update' | 'delete' {
    if (entry === undefined) return 'delete'
    return this.draft.head(path)?.entry === undefined ? 'create' : 'update'
  }

  #collide(path: RelPath, winner: Collision['winner'], loser: Collision['loser']): void {
    this.collisions.push({ path, timeMs: this.#context.nowMs, winner, loser })
  }
}

/** Who wrote a head, as which revision. */
function authorOf({ seq, origin, stamp }: StampedHead): Collision['winner'] {
  return { peer: stamp.peer, rev: origin ?? seq }
}

function isPathLength(path: RelPath): boolean {
  return utf8Length(path) <= MAX_PATH_BYTES
}
