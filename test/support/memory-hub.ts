// A hub in memory: orders revisions as the coordinator does, keeps contents in a map, and fails where a test wants it to.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { treeMark } from '../../lib/core/tree-mark.ts'
import { Refused } from '../../lib/errors.ts'
import type { HeadPlace, PlacedHead, SourcedProposal } from '../../lib/model/content.ts'
import { EMPTY_DIGEST, type Digest } from '../../lib/model/digest.ts'
import type { Entry, FileEntry } from '../../lib/model/entry.ts'
import type { RelPath } from '../../lib/model/path.ts'
import type { MovedTree, Outcome, Proposal, TreeMove } from '../../lib/model/revision.ts'
import type { ChangesPage, CommitReply, Content, Depot, Hub } from '../../lib/replica/ports.ts'
import type { News } from '../../lib/replica/folder-state.ts'
import { rel } from './builders.ts'
import { MemoryJournal } from './memory-journal.ts'

/** What a test does at certain moments; what it throws fails the call. */
export interface Moments {
  beforePropose?: (batch: readonly SourcedProposal[]) => void | Promise<void>
  /** The commit is done, the answer is not yet said. */
  afterCommit?: () => void
  beforeMove?: (moves: readonly TreeMove[]) => void | Promise<void>
  beforeChanges?: () => void | Promise<void>
  beforeRead?: () => void | Promise<void>
  /** An answer of its own to a proposal. */
  answer?: (proposal: Proposal) => Outcome | undefined
  /** The reply as it is said. */
  reply?: (reply: CommitReply) => CommitReply
}

export class MemoryHub implements Hub {
  readonly journal = new MemoryJournal()
  readonly bodies = new Map<Digest, Uint8Array>()
  readonly moments: Moments = {}
  /** Names of the calls that came, with what they were about. */
  readonly calls: string[] = []
  readonly depot: Depot
  readonly #staged = new Map<string, Uint8Array>()
  readonly #me: string
  #tell: (news: News) => void = () => undefined

  /** `me`: the name of the peer that calls. */
  constructor(me = 'me') {
    this.#me = me
    this.depot = this.#makeDepot()
  }

  /** All paths that live, with their contents as text, links as `-> target`, directories as `/`. */
  live(): Record<string, string> {
    const found: Record<string, string> = {}
    for (const { path, entry } of this.journal.heads.values()) if (entry !== undefined) found[path] = this.#shown(entry)
    return found
  }

  /** Every content that ever was at `path`, as text, oldest first. */
  versions(path: string): string[] {
    return this.journal
      .revisionsAfter(rel(path), 0)
      .map(({ entry }) => (entry === undefined ? 'gone' : this.#shown(entry)))
  }

  /** A commit by someone else; gives the news of it. */
  other(edits: Readonly<Record<string, string | undefined>>, { timeMs = Date.now() } = {}): News {
    const prev = this.journal.revisions.length
    const batch = Object.entries(edits).map(([path, text]): Proposal => {
      const entry = text === undefined ? undefined : this.fileOf(text)
      return { path: rel(path), base: this.journal.head(rel(path))?.seq ?? 0, entry, writtenAtMs: timeMs }
    })
    this.journal.commit({ peer: 'other', nowMs: timeMs }, batch)
    const heads = batch.map(({ path }) => this.#placed(path))
    return { prev, upTo: this.journal.revisions.length, heads }
  }

  /** Someone else renames a directory; gives the news of it. Throws when that is refused. */
  otherMoves(from: string, to: string): News {
    const move = { from: rel(from), to: rel(to), base: this.journal.head(rel(from))?.seq ?? 0, writtenAtMs: Date.now() }
    const mark = treeMark(move.from, this.journal.liveBelow(move.from))
    const { moved, outcome } = this.journal.move({ peer: 'other', nowMs: Date.now() }, { ...move, mark })
    if (moved === undefined) throw new Error(outcome.kind === 'refused' ? outcome.reason : outcome.kind)
    return newsOf(moved)
  }

  /** The entry of a file with that text, whose content is held from now on. */
  fileOf(text: string): FileEntry {
    const bytes = Buffer.from(text)
    const sha256 = digestOf(bytes)
    this.bodies.set(sha256, bytes)
    return { kind: 'file', size: bytes.length, mtimeNs: '1700000000000000000', mode: 0o644, sha256 }
  }

  /** Calls `tell` with the news of every commit of the replica itself: an echo, which must change nothing. */
  echoTo(tell: (news: News) => void): void {
    this.#tell = tell
  }

  async changes(from: number | HeadPlace): Promise<ChangesPage> {
    const since = typeof from === 'number' ? from : from.seq - 1
    this.calls.push(`changes ${String(since)}`)
    await this.moments.beforeChanges?.()
    const heads = [...this.journal.heads.values()].filter(
      ({ seq, entry }) => seq > since && (since > 0 || entry !== undefined),
    )
    return {
      heads: heads.sort((a, b) => a.seq - b.seq).map(({ path }) => this.#placed(path)),
      upTo: this.journal.revisions.length,
      more: false,
    }
  }

  holdings(contents: readonly Content[]) {
    this.calls.push('holdings')
    return Promise.resolve(
      contents.map(({ sha256 }) =>
        this.#holds(sha256) ? ({ kind: 'have' } as const) : ({ kind: 'go', staged: 0 } as const),
      ),
    )
  }

  async propose(batch: readonly SourcedProposal[]): Promise<CommitReply> {
    this.calls.push(`propose ${batch.map(({ proposal }) => proposal.path).join(' ')}`)
    await this.moments.beforePropose?.(batch)
    for (const { proposal, source } of batch) {
      const { entry } = proposal
      if (entry?.kind !== 'file' || source.kind === 'held' || source.kind === 'patch') continue
      const staged = this.#staged.get(source.kind === 'pack' ? source.pack : source.name)
      const offset = source.kind === 'pack' ? source.offset : 0
      const body = staged?.slice(offset, offset + entry.size)
      if (body !== undefined && digestOf(body) === entry.sha256) this.bodies.set(entry.sha256, body)
    }
    const early = batch.map(({ proposal }): Outcome | undefined => {
      const { entry } = proposal
      const answer = this.moments.answer?.(proposal)
      return answer ?? (entry?.kind === 'file' && !this.#holds(entry.sha256) ? { kind: 'need' } : undefined)
    })
    const prev = this.journal.revisions.length
    const taken = batch.filter((_, index) => early[index] === undefined).map(({ proposal }) => proposal)
    const plan = this.journal.commit({ peer: this.#me, nowMs: Date.now() }, taken)
    this.moments.afterCommit?.()
    const upTo = this.journal.revisions.length
    const late = [...plan.outcomes]
    const outcomes = early.map((outcome): Outcome => outcome ?? late.shift() ?? { kind: 'need' })
    const own = new Set(plan.outcomes.flatMap((outcome) => (outcome.kind === 'accepted' ? [outcome.seq] : [])))
    const besides = plan.revisions.filter(({ seq, loser }) => !loser && !own.has(seq)).map(({ path }) => path)
    const others = batch.filter((_, index) => outcomes[index]?.kind !== 'accepted').map(({ proposal }) => proposal.path)
    if (upTo > prev) this.#tell({ prev, upTo, heads: taken.map(({ path }) => this.#placed(path)) })
    const heads = [...new Set([...besides, ...others])].map((path) => this.#placed(path))
    const reply = { outcomes, heads, prev, upTo }
    return this.moments.reply?.(reply) ?? reply
  }

  async moveTrees(moves: readonly TreeMove[]): Promise<CommitReply> {
    this.calls.push(`moveTrees ${moves.map(({ from, to }) => `${from} ${to}`).join(' ')}`)
    await this.moments.beforeMove?.(moves)
    const prev = this.journal.revisions.length
    const plans = moves.map((move) => this.journal.move({ peer: this.#me, nowMs: Date.now() }, move))
    this.moments.afterCommit?.()
    for (const { moved } of plans) if (moved !== undefined) this.#tell(newsOf(moved))
    return { outcomes: plans.map(({ outcome }) => outcome), heads: [], prev, upTo: this.journal.revisions.length }
  }

  places(digests: readonly Digest[]) {
    this.calls.push('places')
    return Promise.resolve(digests.map((digest) => (this.#holds(digest) ? ({ kind: 'object' } as const) : undefined)))
  }

  recipe() {
    return Promise.resolve(undefined)
  }

  report(): void {
    // nobody asks
  }

  clockOffsetMs(): number {
    return 0
  }

  #makeDepot(): Depot {
    return {
      isNear: false,
      readComing: () => Promise.resolve(false),
      putPack: (name, bytes) => {
        this.calls.push(`putPack ${String(bytes.length)}`)
        this.#staged.set(name, bytes.slice())
        return Promise.resolve(name)
      },
      discard: (name) => {
        this.#staged.delete(name)
        return Promise.resolve()
      },
      putFile: ({ fd, name }, onBytes) => {
        const bytes = readFileSync(fd)
        this.calls.push(`putFile ${String(bytes.length)}`)
        this.#staged.set(name, bytes)
        onBytes(bytes.length)
        return Promise.resolve()
      },
      read: async (contents) => {
        this.calls.push(`read ${String(contents.length)}`)
        await this.moments.beforeRead?.()
        return contents.map(({ sha256 }) => this.#body(sha256).slice())
      },
      readFile: async ({ sha256 }, { place }) => {
        this.calls.push('readFile')
        await this.moments.beforeRead?.()
        writeFileSync(place, this.#body(sha256))
      },
      readRanges: () => Promise.reject(new Refused('no ranges here', { status: 404 })),
    }
  }

  #body(sha256: Digest): Uint8Array {
    if (sha256 === EMPTY_DIGEST) return new Uint8Array(0)
    const body = this.bodies.get(sha256)
    if (body === undefined) throw new Refused(`Cannot read content ${sha256}: it is not held`, { status: 404 })
    return body
  }

  #holds(sha256: Digest): boolean {
    return sha256 === EMPTY_DIGEST || this.bodies.has(sha256)
  }

  #placed(path: RelPath): PlacedHead {
    const head = this.journal.head(path)
    const { seq = this.journal.revisions.length, entry } = head ?? {}
    return { head: { path, seq, entry }, place: entry?.kind === 'file' ? { kind: 'object' } : undefined }
  }

  #shown(entry: Entry): string {
    if (entry.kind === 'dir') return '/'
    return entry.kind === 'link' ? `-> ${entry.target}` : Buffer.from(this.bodies.get(entry.sha256) ?? []).toString()
  }
}

function newsOf(moved: MovedTree): News {
  return { prev: moved.seq - 1, upTo: moved.seq, heads: [], moved }
}

function digestOf(bytes: Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest('hex') as Digest
}
