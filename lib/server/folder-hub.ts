// The hub of one folder: takes proposals from any peer, commits them, tells everyone else.

import { planCommit } from '../core/commit-plan.ts'
import { Refused } from '../errors.ts'
import type { Entry } from '../model/entry.ts'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/log.ts'
import {
  PACKED_MAX,
  type ContentPlace,
  type HeadPlace,
  type Patch,
  type PlacedHead,
  type SourcedProposal,
} from '../model/content.ts'
import { EMPTY_DIGEST, type Digest } from '../model/digest.ts'
import type { RelPath } from '../model/path.ts'
import type { Head, MovedTree, Outcome, Proposal, Revision, Seq, TreeMove } from '../model/revision.ts'
import type { ChangesPage, CommitReply, Content, Holding } from '../replica/ports.ts'
import type { KeptContent } from '../store/contents.ts'
import type { Journal } from '../store/journal.ts'
import { commitView } from './commit-view.ts'
import type { ContentStore } from './content-store.ts'
import { moveTrees } from './move-trees.ts'
import { Orphans } from './orphans.ts'
import { Expected } from './expected.ts'
import { Lag } from './lag.ts'
import type { Patching } from './ports.ts'
import { Serving } from './serving.ts'
import { BodyTaker, checkBody, type Bodies } from './take-bodies.ts'

/** A commit as the others are told of it: the heads after `prev` up to `upTo`. */
export interface Announcement {
  readonly author: string
  readonly prev: Seq
  readonly upTo: Seq
  readonly heads: readonly PlacedHead[]
  /** A directory that was moved: instead of all the heads that it has now, and had. */
  readonly moved?: MovedTree
}

/**
 * Where proposals come from. `held`: which of their contents the journal has. `told`: the peer that learns of its own accepted revisions
 * from the reply; nobody, when it did not make them itself.
 */
interface Origin {
  readonly peer: string
  readonly told?: string
  readonly bodies: Bodies
  readonly held: ReadonlyMap<Digest, KeptContent>
}

/** Lets changes in: throws `Refused` 423 while the folder is halted, else says, whenever it is asked, whether the folder stood there without a break since. */
export type Gate = () => () => boolean

export class FolderHub {
  /** Who keeps the folder says whether it may be written to. */
  gate: Gate = () => () => true
  /** Is told of patches as soon as all that they need is here. */
  onPatch: ((patching: Patching) => void) | undefined
  readonly name: string
  readonly serving = new Serving()
  readonly lag: Lag
  readonly expected = new Expected()
  readonly journal: Journal
  readonly store: ContentStore
  readonly #bodies: BodyTaker
  readonly #orphans: Orphans
  readonly #conflict: 'latest' | 'keep-both'
  readonly #clock: Clock
  readonly #log: Log
  readonly #cursors = new Map<string, { readonly cursor: Seq; readonly lastSeenMs: number }>()
  readonly #listeners = new Set<(news: Announcement) => void>()

  constructor(parts: {
    name: string
    journal: Journal
    store: ContentStore
    conflict: 'latest' | 'keep-both'
    clock: Clock
    log: Log
  }) {
    this.name = parts.name
    this.journal = parts.journal
    this.store = parts.store
    this.#conflict = parts.conflict
    this.#clock = parts.clock
    this.lag = new Lag(parts.clock)
    this.#log = parts.log
    this.#orphans = new Orphans(parts)
    this.#bodies = new BodyTaker({
      ...parts,
      onPatch: (patching) => {
        this.expected.note(patching.sha256, patching.size)
        this.onPatch?.(patching)
      },
    })
  }

  /** Tells `listener` of every commit until disposed. */
  onCommit(listener: (news: Announcement) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** Notes how far a client is. Kept in memory until `saveCursors`: a stale one only keeps tombstones longer. */
  noteCursor(client: string, cursor: Seq): void {
    this.#cursors.set(client, { cursor, lastSeenMs: this.#clock.now() })
  }

  /** How far a client is, and when it was last heard of; `undefined` for one that was never here. */
  cursorOf(client: string): { readonly cursor: Seq; readonly lastSeenMs: number } | undefined {
    return this.#cursors.get(client) ?? this.journal.client(client)
  }

  /** Makes what was noted durable. */
  saveCursors(): void {
    this.journal.transaction(() => {
      for (const [client, { cursor, lastSeenMs }] of this.#cursors) this.journal.setCursor(client, cursor, lastSeenMs)
    })
    this.#cursors.clear()
  }

  changes(since: Seq | HeadPlace, limit: number): ChangesPage {
    return this.journal.headsAfter(since, limit, { live: since === 0 })
  }

  /** What is to be sent of these contents. Throws `Refused` 423 while nothing may be sent. */
  holdings(peer: string, contents: readonly Content[]): Holding[] {
    this.gate()
    const held = this.#bodies.held(contents.map(({ sha256 }) => sha256))
    return contents.map(({ sha256, size }): Holding => {
      if (sha256 === EMPTY_DIGEST || held.has(sha256)) return { kind: 'have' }
      if (size <= PACKED_MAX) return { kind: 'go', staged: 0 }
      this.expected.note(sha256, size)
      return { kind: 'go', staged: this.store.stagedBytes(peer, sha256, size) }
    })
  }

  places(digests: readonly Digest[]): (ContentPlace | undefined)[] {
    const kept = this.#bodies.held(digests)
    return digests.map((digest) => kept.get(digest)?.place)
  }

  /** How a held content was made from others; the others may be gone by now. */
  recipe(sha256: Digest): Patch | undefined {
    return this.journal.patch(sha256)
  }

  /**
   * Verifies the bodies, commits what can be, and answers for each proposal in order. `isOver`: its peer has begun another session since. Throws `Refused`
   * 423 when the folder is halted: what rests elsewhere is as good as lost.
   */
  async propose(
    peer: string,
    batch: readonly SourcedProposal[],
    signal: AbortSignal,
    isOver: () => boolean = () => false,
  ): Promise<CommitReply> {
    const isStill = this.gate()
    this.#orphans.drop()
    const bodies = await this.#bodies.take(peer, batch, signal)
    if (!isStill()) this.#refuse(bodies)
    if (isOver()) this.#giveUp(bodies)
    // From here on nothing waits: what is read now holds until the commit.
    const held = this.#bodies.held(batch.flatMap(({ proposal: { entry } }) => digestsOf(entry)))
    const sizes = new Map([...held, ...bodies.contents.map((one) => [one.sha256, one] as const)])
    const accepted: SourcedProposal[] = []
    const early = new Map<SourcedProposal, Outcome>()
    for (const sourced of batch) {
      const outcome = checkBody(sourced, bodies, sizes)
      if (outcome === undefined) accepted.push(sourced)
      else early.set(sourced, outcome)
    }
    const proposals = accepted.map((sourced) => sourced.proposal)
    const reply = this.#commit(proposals, { peer, bodies, held })
    const late = new Map(accepted.map((sourced, index) => [sourced, reply.outcomes[index]]))
    const outcomes = batch.map(
      (sourced): Outcome =>
        early.get(sourced) ?? late.get(sourced) ?? { kind: 'refused', status: 500, reason: 'no outcome' },
    )
    batch.forEach(({ proposal: { entry }, source }, index) => {
      const kind = outcomes[index]?.kind
      if (
        (source.kind !== 'staged' && source.kind !== 'patch') ||
        entry?.kind !== 'file' ||
        kind === 'accepted' ||
        kind === 'duplicate'
      )
        return
      this.store.uploads.refused(peer, entry.sha256)
    })
    return { ...reply, outcomes }
  }

  /** The folder was away while the bodies came: nobody knows where they are. */
  #refuse({ packs }: Bodies): never {
    for (const pack of packs) this.store.dropPack(pack)
    this.gate()
    throw new Refused(`Cannot take changes of folder "${this.name}": it was away for a moment on the coordinator`, {
      status: 423,
    })
  }

  /** A later session may have proposed of the same paths already: nothing is committed, but a large content need not come again. */
  #giveUp({ contents, packs }: Bodies): never {
    const large = contents.filter(({ place, sha256 }) => place.kind === 'object' && !this.#holds(sha256))
    this.journal.commit({ revisions: [], collisions: [], contents: large, nowMs: this.#clock.now() })
    for (const pack of packs) this.store.dropPack(pack)
    throw new Refused('Cannot commit: another session has begun meanwhile', { status: 409 })
  }

  /** Moves directories, one after the other; each is told of by itself. */
  moveTrees(peer: string, moves: readonly TreeMove[]): CommitReply {
    this.gate()
    const { reply, moved } = moveTrees(this.journal, moves, { peer, nowMs: this.#clock.now() })
    for (const tree of moved) {
      const news: Announcement = { author: peer, prev: tree.seq - 1, upTo: tree.seq, heads: [], moved: tree }
      for (const listener of this.#listeners) listener(news)
    }
    return reply
  }

  /** Brings one version of a path back as a new revision by `peer`. */
  restore(peer: string, path: RelPath, rev: Seq | undefined): Seq {
    this.gate()
    const version = this.version(path, rev)
    const head = this.journal.head(path)
    const bodies = { contents: [], packs: [], bad: new Set<SourcedProposal>() }
    const reply = this.#commit([{ path, base: head?.seq ?? 0, entry: version.entry, writtenAtMs: this.#clock.now() }], {
      peer,
      told: '',
      bodies,
      held: new Map(),
    })
    const outcome = reply.outcomes[0]
    if (outcome === undefined || outcome.kind === 'need' || outcome.kind === 'refused') {
      throw new Refused(`Cannot restore "${path}": the revision was not accepted`, { status: 409 })
    }
    return outcome.seq
  }

  /** A version of a path: the one named, else the newest that is not a tombstone. Throws `Refused` 404. */
  version(path: RelPath, rev: Seq | undefined): Revision {
    const revisions = this.journal.revisionsOf(path)
    const found =
      rev === undefined
        ? revisions.findLast((revision) => revision.entry !== undefined && !revision.loser)
        : revisions.find((revision) => revision.seq === rev)
    if (found === undefined) {
      throw new Refused(
        rev === undefined
          ? `Cannot find "${path}" in folder "${this.name}": no version of it is kept`
          : `Cannot find revision ${String(rev)} of "${path}": it is not one of its kept versions`,
        { status: 404, hint: `See "monitor history ${this.name}/${path}"` },
      )
    }
    if (found.entry?.kind === 'file' && !this.#holds(found.entry.sha256)) {
      throw new Refused(`Cannot find the content of "${path}" at revision ${String(found.seq)}: it is no longer kept`, {
        status: 404,
      })
    }
    return found
  }

  #commit(proposals: readonly Proposal[], from: Origin): CommitReply {
    const { journal } = this
    const { peer, told = peer, bodies, held } = from
    const prev = journal.seq()
    const nowMs = this.#clock.now()
    const plan = planCommit(
      commitView(journal, proposals),
      { peer, nowMs, nextSeq: prev + 1, conflict: this.#conflict },
      proposals,
    )
    const contents = bodies.contents.filter(({ sha256 }) => !held.has(sha256))
    const isKept = plan.revisions.length > 0
    if (isKept) {
      try {
        journal.commit({ revisions: plan.revisions, collisions: plan.collisions, contents, nowMs })
      } catch (error) {
        this.#orphans.leave(bodies.packs)
        throw error
      }
    }
    const used = new Set(isKept ? contents.flatMap(({ place }) => (place.kind === 'pack' ? [place.pack] : [])) : [])
    for (const pack of bodies.packs) if (!used.has(pack)) this.store.dropPack(pack)
    for (const { path, winner, loser } of plan.collisions) {
      this.#log.warn(
        `Collision at ${path}: ${winner.peer} wins, ${loser.peer}'s version is kept as revision ${String(loser.rev)}`,
        {
          folder: this.name,
        },
      )
    }
    const own = new Set(plan.outcomes.flatMap((outcome) => (outcome.kind === 'accepted' ? [outcome.seq] : [])))
    const news = this.#announce(told, prev, { revisions: plan.revisions, contents: [...held.values(), ...contents] })
    const heads = news.filter(({ head }) => !own.has(head.seq))
    const known = new Set(heads.map(({ head }) => head.path))
    const asked = proposals.flatMap(({ path }, i) =>
      plan.outcomes[i]?.kind === 'accepted' || known.has(path) ? [] : [path],
    )
    heads.push(...this.#headsAt(asked))
    return { outcomes: plan.outcomes, heads, prev, upTo: journal.seq() }
  }

  #announce(
    author: string,
    prev: Seq,
    { revisions, contents }: { revisions: readonly Revision[]; contents: readonly KeptContent[] },
  ): PlacedHead[] {
    if (revisions.length === 0) return []
    const newest = new Map<RelPath, Revision>()
    for (const revision of revisions) if (!revision.loser) newest.set(revision.path, revision)
    const heads = this.#placed([...newest.values()], contents)
    heads.sort((a, b) => a.head.seq - b.head.seq)
    const news: Announcement = { author, prev, upTo: this.journal.seq(), heads }
    for (const listener of this.#listeners) listener(news)
    return heads
  }

  /** The heads of paths with the places of their contents; tombstones where there are none. */
  #headsAt(paths: readonly RelPath[]): PlacedHead[] {
    if (paths.length === 0) return []
    const heads = this.journal.heads(paths)
    const seq = this.journal.seq()
    return this.#placed(Array.from(new Set(paths), (path) => heads.get(path) ?? { path, seq, entry: undefined }))
  }

  /** Heads with the places of their contents. `contents`: those whose place is known. */
  #placed(heads: readonly Head[], contents: readonly KeptContent[] = []): PlacedHead[] {
    const places = new Map(contents.map((one) => [one.sha256, one]))
    const unknown = heads.flatMap(({ entry }) => digestsOf(entry)).filter((sha256) => !places.has(sha256))
    for (const [sha256, content] of this.journal.places(unknown)) places.set(sha256, content)
    return heads.map(({ path, seq, entry }) => ({
      head: { path, seq, entry },
      place: entry?.kind === 'file' ? places.get(entry.sha256)?.place : undefined,
    }))
  }

  #holds(sha256: Digest): boolean {
    return sha256 === EMPTY_DIGEST || this.journal.holds(sha256)
  }
}

function digestsOf(entry: Entry | undefined): Digest[] {
  return entry?.kind === 'file' ? [entry.sha256] : []
}
