// The journal: the coordinator's record of one folder. Only its commit makes a revision exist.

import type { HeadPlace, Patch } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import { isBelow } from '../model/path.ts'
import type { DirPath, RelPath } from '../model/path.ts'
import type { Collision, Revision, Seq, Stamp } from '../model/revision.ts'
import { below, deepRange } from './below.ts'
import type { ReadRows } from './below.ts'
import { ENTRY_COLUMNS, entryValues, number, pathValues, text, whatValue } from './columns.ts'
import { Contents } from './contents.ts'
import type { KeptContent, NewContent, PackUse } from './contents.ts'
import { openDatabase } from './database.ts'
import type { Database, DatabaseOptions } from './database.ts'
import { hasLiveBelow, headOf, headsAfter, headsOf, withLiveBelow } from './heads.ts'
import type { HeadPage } from './heads.ts'
import {
  HEAD_FIELDS,
  REVISIONS,
  readClient,
  readCollision,
  readRevision,
  readStamp,
  readStampedHead,
  readSuperseded,
} from './journal-rows.ts'
import type { KnownClient, StampedHead, Superseded } from './journal-rows.ts'
import { JOURNAL_SCHEMA } from './journal-schema.ts'
import { newestPruned, pruneTombstones } from './tombstones.ts'
import { followersOf, hasMoves, revisionsAt, revisionsIn, versionsOf } from './lineage.ts'
import { moveBelow } from './move-tree.ts'
import { many, readMany } from './many.ts'

/** What becomes true at once. `nowMs`: the coordinator's clock; from then on what it replaces counts as superseded; default: now. */
export interface Commit {
  readonly revisions: readonly Revision[]
  readonly collisions: readonly Collision[]
  readonly contents: readonly NewContent[]
  readonly nowMs?: number
}

/** One folder's journal. Open it once per machine; what `commit` returned from is on the disk. */
export class Journal {
  readonly #db: Database
  readonly #contents: Contents
  #hasMoves: boolean | undefined

  readonly #readLive: ReadRows<StampedHead> = (where, values) =>
    this.#db.all(readStampedHead, `SELECT ${HEAD_FIELDS} FROM heads WHERE kind IS NOT NULL AND ${where}`, ...values)

  private constructor(db: Database) {
    this.#db = db
    this.#contents = new Contents(db)
  }

  /** Opens or makes `file`. Throws what `openDatabase` throws. */
  static open(file: string, options: Pick<DatabaseOptions, 'engine'> = {}): Journal {
    return new Journal(openDatabase(file, JOURNAL_SCHEMA, { ...options, sync: 'full' }))
  }

  close(): void {
    this.#db.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Runs `work` in one transaction: all or nothing. Calls inside it join. */
  transaction<T>(work: () => T): T {
    return this.#db.transaction(work)
  }

  /** Whether `create` has been done. */
  isCreated(): boolean {
    return this.#db.get(() => true, META, 'folderId') ?? false
  }

  /** Gives a new journal its names for good. Throws when it has them already. */
  create({ folderId, incarnation }: { readonly folderId: string; readonly incarnation: string }): void {
    if (this.isCreated()) throw new Error(`Cannot create "${this.#db.file}": it is a journal already`)
    this.transaction(() => {
      this.#db.run(SET_META, 'folderId', folderId)
      this.#db.run(SET_META, 'incarnation', incarnation)
    })
  }

  /** Takes over the id that the folder had in an earlier life. Throws before `create`. */
  renameFolder(folderId: string): void {
    this.folderId()
    this.#db.run(SET_META, 'folderId', folderId)
  }

  /** Begins another life of the numbering: what clients agreed on with the one before means nothing any more. */
  renew(incarnation: string): void {
    this.incarnation()
    this.#db.run(SET_META, 'incarnation', incarnation)
  }

  /** The folder's id. Throws before `create`. */
  folderId(): string {
    return this.#name('folderId')
  }

  /** Which life of the folder's numbering this is: Seqs of another one mean nothing here. Throws before `create`. */
  incarnation(): string {
    return this.#name('incarnation')
  }

  /** What this very journal is called, by which its contents are known on the disk; `undefined` until it was given a name. */
  ownName(): string | undefined {
    return this.#db.get((row) => text(row, 'value'), META, 'ownName')
  }

  setOwnName(name: string): void {
    this.#db.run(SET_META, 'ownName', name)
  }

  /** Writes something that changes nothing. Once it returns, no commit that failed before can come to exist by a crash: its room in the log is taken. */
  settle(): void {
    this.transaction(() => this.#db.run(SET_META, 'seq', this.seq()))
  }

  /** The newest Seq that was ever given; 0 at first. */
  seq(): Seq {
    return this.#db.get((row) => number(row, 'value'), META, 'seq') ?? 0
  }

  /** The head of `path`; a tombstone too, while it is kept. */
  head(path: RelPath): StampedHead | undefined {
    return headOf(this.#db, path)
  }

  /** The heads of those of `paths` that have one. */
  heads(paths: Iterable<RelPath>): Map<RelPath, StampedHead> {
    return headsOf(this.#db, paths)
  }

  /** Heads below `dir` that are no tombstones, parents before children, read in pages. */
  liveBelow(dir: DirPath): IterableIterator<StampedHead> {
    return below(dir, (head) => head.path, this.#readLive)
  }

  hasLiveBelow(dir: DirPath): boolean {
    return hasLiveBelow(this.#db, dir)
  }

  /** Those of `dirs` that anything lives below. */
  withLiveBelow(dirs: Iterable<RelPath>): Set<RelPath> {
    return withLiveBelow(this.#db, dirs)
  }

  /**
   * The next `limit` heads after `since`: a Seq, or a place among the many heads of one move. Tombstones are left out when `live`, or since 0
   * (who knows nothing has nothing to remove).
   */
  headsAfter(since: Seq | HeadPlace, limit: number, { live }: { readonly live: boolean }): HeadPage {
    return headsAfter(this.#db, since, { limit, live, newest: this.seq() })
  }

  /** Every kept revision of `path`, losers too, oldest first; those too of where it stood before a directory above it was moved. */
  revisionsOf(path: RelPath): Revision[] {
    return this.#knowsMoves() ? versionsOf(this.#db, path) : revisionsIn(this.#db, path, 0)
  }

  /** Those at `path` itself after `seq`, oldest first. */
  revisionsAfter(path: RelPath, seq: Seq): Revision[] {
    return this.#knowsMoves() ? revisionsAt(this.#db, path, seq) : revisionsIn(this.#db, path, seq)
  }

  revision(seq: Seq): Revision | undefined {
    return this.#db.get(readRevision, `${REVISIONS} WHERE seq = ?`, seq)
  }

  /** When and by whom those of these revisions were written that are kept. */
  stamps(seqs: Iterable<Seq>): Map<Seq, Stamp> {
    const keys = Array.from(seqs, (seq) => [seq])
    return new Map(readMany(this.#db, STAMPS, keys, (row) => [number(row, 'seq'), readStamp(row)]))
  }

  /** The newest `limit` revisions, at or below `under` where it is given, newest last. */
  log({ under, limit }: { readonly under?: DirPath | undefined; readonly limit: number }): Revision[] {
    if (under === undefined || under === '') {
      return this.#db.all(readRevision, `${REVISIONS} ORDER BY seq DESC LIMIT ?`, limit).reverse()
    }
    const sql = `${REVISIONS} WHERE path = ? OR (path >= ? AND path < ?) ORDER BY seq DESC LIMIT ?`
    return this.#db.all(readRevision, sql, under, ...deepRange(under), limit).reverse()
  }

  /** Whether this revision lost a collision, as a proposal or as the head. */
  hasLost(seq: Seq): boolean {
    return this.#db.get(() => true, 'SELECT 1 AS one FROM collisions WHERE loser_seq = ?', seq) ?? false
  }

  /** Every collision whose loser is still kept, oldest first. */
  collisions(): Collision[] {
    return this.#db.all(readCollision, 'SELECT * FROM collisions ORDER BY loser_seq')
  }

  /**
   * Makes revisions exist: one durable transaction. Their Seqs must rise from the newest one on. A loser does not touch its path's head. The move
   * of a directory takes along all that lives below `from` (see `moveTree`); the old path of a moved file needs a revision of its own.
   */
  commit({ revisions, collisions, contents, nowMs = Date.now() }: Commit): void {
    this.transaction(() => {
      this.#contents.record(contents)
      let newest = this.seq()
      for (const revision of revisions) {
        if (revision.seq <= newest) throw new Error(`Cannot commit revision ${revision.seq}: the newest is ${newest}`)
        newest = revision.seq
        this.#commitOne(revision, nowMs)
      }
      for (const { path, timeMs, loser, winner } of collisions) {
        this.#db.run(INSERT_COLLISION, loser.rev, path, timeMs, loser.peer, winner.rev, winner.peer)
      }
      if (revisions.length > 0) this.#db.run(SET_META, 'seq', newest)
    })
  }

  /**
   * Renames the directory `from` and all that lives below it to `to`, as revision `seq`. Every moved head gets that Seq, and tombstones of the same
   * Seq stay at the old paths. Says how many heads moved. Throws when no directory lives at `from`, or something does at or below `to`.
   */
  moveTree(from: RelPath, to: RelPath, seq: Seq, stamp: Stamp): number {
    const entry = this.head(from)?.entry
    if (entry?.kind !== 'dir') throw new Error(`Cannot move the tree "${from}": no directory lives there`)
    const moved = this.#db.get((row) => number(row, 'heads'), COUNT_LIVE, ...pathValues(from), from, ...deepRange(from))
    this.commit({
      revisions: [{ seq, path: to, what: 'move', entry, stamp, loser: false, from }],
      collisions: [],
      contents: [],
    })
    return moved ?? 0
  }

  /** Where a content is; `undefined` when it is not kept. */
  place(sha256: Digest): KeptContent | undefined {
    return this.#contents.find(sha256)
  }

  /** Where those of these contents are that are kept. */
  places(sha256s: Iterable<Digest>): Map<Digest, KeptContent> {
    return this.#contents.among(sha256s)
  }

  /** How a content was made from others; `undefined` when it came whole. The others may be gone by now. */
  patch(sha256: Digest): Patch | undefined {
    return this.#contents.patch(sha256)
  }

  holds(sha256: Digest): boolean {
    return this.#contents.find(sha256) !== undefined
  }

  /** The contents that are read from `pack`, by offset. */
  contentsOfPack(pack: string): KeptContent[] {
    return this.#contents.ofPack(pack)
  }

  /** Packs that nothing is read from any more. */
  unusedPacks(): string[] {
    return this.#contents.unusedPacks()
  }

  packs(): PackUse[] {
    return this.#contents.packs()
  }

  /** Up to `limit` contents, after `after` in digest order, that neither a head nor a kept revision names. */
  unreferenced(limit: number, after?: Digest): Digest[] {
    return this.#contents.unreferenced(limit, after)
  }

  /** Strikes contents from the index; their bytes may be removed after it, not before. One transaction. */
  forgetContent(sha256s: readonly Digest[]): void {
    this.transaction(() => {
      this.#contents.forget(sha256s)
    })
  }

  /** Strikes a pack. Throws when contents are still read from it. */
  dropPack(pack: string): void {
    this.#contents.dropPack(pack)
  }

  /** Up to `limit` revisions after Seq `after` that are not current, by Seq. */
  superseded(limit: number, after: Seq): Superseded[] {
    return this.#db.all(readSuperseded, SUPERSEDED, after, limit)
  }

  /** How many revisions followed this one where its path was taken since, when directories above it were moved; counted to `most`. */
  followers({ path, seq }: Pick<Superseded, 'path' | 'seq'>, most: number): number {
    return this.#knowsMoves() ? followersOf(this.#db, path, seq, most) : 0
  }

  /**
   * Forgets superseded revisions, and the collisions whose loser they are; a current revision stays, and the move of a directory as long as some
   * head has its Seq. One transaction.
   */
  deleteRevisions(seqs: readonly Seq[]): void {
    this.transaction(() => {
      for (const seq of seqs) {
        if (this.#db.run(DELETE_REVISION, seq) > 0) this.#db.run('DELETE FROM collisions WHERE loser_seq = ?', seq)
      }
    })
  }

  /** Removes tombstones up to Seq `upTo`; their revisions stay, superseded. Says how many. */
  pruneTombstones(upTo: Seq): number {
    return this.transaction(() => pruneTombstones(this.#db, upTo))
  }

  /** The newest tombstone that was ever removed: whose cursor is before it may have missed deletes. 0 at first. */
  pruned(): Seq {
    return newestPruned(this.#db)
  }

  client(name: string): KnownClient | undefined {
    return this.#db.get(readClient, 'SELECT name, cursor, last_seen_ms FROM clients WHERE name = ?', name)
  }

  /** Every client that was ever seen, by name. */
  clients(): KnownClient[] {
    return this.#db.all(readClient, 'SELECT name, cursor, last_seen_ms FROM clients ORDER BY name')
  }

  setCursor(name: string, seq: Seq, nowMs: number): void {
    this.#db.run('INSERT OR REPLACE INTO clients (name, cursor, last_seen_ms) VALUES (?, ?, ?)', name, seq, nowMs)
  }

  #commitOne(revision: Revision, nowMs: number): void {
    const { seq, path, what, entry, stamp, loser, from } = revision
    const columns = entryValues(entry)
    if (!loser) {
      if (what === 'move' && entry?.kind === 'dir') this.#moveBelow(revision, nowMs)
      const key = pathValues(path)
      const head = [...key, seq, ...columns, stamp.timeMs, stamp.peer]
      if (this.#db.run(ADD_HEAD, ...head) === 0) {
        this.#db.run(SUPERSEDE, nowMs, ...key)
        this.#db.run(PUT_HEAD, ...head)
      }
    }
    const fate = [loser ? 1 : 0, from ?? null, loser ? nowMs : null]
    this.#db.run(INSERT_REVISION, seq, path, whatValue(what), ...columns, stamp.timeMs, stamp.peer, ...fate)
  }

  /** Whether a directory was ever moved, as far as is known. */
  #knowsMoves(): boolean {
    this.#hasMoves ??= hasMoves(this.#db)
    return this.#hasMoves
  }

  #moveBelow(revision: Revision, nowMs: number): void {
    const { seq, path, from } = revision
    if (from === undefined || from === path || isBelow(from, path) || isBelow(path, from)) {
      throw new Error(`Cannot commit revision ${seq}: "${path}" cannot be moved from "${from ?? ''}"`)
    }
    if (this.head(path)?.entry !== undefined || this.hasLiveBelow(path)) {
      throw new Error(`Cannot commit revision ${seq}: something lives at "${path}"`)
    }
    moveBelow(this.#db, revision, from, nowMs)
    this.#hasMoves = true
  }

  #name(key: 'folderId' | 'incarnation'): string {
    const name = this.#db.get((row) => text(row, 'value'), META, key)
    if (name === undefined) throw new Error(`Cannot use "${this.#db.file}": the journal has not been created yet`)
    return name
  }
}

const STAMPS = many('(?)', (keys) => `SELECT seq, time_ms, peer FROM revisions WHERE seq IN ${keys}`)
const META = 'SELECT value FROM meta WHERE key = ?'
const SET_META = 'INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)'
const PUT_HEAD = `INSERT OR REPLACE INTO heads (parent, name, seq, ${ENTRY_COLUMNS}, time_ms, peer)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const ADD_HEAD = PUT_HEAD.replace('OR REPLACE', 'OR IGNORE')
const INSERT_REVISION = `INSERT INTO revisions (seq, path, what, ${ENTRY_COLUMNS}, time_ms, peer, loser, from_path, superseded_ms)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
const INSERT_COLLISION = `INSERT OR REPLACE INTO collisions (loser_seq, path, time_ms, loser_peer, winner_seq, winner_peer)
  VALUES (?, ?, ?, ?, ?, ?)`
const SUPERSEDE = `UPDATE revisions SET superseded_ms = ?
  WHERE seq = (SELECT coalesce(prior_seq, seq) FROM heads WHERE parent = ? AND name = ?)`
const DELETE_REVISION = `DELETE FROM revisions WHERE seq = ? AND superseded_ms IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM heads WHERE heads.seq = revisions.seq)`
const SUPERSEDED = `SELECT seq, path, time_ms, superseded_ms, (SELECT count(*) FROM
    (SELECT 1 FROM revisions AS later WHERE later.path = revisions.path AND later.seq > revisions.seq LIMIT 10000)) AS rank
  FROM revisions WHERE superseded_ms IS NOT NULL AND seq > ? ORDER BY seq LIMIT ?`
const COUNT_LIVE = `SELECT count(*) AS heads FROM heads
  WHERE kind IS NOT NULL AND ((parent = ? AND name = ?) OR parent = ? OR (parent >= ? AND parent < ?))`
