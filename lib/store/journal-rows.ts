// Journal rows: what is selected from the journal's tables, and how it is parsed.

import type { PlacedHead } from '../model/content.ts'
import { parseRelPath } from '../model/path.ts'
import type { RelPath } from '../model/path.ts'
import type { Collision, Head, Revision, Seq, Stamp } from '../model/revision.ts'
import { ENTRY_FIELDS, number, readEntry, readHead, readPlace, readWhat, text } from './columns.ts'
import { RowFault } from './database.ts'
import type { Row } from './engine.ts'

/** `origin`: the revision that wrote it, when a move of a directory gave it another Seq since. */
export type StampedHead = Head & { readonly stamp: Stamp; readonly origin?: Seq }

/** A revision that is not current. `rank`: how many later ones its path has, counted to 10,000. Times in ms since 1970. */
export interface Superseded {
  readonly seq: Seq
  readonly path: RelPath
  readonly timeMs: number
  readonly supersededAtMs: number
  readonly rank: number
}

/** A client and up to where it has been told everything. */
export interface KnownClient {
  readonly name: string
  readonly cursor: Seq
  readonly lastSeenMs: number
}

/** What to select for `readStampedHead`. */
export const HEAD_FIELDS = `parent, name, seq, prior_seq, ${ENTRY_FIELDS}, time_ms, peer`

/** Where to select `PLACED_FIELDS` from. */
export const PLACED = 'heads LEFT JOIN contents ON contents.sha256 = heads.sha256'

/** What to select for `readPlacedHead`. */
export const PLACED_FIELDS = `parent, name, seq, kind, heads.size AS size, CAST(mtime_ns AS TEXT) AS mtime_ns, mode,
  heads.sha256 AS sha256, target, pack, pack_offset`

/** The start of a query for `readRevision`. */
export const REVISIONS = `SELECT seq, path, what, ${ENTRY_FIELDS}, time_ms, peer, loser, from_path FROM revisions`

export function readStampedHead(row: Row): StampedHead {
  const head = { ...readHead(row), stamp: readStamp(row) }
  const origin = row['prior_seq'] === null ? 0 : number(row, 'prior_seq')
  return origin === 0 ? head : { ...head, origin }
}

export function readPlacedHead(row: Row): PlacedHead {
  return { head: readHead(row), place: readPlace(row) }
}

export function readStamp(row: Row): Stamp {
  return { timeMs: number(row, 'time_ms'), peer: text(row, 'peer') }
}

export function readRevision(row: Row): Revision {
  const revision = {
    seq: number(row, 'seq'),
    path: readRelPath(row, 'path'),
    what: readWhat(row),
    entry: readEntry(row),
    stamp: readStamp(row),
    loser: number(row, 'loser') !== 0,
  }
  return row['from_path'] === null ? revision : { ...revision, from: readRelPath(row, 'from_path') }
}

export function readCollision(row: Row): Collision {
  return {
    path: readRelPath(row, 'path'),
    timeMs: number(row, 'time_ms'),
    winner: { peer: text(row, 'winner_peer'), rev: number(row, 'winner_seq') },
    loser: { peer: text(row, 'loser_peer'), rev: number(row, 'loser_seq') },
  }
}

export function readSuperseded(row: Row): Superseded {
  return {
    seq: number(row, 'seq'),
    path: readRelPath(row, 'path'),
    timeMs: number(row, 'time_ms'),
    supersededAtMs: number(row, 'superseded_ms'),
    rank: number(row, 'rank'),
  }
}

export function readClient(row: Row): KnownClient {
  return { name: text(row, 'name'), cursor: number(row, 'cursor'), lastSeenMs: number(row, 'last_seen_ms') }
}

function readRelPath(row: Row, column: string): RelPath {
  const path = parseRelPath(text(row, column))
  if (path === undefined) throw new RowFault(`the column ${column} holds no path`)
  return path
}
