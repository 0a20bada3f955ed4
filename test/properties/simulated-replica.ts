// A simulated replica: the order of steps that keeps one disk in step, with nothing outside the process.

import { planApply } from '../../lib/core/apply-plan.ts'
import type { ApplyItem, ApplyStep } from '../../lib/core/apply-step.ts'
import { diffListing, diffSeen } from '../../lib/core/diff.ts'
import { findMovedDirs, findMoves } from '../../lib/core/move-detection.ts'
import type { Local } from '../../lib/core/reconcile.ts'
import { reconcile } from '../../lib/core/reconcile.ts'
import { sameMark, treeMark } from '../../lib/core/tree-mark.ts'
import { headsOfMove } from '../../lib/core/tree-move.ts'
import { answered, bySaidPath, saidOfMove } from '../../lib/core/unheard.ts'
import type { Digest } from '../../lib/model/digest.ts'
import type { Entry, Fingerprint } from '../../lib/model/entry.ts'
import { sameContent, sameEntry, samePrint } from '../../lib/model/entry.ts'
import type { DirPath, RelPath } from '../../lib/model/path.ts'
import { depthOf, isBelow, nameOf, parentOf, rebase, ROOT } from '../../lib/model/path.ts'
import type { Head, MovedTree, Outcome, Proposal, Seq, TreeMove } from '../../lib/model/revision.ts'
import type { BaseRow, Change, Said, SaidMove } from '../../lib/model/snapshot.ts'
import { SimulatedDisk } from './simulated-disk.ts'

/** A batch that was sent, with what the replica must remember until the answer comes. */
export interface Sent {
  readonly proposals: readonly Proposal[]
  readonly prints: readonly (Fingerprint | undefined)[]
  readonly bases: readonly (BaseRow | undefined)[]
}

/** The move of a directory that was sent, and how the directory stood where it is. */
export interface SentMove {
  readonly move: TreeMove
  readonly said: SaidMove
}

/** A question for heads: in which session, after how many lost answers, and after which Seq. */
export interface Question {
  readonly session: number
  readonly losses: number
  readonly since: Seq
}

/** Current heads with `since` < Seq <= `upto`; `isAll`: there are no others after `since`. */
export interface Page extends Question {
  readonly isAll: boolean
  readonly upto: Seq
  readonly heads: readonly Head[]
}

/** What the simulation does between two steps of applying; true: the replica dies here. */
export type Meanwhile = () => boolean

export class SimulatedReplica {
  readonly name: string
  readonly disk: SimulatedDisk
  /** What survives a crash. */
  readonly base = new Map<RelPath, BaseRow>()
  readonly incoming = new Map<RelPath, Head>()
  cursor = 0
  /** What was sent, until the answer is heard. */
  #unheard: (Sent | SentMove)[] = []
  /** What does not. */
  session = 0
  /** Whether all heads after the cursor were told in this session: nothing is proposed before. */
  isCaughtUp = false
  #inFlight: Sent | SentMove | undefined
  /** How many answers were lost. */
  #losses = 0
  /** Whether an answer was lost though the link lives, and the heads have not yet told what became of that. */
  isAtLoss = false
  /** What was said and will not be heard of but from the heads, by path. */
  #said: ReadonlyMap<RelPath, readonly Said[]> = new Map()
  /** Moves that were refused, by where they began: they go path by path. */
  readonly #refused = new Set<RelPath>()
  #accepted = new Map<RelPath, Seq>()
  readonly #onDestroy: (digest: Digest) => void

  /** `onDestroy` is told of each content that applying takes off the disk. */
  constructor(name: string, nowMs: () => number, onDestroy: (digest: Digest) => void) {
    this.name = name
    this.disk = new SimulatedDisk(nowMs)
    this.#onDestroy = onDestroy
  }

  get inFlight(): Sent | SentMove | undefined {
    return this.#inFlight
  }

  /** Remembers what is sent before it is. */
  send(sent: Sent | SentMove): void {
    if (this.#unheard.length > 0)
      throw new Error(`${this.name} proposes while what it said before is neither heard nor given up`)
    this.#unheard.push(sent)
    this.#inFlight = sent
  }

  get question(): Question {
    return { session: this.session, losses: this.#losses, since: this.cursor }
  }

  /** What was sent was refused: nothing came of it. */
  refused(sent: Sent | SentMove): void {
    this.#heard(sent)
    if ('move' in sent) this.#refused.add(sent.said.from)
  }

  /** The answer is lost though the link lives: until the heads tell, nothing is proposed. */
  lose(): void {
    this.isAtLoss = true
    this.#compare()
  }

  /** The link is lost, and with it what was on its way. */
  disconnect(): void {
    this.session += 1
    this.isAtLoss = false
    this.#compare()
  }

  #compare(): void {
    this.#inFlight = undefined
    this.#losses += 1
    this.isCaughtUp = false
    this.#said = bySaidPath(this.#allSaid())
    for (const path of this.#said.keys()) {
      const head = this.incoming.get(path)
      if (head !== undefined) this.#hear(head)
    }
  }

  crash(): void {
    this.disconnect()
    this.#accepted = new Map()
  }

  loseBase(): void {
    this.#unheard = []
    this.crash()
    this.base.clear()
    this.incoming.clear()
    this.cursor = 0
  }

  /** All changes against the base, by way of listings, as a scan finds them. */
  scan(): Change[] {
    const rows = new Map<DirPath, BaseRow[]>()
    for (const row of this.base.values()) {
      const parent = parentOf(row.path)
      rows.set(parent, [...(rows.get(parent) ?? []), row])
    }
    const changes: Change[] = []
    const visit = (dir: DirPath): void => {
      const listing = this.disk.list(dir)
      const diff = diffListing(rows.get(dir) ?? [], listing, () => false)
      changes.push(...diff.changes)
      for (const gone of diff.goneDirs) {
        for (const row of this.base.values()) {
          if (isBelow(gone, row.path)) changes.push({ kind: 'gone', path: row.path, base: row })
        }
      }
      for (const { name, print } of listing.seen) {
        if (print.kind === 'dir') visit((dir === ROOT ? name : `${dir}/${name}`) as RelPath)
      }
    }
    visit(ROOT)
    this.#checkMoves(changes)
    return changes
  }

  /** The move of a directory that is due now, `undefined` when none is: only one below which all is agreed on, and nothing waits. */
  prepareMove(): SentMove | undefined {
    const changes = this.scan()
    const gone = changes.filter((change) => change.kind === 'gone')
    const put = changes.filter((change) => change.kind === 'put')
    for (const from of this.#refused) if (!gone.some(({ path }) => path === from)) this.#refused.delete(from)
    for (const { from, to, base, put: dir } of findMovedDirs(gone, put)) {
      const rows = this.#below(from)
      const parent = parentOf(to)
      const isIn = (path: RelPath) => [from, to].some((top) => path === top || isBelow(top, path))
      if (this.#refused.has(from) || (parent !== ROOT && this.base.get(parent)?.entry.kind !== 'dir')) continue
      if (
        [...this.incoming.keys()].some(isIn) ||
        [...this.base.keys()].some((path) => path === to || isBelow(to, path))
      )
        continue
      if ([base, ...rows].some(({ seq }) => seq === 0)) continue
      const writtenAtMs = this.disk.at(to)?.changedAtMs ?? this.disk.clock()
      const move = { from, to, base: base.seq, mark: treeMark(from, rows), writtenAtMs }
      return { move, said: { from, to, print: dir.print } }
    }
    return undefined
  }

  /** Takes the answer to a move. */
  answerMove(sent: SentMove, outcome: Outcome): void {
    const { from, to, print } = sent.said
    this.#heard(sent)
    if (outcome.kind !== 'accepted') this.#refused.add(from)
    else this.#moveBase(from, to, outcome.seq, print)
  }

  /** Takes news of a move: as one rename when nothing is in the way. False when it has to ask for the heads. */
  takeMove({ prev, moved }: { prev: Seq; moved: MovedTree }, meanwhile: Meanwhile): boolean | 'died' {
    const { from, to, seq, entry, mark } = moved
    const row = this.base.get(from)
    if (seq <= this.cursor) return true
    if (prev > this.cursor || row?.entry.kind !== 'dir') return false
    if (!sameMark(treeMark(from, this.#below(from)), mark)) return false
    const isIn = (path: RelPath) => [from, to].some((top) => path === top || isBelow(top, path))
    const isFree =
      sameEntry(row.entry, entry) &&
      (parentOf(to) === ROOT || this.base.get(parentOf(to) as RelPath)?.entry.kind === 'dir') &&
      ![...this.incoming.keys()].some(isIn) &&
      ![...this.base.keys()].some((path) => path === to || isBelow(to, path)) &&
      !this.scan().some(({ path }) => isIn(path))
    if (isFree && this.disk.at(to) === undefined && this.disk.makeParents(to)) {
      if (meanwhile()) return 'died'
      if (!this.#isAs(row, from) || this.disk.at(to) !== undefined || !this.disk.makeParents(to)) return false
      this.disk.rename(from, to)
      const print = this.disk.at(to)?.print
      if (meanwhile()) return 'died'
      if (print !== undefined) this.#moveBase(from, to, seq, { ...row.print, ino: print.ino })
    } else {
      for (const head of headsOfMove(moved, this.#below(from))) this.incoming.set(head.path, head)
    }
    this.cursor = Math.max(this.cursor, seq)
    return true
  }

  #below(dir: RelPath): BaseRow[] {
    return [...this.base.values()].filter(({ path }) => isBelow(dir, path))
  }

  #moveBase(from: RelPath, to: RelPath, seq: Seq, print: Fingerprint): void {
    const top = this.base.get(from)
    for (const row of this.#below(from)) {
      this.base.delete(row.path)
      const path = rebase(row.path, from, to)
      this.base.set(path, { ...row, path, seq })
      this.#accepted.set(path, seq)
    }
    this.base.delete(from)
    if (top === undefined) return
    this.base.set(to, { ...top, path: to, seq, print: print.mode === top.print.mode ? print : top.print })
    this.#accepted.set(to, seq)
  }

  /** The batch that is due now, `undefined` when nothing is. Records what needs no word with the coordinator. */
  prepare(): Sent | undefined {
    const due: { proposal: Proposal; print: Fingerprint | undefined; base: BaseRow | undefined }[] = []
    for (const change of this.scan()) {
      const { path } = change
      const standing = this.disk.at(path)
      const local: Local = standing === undefined ? { kind: 'gone' } : { kind: 'put', entry: standing.entry }
      const base = this.base.get(path)
      const decision = reconcile(base, local, this.incoming.get(path))
      if (decision.do === 'propose') {
        const writtenAtMs = standing?.changedAtMs ?? this.disk.clock()
        const proposal = { path, base: decision.base, entry: standing?.entry, writtenAtMs }
        due.push({ proposal, print: standing?.print, base })
      } else if (decision.do === 'adopt' && standing !== undefined) {
        this.#adopt(path, decision.seq, standing)
      } else if (decision.do === 'forget') {
        this.base.delete(path)
        this.incoming.delete(path)
      }
    }
    if (due.length === 0) return undefined
    due.sort((a, b) => rank(a.proposal) - rank(b.proposal))
    return {
      proposals: due.map((one) => one.proposal),
      prints: due.map((one) => one.print),
      bases: due.map((one) => one.base),
    }
  }

  /** Takes the answer to a batch. */
  answer(sent: Sent, { outcomes, heads }: { outcomes: readonly Outcome[]; heads: readonly Head[] }): void {
    this.#heard(sent)
    for (const [i, outcome] of outcomes.entries()) {
      const proposal = sent.proposals[i]
      if (proposal === undefined || outcome.kind === 'need' || outcome.kind === 'refused') continue
      const { path, entry } = proposal
      if (this.base.get(path) !== sent.bases[i]) continue // applied or adopted meanwhile; it will be proposed again
      const print = sent.prints[i]
      if (entry === undefined || print === undefined) this.base.delete(path)
      else this.base.set(path, { path, seq: outcome.kind === 'superseded' ? 0 : outcome.seq, entry, print })
      if (outcome.kind === 'superseded') continue // it lost: what waits, or comes, is the head
      this.#accepted.set(path, outcome.seq)
      const waiting = this.incoming.get(path)
      if (waiting !== undefined && waiting.seq <= outcome.seq) this.incoming.delete(path)
    }
    for (const head of heads) this.#await(head)
  }

  /** Takes a page of heads. A page from beyond the cursor is ignored; of one that came late, what was told before. */
  take(page: Page): void {
    if (page.since > this.cursor || page.session !== this.session) return
    for (const head of page.heads) {
      const { seq } = head
      if (this.#hear(head)) continue
      if (seq > this.cursor) this.#await(head)
    }
    this.cursor = Math.max(this.cursor, page.upto)
    if (!page.isAll || page.losses < this.#losses) return
    if (!this.isCaughtUp) this.#unheard = []
    this.#said = new Map()
    this.isCaughtUp = true
    this.isAtLoss = false
  }

  /** Whether the head answers what was said: then it is agreed on, as of when it was said. */
  #hear(head: Head): boolean {
    const { path, seq } = head
    const before = answered(head, this.#said.get(path))
    if (before === undefined || seq <= (this.base.get(path)?.seq ?? 0)) return false
    if (before.entry === undefined || before.print === undefined) this.base.delete(path)
    else this.base.set(path, { path, seq, entry: before.entry, print: before.print })
    if ((this.incoming.get(path)?.seq ?? 0) <= seq) this.incoming.delete(path)
    this.#accepted.set(path, seq)
    return true
  }

  #await(head: Head): void {
    const { path, seq } = head
    const known = Math.max(this.#accepted.get(path) ?? 0, this.incoming.get(path)?.seq ?? 0)
    if (seq > known && this.base.get(path)?.seq !== seq) this.incoming.set(path, head)
  }

  *#allSaid(): Iterable<Said> {
    for (const sent of this.#unheard) {
      if ('move' in sent) {
        const top = this.base.get(sent.said.from)
        yield* saidOfMove(sent.said, [...(top === undefined ? [] : [top]), ...this.#below(sent.said.from)])
      } else for (const [i, { path, entry }] of sent.proposals.entries()) yield { path, entry, print: sent.prints[i] }
    }
  }

  #heard(sent: Sent | SentMove): void {
    this.#inFlight = undefined
    this.#unheard = this.#unheard.filter((one) => one !== sent)
  }

  /** Applies what waits, as far as the disk is as the base says. False when it died on the way. */
  apply(contents: ReadonlySet<Digest>, meanwhile: Meanwhile): boolean {
    const items: ApplyItem[] = []
    for (const head of this.incoming.values()) {
      if (this.#isBusy(head.path)) continue
      const item = this.#reconcile(head)
      if (item !== undefined) items.push(item)
    }
    const plan = planApply(items, {
      heldBy: (sha256) =>
        [...this.base.values()].filter(({ entry }) => entry.kind === 'file' && entry.sha256 === sha256),
      countBelow: (dir) => [...this.base.keys()].filter((path) => isBelow(dir, path)).length,
    })
    for (const stage of plan.stages) {
      for (const step of stage) {
        if (meanwhile()) return false
        const record = this.#carryOut(step, contents)
        if (record === undefined) continue
        if (meanwhile()) return false
        record()
      }
    }
    return true
  }

  /** Whether an answer about `path` is awaited: nothing else is done there meanwhile. */
  #isBusy(path: RelPath): boolean {
    const sent = this.#inFlight
    if (sent === undefined) return false
    if (!('move' in sent)) return sent.proposals.some((one) => one.path === path)
    return [sent.move.from, sent.move.to].some((top) => path === top || isBelow(top, path))
  }

  #reconcile(head: Head): ApplyItem | undefined {
    const { path } = head
    const standing = this.disk.at(path)
    const base = this.base.get(path)
    const seen = standing && { name: nameOf(path), print: standing.print }
    const change = diffSeen(path, base, seen)
    const local: Local =
      standing === undefined
        ? { kind: 'gone' }
        : change === undefined
          ? { kind: 'as-base' }
          : { kind: 'put', entry: standing.entry }
    const decision = reconcile(base, local, head)
    if (decision.do === 'adopt' && standing !== undefined) this.#adopt(path, decision.seq, standing)
    if (decision.do === 'forget') {
      this.base.delete(path)
      this.incoming.delete(path)
    }
    if (decision.do !== 'apply') return undefined
    if (standing === undefined) return { head, base: undefined }
    return { head, base: { path, seq: base?.seq ?? 0, entry: standing.entry, print: standing.print } }
  }

  #adopt(path: RelPath, seq: Seq, { entry, print }: { entry: Entry; print: Fingerprint }): void {
    this.base.set(path, { path, seq, entry, print })
    if (this.incoming.get(path)?.seq === seq) this.incoming.delete(path)
  }

  /** Does a step if the disk is as expected; `undefined` when it is not. What it returns records it in the base. */
  #carryOut(step: ApplyStep, contents: ReadonlySet<Digest>): (() => void) | undefined {
    const { disk } = this
    const { head } = step
    const { path } = head
    switch (step.do) {
      case 'forget':
        return () => this.#settle(head, undefined, undefined)
      case 'remove': {
        if (!this.#isAs(step.base, path) || disk.below(path).length > 0) return undefined
        this.#destroy(path)
        disk.remove(path)
        return () => this.#settle(head, undefined, undefined)
      }
      case 'make-dir': {
        if (disk.at(path) !== undefined || !disk.makeParents(path)) return undefined
        const print = disk.put(path, step.entry)
        return () => this.#settle(head, step.entry, print)
      }
      case 'write':
      case 'link': {
        if (!this.#isAs(step.base, path) || !disk.makeParents(path)) return undefined
        if (step.do === 'write' && step.content.from === 'copy') {
          const { row } = step.content
          if (!this.#isAs(row, row.path) || !sameContent(disk.at(row.path)?.entry, step.entry)) return undefined
        }
        if (step.do === 'write' && step.content.from === 'fetch' && !contents.has(step.entry.sha256)) {
          throw new Error(`Cannot fetch content of "${path}": the coordinator does not hold it`)
        }
        this.#destroy(path)
        const print = disk.put(path, step.entry)
        return () => this.#settle(head, step.entry, print)
      }
      case 'meta': {
        if (!this.#isAs(step.base ?? this.base.get(path), path) || disk.at(path) === undefined) return undefined
        const print = disk.put(path, step.entry, true)
        return () => this.#settle(head, step.entry, print)
      }
      case 'move': {
        const from = step.base.path
        if (!this.#isAs(step.base, from) || disk.at(path) !== undefined || !disk.makeParents(path)) return undefined
        disk.rename(from, path)
        const print = disk.put(path, step.entry, true)
        return () => {
          this.#settle(step.gone, undefined, undefined)
          this.#settle(head, step.entry, print)
        }
      }
      case 'move-dir': {
        const from = step.base.path
        const isWhole = [step, ...step.members].every((member) => this.#isAs(member.base, member.base.path))
        if (!isWhole || disk.at(path) !== undefined || !disk.makeParents(path)) return undefined
        disk.rename(from, path)
        const print = disk.put(path, step.entry, true)
        return () => {
          this.#settle(step.gone, undefined, undefined)
          this.#settle(head, step.entry, print)
          for (const member of step.members) {
            this.#settle(member.gone, undefined, undefined)
            this.#settle(member.head, member.head.entry, { ...member.base.print })
          }
        }
      }
      default:
        return step satisfies never
    }
  }

  /** Records what stands at the head's path now, and that the head no longer waits if that is it. */
  #settle({ path, seq, entry: wanted }: Head, entry: Entry | undefined, print: Fingerprint | undefined): void {
    if (entry === undefined || print === undefined) this.base.delete(path)
    else this.base.set(path, { path, seq, entry, print })
    if (sameEntry(entry, wanted) && this.incoming.get(path)?.seq === seq) this.incoming.delete(path)
  }

  #isAs(expected: BaseRow | undefined, path: RelPath): boolean {
    const standing = this.disk.at(path)
    if (expected === undefined || standing === undefined) return expected === undefined && standing === undefined
    return samePrint(expected.print, standing.print)
  }

  #destroy(path: RelPath): void {
    const entry = this.disk.at(path)?.entry
    if (entry?.kind === 'file') this.#onDestroy(entry.sha256)
  }

  #checkMoves(changes: readonly Change[]): void {
    const gone = changes.filter((change) => change.kind === 'gone')
    const put = changes.filter((change) => change.kind === 'put')
    const { moves, dirMoves } = findMoves(gone, put)
    for (const { base, to } of [...moves, ...dirMoves.flatMap((move) => [move, ...move.members])]) {
      if (!sameContent(base.entry, this.disk.at(to)?.entry)) throw new Error(`Cannot trust move to "${to}"`)
    }
  }
}

/** Deletes first, deepest first; then what is put, directories before what is in them. */
function rank({ path, entry }: Proposal): number {
  return entry === undefined ? -depthOf(path) : depthOf(path)
}
