// Contents: which contents the coordinator keeps, in which pack or as an object, and how much of a pack is still wanted.

import { codeOf, parseCode } from '../core/patch.ts'
import type { ContentPlace, Patch } from '../model/content.ts'
import { parseDigest, type Digest } from '../model/digest.ts'
import { digest, digestValue, number, placeValues, readPlace, text } from './columns.ts'
import { RowFault } from './database.ts'
import type { Database } from './database.ts'
import type { Row } from './engine.ts'
import { many, readMany } from './many.ts'

/** A content and where it can be read. `size` in bytes. */
export interface KeptContent {
  readonly sha256: Digest
  readonly size: number
  readonly place: ContentPlace
}

/** A content that is to be kept, and how it was made from others, when it was. */
export interface NewContent extends KeptContent {
  readonly patch?: Patch | undefined
}

/** A pack: up to where bodies are known to lie in it, and how many bytes of them are still indexed. */
export interface PackUse {
  readonly id: string
  readonly bytes: number
  readonly liveBytes: number
}

const FIELDS = 'sha256, size, pack, pack_offset'

/** The tables `contents` and `packs` of a journal. Whoever calls sees to the transaction. */
export class Contents {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  find(sha256: Digest): KeptContent | undefined {
    return this.#db.get(readContent, FIND, digestValue(sha256))
  }

  /** Those of these contents that are kept. */
  among(sha256s: Iterable<Digest>): Map<Digest, KeptContent> {
    const keys = Array.from(sha256s, (sha256) => [digestValue(sha256)])
    return new Map(readMany(this.#db, AMONG, keys, readContent).map((content) => [content.sha256, content]))
  }

  /** Records where contents are; of a content that was elsewhere, or is given twice, the new place counts from now on. */
  record(contents: readonly NewContent[]): void {
    const grown = new Map<string, { bytes: number; live: number }>()
    const places = new Map(contents.map((content) => [content.sha256, content]))
    for (const { sha256, size, place, patch } of places.values()) {
      const values = [digestValue(sha256), size, ...placeValues(place)] as const
      if (this.#db.run(INSERT, ...values) === 0) {
        this.#forgetOne(sha256)
        this.#db.run(INSERT, ...values)
      }
      if (patch !== undefined) this.#recordPatch(sha256, patch)
      if (place.kind !== 'pack') continue
      const pack = grown.get(place.pack) ?? { bytes: 0, live: 0 }
      grown.set(place.pack, { bytes: Math.max(pack.bytes, place.offset + size), live: pack.live + size })
    }
    for (const [id, { bytes, live }] of grown) this.#db.run(GROW_PACK, id, bytes, live)
  }

  forget(sha256s: readonly Digest[]): void {
    for (const sha256 of sha256s) this.#forgetOne(sha256)
  }

  /** How a content was made from others; `undefined` when it came whole. The others may be gone by now. */
  patch(sha256: Digest): Patch | undefined {
    return this.#db.get(readPatch, 'SELECT sources, ops FROM patches WHERE sha256 = ?', digestValue(sha256))
  }

  /** The contents that are read from `pack`, by offset. */
  ofPack(pack: string): KeptContent[] {
    return this.#db.all(readContent, `SELECT ${FIELDS} FROM contents WHERE pack = ? ORDER BY pack_offset`, pack)
  }

  /** Packs that nothing is read from any more. Not told from their bytes: an older version counted a content twice that was in a pack twice. */
  unusedPacks(): string[] {
    return this.#db.all((row) => text(row, 'id'), UNUSED_PACKS)
  }

  packs(): PackUse[] {
    return this.#db.all(readPack, 'SELECT id, bytes, live_bytes FROM packs ORDER BY id')
  }

  /** Forgets a pack that holds nothing wanted any more. Throws when it does. */
  dropPack(pack: string): void {
    const wanted = this.#db.get(() => true, 'SELECT 1 AS one FROM contents WHERE pack = ? LIMIT 1', pack)
    if (wanted) throw new Error(`Cannot drop pack "${pack}": contents are still read from it`)
    this.#db.run('DELETE FROM packs WHERE id = ?', pack)
  }

  /** Up to `limit` contents, after `after` in digest order, that no kept revision names, and so no head. */
  unreferenced(limit: number, after: Digest | undefined): Digest[] {
    const from = after === undefined ? new Uint8Array(1) : digestValue(after)
    return this.#db.all((row) => digest(row, 'sha256'), UNREFERENCED, from, limit)
  }

  #forgetOne(sha256: Digest): void {
    const gone = this.#db.get(
      readContent,
      `DELETE FROM contents WHERE sha256 = ? RETURNING ${FIELDS}`,
      digestValue(sha256),
    )
    if (gone?.place.kind === 'object') this.#db.run('DELETE FROM patches WHERE sha256 = ?', digestValue(sha256))
    if (gone?.place.kind !== 'pack') return
    this.#db.run('UPDATE packs SET live_bytes = live_bytes - ? WHERE id = ?', gone.size, gone.place.pack)
  }

  #recordPatch(sha256: Digest, { sources, ops }: Patch): void {
    this.#db.run(
      'INSERT OR REPLACE INTO patches (sha256, sources, ops) VALUES (?, ?, ?)',
      digestValue(sha256),
      Buffer.concat(sources.map(digestValue)),
      JSON.stringify(ops.map(codeOf)),
    )
  }
}

const FIND = `SELECT ${FIELDS} FROM contents WHERE sha256 = ?`
const AMONG = many('(?)', (keys) => `SELECT ${FIELDS} FROM contents WHERE sha256 IN ${keys}`)
const INSERT = `INSERT INTO contents (${FIELDS}) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
const GROW_PACK = `INSERT INTO packs (id, bytes, live_bytes) VALUES (?, ?, ?)
  ON CONFLICT (id) DO UPDATE SET bytes = max(bytes, excluded.bytes), live_bytes = live_bytes + excluded.live_bytes`
const UNREFERENCED = `SELECT sha256 FROM contents WHERE sha256 > ?
  AND NOT EXISTS (SELECT 1 FROM revisions WHERE revisions.sha256 = contents.sha256)
  ORDER BY sha256 LIMIT ?`

const UNUSED_PACKS = `SELECT id FROM packs
  WHERE NOT EXISTS (SELECT 1 FROM contents WHERE pack = packs.id AND pack_offset IS NOT NULL) ORDER BY id`

function readContent(row: Row): KeptContent {
  const place = readPlace(row)
  if (place === undefined) throw new RowFault('a content has no place')
  return { sha256: digest(row, 'sha256'), size: number(row, 'size'), place }
}

function readPatch(row: Row): Patch {
  const codes: unknown = JSON.parse(text(row, 'ops'))
  if (!Array.isArray(codes)) throw new RowFault('a patch has no steps')
  const ops = codes.map((code) => {
    const op = parseCode(code)
    if (op === undefined) throw new RowFault('a patch has a step that no version writes')
    return op
  })
  const bytes = row['sources']
  if (!(bytes instanceof Uint8Array) && !(bytes instanceof ArrayBuffer)) throw new RowFault('a patch has no sources')
  const hex = Buffer.from(bytes as Uint8Array).toString('hex')
  const sources = (hex.match(/.{64}/g) ?? []).flatMap((one) => parseDigest(one) ?? [])
  return { sources, ops }
}

function readPack(row: Row): PackUse {
  return { id: text(row, 'id'), bytes: number(row, 'bytes'), liveBytes: number(row, 'live_bytes') }
}
