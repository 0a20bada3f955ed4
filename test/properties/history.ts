// Random histories: three replicas and a coordinator, people at work on all disks, messages late, lost and doubled, crashes anywhere.

import type { Digest } from '../../lib/model/digest.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { sameEntry } from '../../lib/model/entry.ts'
import type { RelPath } from '../../lib/model/path.ts'
import { ancestorsOf, isBelow, parentOf } from '../../lib/model/path.ts'
import type { Head, MovedTree, Outcome } from '../../lib/model/revision.ts'
import { digestOf, rel } from '../support/builders.ts'
import { MemoryJournal } from '../support/memory-journal.ts'
import type { Standing } from './simulated-disk.ts'
import type { Page, Question, Sent, SentMove } from './simulated-replica.ts'
import { SimulatedReplica } from './simulated-replica.ts'

const PATHS = ['a', 'b', 'a/x', 'a/y', 'b/x', 'a/x/p', 'a/y/q', 'b/x/p', 'c', 'c/x'].map(rel)
const MODES = [0o755, 0o700, 0o644, 0o500] as const
const MAX_ROUNDS = 40

/** Numbers in [0, 1) from a seed, the same on every machine (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

type Message =
  | { readonly kind: 'propose'; readonly sent: Sent }
  | { readonly kind: 'move'; readonly sent: SentMove }
  | { readonly kind: 'moved'; readonly sent: SentMove; readonly outcome: Outcome }
  | { readonly kind: 'news'; readonly prev: number; readonly moved: MovedTree }
  | { readonly kind: 'changes'; readonly question: Question }
  | { readonly kind: 'failed'; readonly sent: Sent | SentMove; readonly isUndone: boolean }
  | { readonly kind: 'outcomes'; readonly sent: Sent; readonly reply: Reply }
  | { readonly kind: 'page'; readonly page: Page }

/** What became of a batch, with the heads of what was not accepted. */
interface Reply {
  readonly outcomes: readonly Outcome[]
  readonly heads: readonly Head[]
}

/** One history. It throws when a promise is broken; `log` tells what happened. */
export class History {
  readonly log: string[] = []
  /** How many directories were moved as one. */
  moves = 0
  readonly #roll: () => number
  /** Decides what fails, apart from all else. */
  readonly #luck: () => number
  readonly #journal = new MemoryJournal()
  readonly #contents = new Set<Digest>()
  /** From where directories were moved away. */
  readonly #left = new Map<SimulatedReplica, readonly RelPath[]>()
  readonly #replicas: SimulatedReplica[]
  readonly #messages = new Map<SimulatedReplica, Message[]>()
  /** Contents that a person changed or removed somewhere. */
  readonly #givenUp = new Set<Digest>()
  readonly #written = new Set<Digest>()
  readonly #conflict: 'latest' | 'keep-both'
  readonly #isSolo: boolean
  readonly #likesMoves: boolean
  #hasDied = false
  #nowMs = 1_700_000_000_000
  #content = 0
  #moved = 0

  /** `isSolo`: people work on one machine only, and no base is lost. `likesMoves`: they move many directories. */
  constructor(seed: number, isSolo: boolean, likesMoves: boolean) {
    this.#roll = dice(seed)
    this.#luck = dice(seed + 0x40000000)
    this.#isSolo = isSolo
    this.#likesMoves = likesMoves
    this.#conflict = this.#roll() < 0.3 ? 'keep-both' : 'latest'
    this.#replicas = ['ann', 'bob', 'server'].map((name) => {
      const skewMs = this.#roll() < 0.5 ? 0 : Math.floor(this.#roll() * 2000) - 1000
      return new SimulatedReplica(
        name,
        () => this.#nowMs + skewMs,
        (digest) => {
          if (!this.#contents.has(digest))
            throw new Error(`${name} took a content off its disk that is held nowhere else`)
        },
      )
    })
    for (const replica of this.#replicas) this.#messages.set(replica, [])
  }

  /** Plays `events` random events, then lets everything come to rest and checks every promise. */
  play(events: number): void {
    for (let i = 0; i < events; i++) {
      this.#nowMs += Math.floor(this.#roll() * 50)
      this.#event(this.#pick(this.#replicas))
    }
    const worker = this.#replicas[0]
    const asLeft = new Map(worker?.disk.tree)
    this.#rest()
    this.#check()
    if (this.#isSolo && worker !== undefined) this.#checkSolo(worker, asLeft)
  }

  #event(replica: SimulatedReplica): void {
    if (this.#likesMoves && this.#roll() < 0.1) {
      this.#round()
      return
    }
    const roll = this.#roll()
    if (roll < 0.4) this.#work(replica)
    else if (roll < 0.55) this.#push(replica)
    else if (roll < 0.63) this.#look(replica)
    else if (roll < 0.85) this.#deliver(replica)
    else if (roll < 0.95) this.#apply(replica, true)
    else if (roll < 0.985 || this.#isSolo) this.#crash(replica)
    else this.#loseBase(replica)
  }

  /** A person does something on this machine. */
  #work(replica: SimulatedReplica): void {
    if (this.#isSolo && replica !== this.#replicas[0]) return
    const { disk } = replica
    if (this.#likesMoves && this.#roll() < 0.4) {
      const dirs = [...disk.tree.keys()].filter((one) => disk.below(one).length > 0)
      if (dirs.length > 0) return this.#moveDir(replica, dirs)
    }
    const path = this.#pick(PATHS)
    const roll = this.#roll()
    const standing = disk.at(path)
    if (roll < 0.45) return this.#create(replica, path, { ...this.#newFile(), mode: 0o644 })
    if (roll < 0.55) return this.#create(replica, path, { kind: 'dir', mode: this.#pick(MODES.slice(0, 2)) })
    if (roll < 0.6) return this.#create(replica, path, { kind: 'link', target: this.#pick(['x', 'y']) })
    if (standing === undefined) return
    if (roll < 0.75) {
      this.#say(replica, `rm -r ${path}`)
      this.#giveUp(replica, path)
      disk.remove(path)
    } else if (roll < 0.9) {
      this.#rename(replica, path, this.#pick(PATHS))
    } else if (standing.entry.kind === 'dir') {
      const mode = this.#pick(MODES)
      this.#say(replica, `chmod ${mode.toString(8)} ${path}`)
      disk.put(path, { kind: 'dir', mode }, true)
    } else if (standing.entry.kind === 'file') {
      const entry = { ...standing.entry, mode: this.#pick(MODES), mtimeNs: String(this.#nowMs) }
      this.#say(replica, `touch ${path}`)
      disk.put(path, entry, true)
    }
  }

  #newFile(): Extract<Entry, { kind: 'file' }> {
    this.#content += 1
    return {
      kind: 'file',
      size: this.#content,
      mtimeNs: String(this.#nowMs),
      mode: 0o644,
      sha256: digestOf(this.#content),
    }
  }

  /** Puts an entry at `path`, whatever stood there, if its parent is there. */
  #create(replica: SimulatedReplica, path: RelPath, entry: Entry): void {
    const { disk } = replica
    if (!disk.isDir(parentOf(path)) && (this.#roll() < 0.5 || !disk.makeParents(path))) return
    if (disk.at(path)?.entry.kind === 'dir' && (entry.kind === 'dir' || this.#roll() < 0.6)) return
    this.#say(replica, `put ${path} ${describe(entry)}`)
    const keepsInode = entry.kind === 'file' && disk.at(path)?.entry.kind === 'file' && this.#roll() < 0.5
    this.#giveUp(replica, path)
    if (!keepsInode) disk.remove(path)
    disk.put(path, entry, keepsInode)
    if (entry.kind === 'file') this.#written.add(entry.sha256)
  }

  #rename(replica: SimulatedReplica, from: RelPath, to: RelPath): void {
    const { disk } = replica
    const target = disk.at(to)
    if (from === to || isBelow(from, to) || isBelow(to, from) || !disk.isDir(parentOf(to))) return
    if (target !== undefined && this.#roll() < 0.3) {
      this.#say(replica, `swap ${from} ${to}`)
      const aside = rel('aside')
      disk.rename(from, aside)
      disk.rename(to, from)
      disk.rename(aside, to)
      return
    }
    if (target !== undefined && (target.entry.kind === 'dir' || disk.at(from)?.entry.kind === 'dir')) return
    this.#say(replica, `mv ${from} ${to}`)
    this.#giveUp(replica, to)
    disk.remove(to)
    disk.rename(from, to)
  }

  /**
   * To a new name; of who works alone also to one that something had before. Where others put something at that name meanwhile, what is moved back
   * to it passes for what was there long ago: it is in history, but not as a loser.
   */
  #moveDir(replica: SimulatedReplica, dirs: readonly RelPath[]): void {
    const from = this.#pick(dirs)
    const left = this.#left.get(replica) ?? []
    if (this.#isSolo && left.length > 0 && this.#roll() < 0.4) {
      this.#rename(replica, from, this.#pick(left))
      return
    }
    const above = this.#roll() < 0.7 ? [] : dirs
    const name = `m${(this.#moved += 1)}`
    this.#left.set(replica, [...left, from])
    this.#rename(replica, from, rel(above.length === 0 ? name : `${this.#pick(above)}/${name}`))
  }

  #giveUp(replica: SimulatedReplica, path: RelPath): void {
    for (const one of [path, ...replica.disk.below(path)]) {
      const entry = replica.disk.at(one)?.entry
      if (entry?.kind === 'file') this.#givenUp.add(entry.sha256)
    }
  }

  #push(replica: SimulatedReplica): void {
    if (replica.inFlight !== undefined) return
    if (!replica.isCaughtUp) {
      this.#look(replica)
      return
    }
    const move = this.#roll() < 0.8 ? replica.prepareMove() : undefined
    if (move !== undefined) {
      replica.send(move)
      this.#send(replica, { kind: 'move', sent: move })
      return
    }
    const sent = replica.prepare()
    if (sent === undefined) return
    const most = this.#roll() < 0.7 ? sent.proposals.length : Math.ceil(this.#roll() * sent.proposals.length)
    const part = {
      proposals: sent.proposals.slice(0, most),
      prints: sent.prints.slice(0, most),
      bases: sent.bases.slice(0, most),
    }
    replica.send(part)
    this.#send(replica, { kind: 'propose', sent: part })
  }

  /** A new session ends the one before: nothing that was proposed in that one is committed any more. */
  #reconnect(replica: SimulatedReplica): void {
    this.#say(replica, 'reconnects')
    replica.disconnect()
    this.#messages.set(replica, [])
    this.#ask(replica)
  }

  #look(replica: SimulatedReplica): void {
    if (replica.isCaughtUp || (replica.isAtLoss && this.#luck() < 0.7)) this.#ask(replica)
    else this.#reconnect(replica)
  }

  #ask(replica: SimulatedReplica): void {
    this.#send(replica, { kind: 'changes', question: replica.question })
  }

  #send(replica: SimulatedReplica, message: Message): void {
    this.#messages.get(replica)?.push(message)
  }

  /** A message arrives, or is lost, or arrives twice, unless it is a call. Anything may lie between, so others overtake it. */
  #deliver(replica: SimulatedReplica): void {
    const messages = this.#messages.get(replica) ?? []
    const message = messages[Math.floor(this.#roll() * messages.length)]
    if (message === undefined) return
    const fate = this.#roll()
    const isCall = message.kind === 'propose' || message.kind === 'move'
    if (fate >= 0.1 || isCall) messages.splice(messages.indexOf(message), 1)
    if (fate < 0.9) this.#arrive(replica, message)
    else if (message.kind !== 'changes' && message.kind !== 'page' && message.kind !== 'news') replica.disconnect()
  }

  #arrive(replica: SimulatedReplica, message: Message): void {
    switch (message.kind) {
      case 'propose': {
        const { sent } = message
        this.#answer(replica, sent, () => ({ kind: 'outcomes', sent, reply: this.#commit(replica, sent) }))
        return
      }
      case 'move': {
        const { sent } = message
        this.#answer(replica, sent, () => ({ kind: 'moved', sent, outcome: this.#move(replica, sent) }))
        return
      }
      case 'failed': {
        const { sent, isUndone } = message
        if (replica.inFlight !== sent) return
        this.#say(replica, isUndone ? 'is refused' : 'gets a failure for an answer')
        if (isUndone) replica.refused(sent)
        else {
          replica.lose()
          this.#ask(replica)
        }
        return
      }
      case 'moved': {
        if (replica.inFlight !== message.sent) return
        replica.answerMove(message.sent, message.outcome)
        return
      }
      case 'news':
        // Who is not caught up asks for all there is anyway.
        if (replica.isCaughtUp) this.#takeNews(replica, message, true)
        return
      case 'changes': {
        this.#send(replica, { kind: 'page', page: this.#page(message.question) })
        return
      }
      case 'outcomes': {
        if (replica.inFlight !== message.sent) return
        replica.answer(message.sent, message.reply)
        return
      }
      case 'page':
        replica.take(message.page)
        if (!replica.isCaughtUp && message.page.session === replica.session) this.#ask(replica)
        return
      default:
        message satisfies never
    }
  }

  /** A call is refused before anything was done, or fails before or after its commit; else it is answered. */
  #answer(replica: SimulatedReplica, sent: Sent | SentMove, commit: () => Message): void {
    const luck = this.#luck()
    if (luck < 0.04) this.#send(replica, { kind: 'failed', sent, isUndone: true })
    else if (luck < 0.06) this.#send(replica, { kind: 'failed', sent, isUndone: false })
    else if (luck < 0.12) {
      commit()
      this.#send(replica, { kind: 'failed', sent, isUndone: false })
    } else this.#send(replica, commit())
  }

  #commit(replica: SimulatedReplica, { proposals }: Sent): Reply {
    for (const { entry } of proposals) if (entry?.kind === 'file') this.#contents.add(entry.sha256)
    const plan = this.#journal.commit({ peer: replica.name, nowMs: this.#nowMs, conflict: this.#conflict }, proposals)
    for (const [i, { path, base, entry }] of proposals.entries()) {
      this.#say(replica, `  propose ${path} base ${base} ${describe(entry)} -> ${JSON.stringify(plan.outcomes[i])}`)
    }
    for (const { seq, path, entry, loser } of plan.revisions) {
      this.#say(replica, `  revision ${seq} ${path} ${describe(entry)}${loser ? ' loser' : ''}`)
    }
    if (plan.outcomes.length !== proposals.length) throw new Error('A proposal got no outcome')
    this.#checkTree()
    for (const { winner, loser } of plan.collisions) {
      if (winner.rev === loser.rev) throw new Error('A revision collided with itself')
      for (const { rev, peer } of [winner, loser]) {
        if (this.#journal.stampOf(rev)?.peer !== peer) throw new Error(`Collision names ${peer} for revision ${rev}`)
      }
    }
    const heads = proposals.flatMap(({ path }, i): Head[] => {
      const head = this.#journal.heads.get(path)
      return plan.outcomes[i]?.kind === 'accepted' || head === undefined ? [] : [head]
    })
    return { outcomes: plan.outcomes, heads }
  }

  /** Commits the move of a directory, and sends news of it to the others. */
  #move(replica: SimulatedReplica, { move }: SentMove): Outcome {
    const { outcome, moved } = this.#journal.move({ peer: replica.name, nowMs: this.#nowMs }, move)
    this.#say(replica, `  move ${move.from} ${move.to} base ${move.base} -> ${JSON.stringify(outcome)}`)
    if (moved === undefined) return outcome
    this.moves += 1
    this.#checkTree()
    for (const other of this.#replicas) {
      if (other !== replica) this.#send(other, { kind: 'news', prev: moved.seq - 1, moved })
    }
    return outcome
  }

  #takeNews(replica: SimulatedReplica, news: { prev: number; moved: MovedTree }, isDisturbed: boolean): void {
    const taken = replica.takeMove(news, () => {
      if (!isDisturbed) return false
      const roll = this.#roll()
      if (roll < 0.1) this.#work(replica)
      return roll > 0.95
    })
    this.#say(replica, `news of ${news.moved.from} to ${news.moved.to}: ${String(taken)}`)
    if (taken === 'died') this.#die(replica)
    else if (!taken) this.#ask(replica)
  }

  /** A page may end among the heads of one move: then it is up to the one before. */
  #page(question: Question): Page {
    const { since } = question
    const newer = [...this.#journal.heads.values()].filter((head) => head.seq > since).sort((a, b) => a.seq - b.seq)
    const most = this.#roll() < 0.7 ? newer.length : Math.floor(this.#roll() * newer.length)
    const [last, next] = [newer[most - 1], newer[most]]
    const isCut = last !== undefined && last.seq === next?.seq
    const upto = next === undefined ? this.#journal.revisions.length : isCut ? last.seq - 1 : (last?.seq ?? since)
    return { ...question, upto, heads: newer.slice(0, most), isAll: next === undefined }
  }

  #apply(replica: SimulatedReplica, isDisturbed: boolean): void {
    let left = new Map(replica.disk.tree)
    const isWhole = replica.apply(this.#contents, () => {
      this.#checkUntouched(replica, left)
      if (!isDisturbed) return false
      const roll = this.#roll()
      if (roll < 0.05) this.#work(replica)
      left = new Map(replica.disk.tree)
      return roll > 0.97
    })
    this.#checkUntouched(replica, left)
    this.#say(replica, isWhole ? 'applied' : 'died while applying')
    if (!isWhole) this.#die(replica)
  }

  /** It dies between a change of its disk and the record of it. */
  #die(replica: SimulatedReplica): void {
    this.#hasDied = true
    this.#crash(replica)
  }

  /** What was sent may still arrive after the crash; no answer does. */
  #crash(replica: SimulatedReplica): void {
    this.#say(replica, 'crash')
    replica.crash()
    const messages = this.#messages.get(replica) ?? []
    this.#messages.set(
      replica,
      messages.filter(({ kind }) => (kind === 'propose' || kind === 'move') && this.#roll() < 0.5),
    )
  }

  #loseBase(replica: SimulatedReplica): void {
    this.#say(replica, 'lost its base')
    replica.loseBase()
    this.#crash(replica)
  }

  /** Everyone works undisturbed until nothing is left to do. */
  #rest(): void {
    for (const replica of this.#replicas) {
      for (const message of this.#messages.get(replica) ?? [])
        if (message.kind === 'propose' || message.kind === 'move') this.#arrive(replica, message)
      this.#messages.set(replica, [])
      this.#say(replica, 'reconnects')
      replica.crash()
    }
    for (let round = 0; round < MAX_ROUNDS; round++) if (!this.#round()) return
    throw new Error('It does not come to rest')
  }

  /** Everyone without a proposal on its way works once, undisturbed. False when nobody had anything to do. */
  #round(): boolean {
    let isBusy = false
    for (const replica of this.#replicas) {
      if (replica.inFlight !== undefined) continue
      this.#nowMs += 10
      this.#catchUp(replica)
      const moving = replica.prepareMove()
      if (moving !== undefined) {
        isBusy = true
        replica.send(moving)
        replica.answerMove(moving, this.#move(replica, moving))
        for (const other of this.#replicas) if (other.inFlight === undefined) this.#settleNews(other)
      }
      const sent = replica.prepare()
      if (sent !== undefined) {
        isBusy = true
        replica.send(sent)
        replica.answer(sent, this.#commit(replica, sent))
      }
      if (replica.cursor < this.#journal.revisions.length) {
        isBusy = true
        replica.take(this.#page(replica.question))
      }
      if (replica.incoming.size > 0) {
        isBusy = true
        this.#apply(replica, false)
      }
    }
    return isBusy
  }

  #catchUp(replica: SimulatedReplica): void {
    if (replica.isCaughtUp) return
    this.#reconnect(replica)
    this.#messages.set(replica, [])
    while (!replica.isCaughtUp) replica.take(this.#page(replica.question))
  }

  #settleNews(replica: SimulatedReplica): void {
    for (const message of this.#messages.get(replica) ?? []) {
      if (message.kind === 'news' && replica.isCaughtUp) this.#takeNews(replica, message, false)
    }
    this.#messages.set(replica, [])
  }

  #check(): void {
    const live = [...this.#journal.heads.values()].filter((head) => head.entry !== undefined)
    for (const { name, disk, base } of this.#replicas) {
      for (const { path, entry } of live) {
        if (!sameEntry(disk.at(path)?.entry, entry))
          throw new Error(`${name} has another "${path}" than the coordinator`)
      }
      if (disk.tree.size !== live.length)
        throw new Error(`${name} has ${disk.tree.size} paths, the coordinator ${live.length}`)
      if (base.size !== live.length) {
        const strange = [...base.keys()].filter((path) => this.#journal.heads.get(path)?.entry === undefined)
        throw new Error(`${name} has ${base.size} base rows for ${live.length} paths: ${strange.join(', ')}`)
      }
    }
    const kept = new Set(live.flatMap(({ entry }) => (entry?.kind === 'file' ? [entry.sha256] : [])))
    const lost = this.#journal.revisions.filter(({ loser, seq }) => loser || this.#lostCollision(seq))
    for (const { entry } of lost) if (entry?.kind === 'file') kept.add(entry.sha256)
    for (const digest of this.#written) {
      if (!kept.has(digest) && !this.#givenUp.has(digest)) throw new Error(`Content ${Number(`0x${digest}`)} vanished`)
    }
  }

  /**
   * Who works alone meets no conflict, and finds what was left. What another replica died over while it wrote it may come back there, when it was
   * deleted before that one returned: it does not know it for its own.
   */
  #checkSolo({ name, disk }: SimulatedReplica, asLeft: ReadonlyMap<RelPath, Standing>): void {
    if (this.#journal.collisions.length > 0) throw new Error(`${name} collided with nobody`)
    if (this.#journal.revisions.some((revision) => revision.loser)) throw new Error(`${name} lost to nobody`)
    for (const [path, { entry }] of asLeft) {
      if (!sameEntry(disk.at(path)?.entry, entry)) throw new Error(`${name} finds another "${path}" than it left`)
    }
    if (this.#hasDied) return
    for (const path of disk.tree.keys()) if (!asLeft.has(path)) throw new Error(`${name} finds "${path}" again`)
  }

  /** Of who works alone there is no news: nothing that applying does changes the disk. */
  #checkUntouched(replica: SimulatedReplica, left: ReadonlyMap<RelPath, Standing>): void {
    if (!this.#isSolo || this.#hasDied || replica !== this.#replicas[0]) return
    for (const path of new Set([...left.keys(), ...replica.disk.tree.keys()])) {
      const [before, now] = [left.get(path)?.entry, replica.disk.at(path)?.entry]
      if (!sameEntry(before, now))
        throw new Error(`${replica.name} had ${describe(before)} at "${path}", not ${describe(now)}`)
    }
  }

  #lostCollision(seq: number): boolean {
    return this.#journal.collisions.some((collision) => collision.loser.rev === seq)
  }

  /** Nothing may live below a file or link. */
  #checkTree(): void {
    for (const { path, entry } of this.#journal.heads.values()) {
      if (entry === undefined) continue
      for (const dir of ancestorsOf(path)) {
        const above = this.#journal.heads.get(dir)?.entry
        if (above !== undefined && above.kind !== 'dir')
          throw new Error(`"${path}" lives below the ${above.kind} "${dir}"`)
        if (above === undefined && this.#journal.heads.has(dir)) throw new Error(`"${path}" lives in deleted "${dir}"`)
      }
    }
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.#roll() * from.length)]
    if (picked === undefined) throw new Error('Cannot pick from nothing')
    return picked
  }

  #say(replica: SimulatedReplica, what: string): void {
    this.log.push(`${replica.name}: ${what}`)
  }
}

function describe(entry: Entry | undefined): string {
  if (entry === undefined) return 'nothing'
  if (entry.kind === 'file') return `file #${Number(`0x${entry.sha256}`)} ${entry.mode.toString(8)} ${entry.mtimeNs}`
  return entry.kind === 'dir' ? `dir ${entry.mode.toString(8)}` : `link ${entry.target}`
}
