// Columns: how entries, fingerprints, digests and places are laid out in rows, and how rows are parsed back.

import type { ContentPlace } from '../model/content.ts'
import { parseDigest } from '../model/digest.ts'
import type { Digest } from '../model/digest.ts'
import type { Entry, Fingerprint, Kind } from '../model/entry.ts'
import { joinPath, nameOf, parentOf } from '../model/path.ts'
import type { DirPath, RelPath } from '../model/path.ts'
import type { Head, What } from '../model/revision.ts'
import { RowFault } from './database.ts'
import type { Row, Value } from './engine.ts'

/** Columns of an entry, in the order of `entryValues`. All NULL = no entry. */
export const ENTRY_COLUMNS = 'kind, size, mtime_ns, mode, sha256, target'

/** What to select for `readEntry`. */
export const ENTRY_FIELDS = 'kind, size, CAST(mtime_ns AS TEXT) AS mtime_ns, mode, sha256, target'

const KINDS: readonly Kind[] = ['file', 'dir', 'link']
const WHATS: readonly What[] = ['create', 'update', 'delete', 'move']
const NO_ENTRY: readonly Value[] = [null, null, null, null, null, null]
const OBJECT = ''

/** Values for `ENTRY_COLUMNS`. */
export function entryValues(entry: Entry | undefined): readonly Value[] {
  if (entry === undefined) return NO_ENTRY
  const kind = kindValue(entry.kind)
  switch (entry.kind) {
    case 'file':
      return [kind, entry.size, integerValue(entry.mtimeNs), entry.mode, digestValue(entry.sha256), null]
    case 'dir':
      return [kind, null, null, entry.mode, null, null]
    case 'link':
      return [kind, null, null, null, null, entry.target]
    default:
      return entry satisfies never
  }
}

/** Parses a row's columns into its own path (`parent`, `name`). */
export function readPath(row: Row): RelPath {
  return joinPath(text(row, 'parent') as DirPath, text(row, 'name'))
}

/** The key columns of `path`. */
export function pathValues(path: RelPath): readonly [parent: string, name: string] {
  return [parentOf(path), nameOf(path)]
}

/** Parses the columns of `ENTRY_FIELDS`; `undefined` = no entry. */
export function readEntry(row: Row): Entry | undefined {
  if (row['kind'] === null) return undefined
  const kind = readKind(row, 'kind')
  switch (kind) {
    case 'file':
      return {
        kind,
        size: number(row, 'size'),
        mtimeNs: text(row, 'mtime_ns'),
        mode: number(row, 'mode'),
        sha256: digest(row, 'sha256'),
      }
    case 'dir':
      return { kind, mode: number(row, 'mode') }
    case 'link':
      return { kind, target: text(row, 'target') }
    default:
      return kind satisfies never
  }
}

/** Parses `parent`, `name`, `seq` and the columns of `ENTRY_FIELDS`. */
export function readHead(row: Row): Head {
  return { path: readPath(row), seq: number(row, 'seq'), entry: readEntry(row) }
}

/** Values for the columns `pack` and `pack_offset`. */
export function placeValues(place: ContentPlace | undefined): readonly [pack: Value, offset: Value] {
  if (place === undefined) return [null, null]
  return place.kind === 'pack' ? [place.pack, place.offset] : [OBJECT, null]
}

/** Parses the columns `pack` and `pack_offset`; `undefined` = no place is known. */
export function readPlace(row: Row): ContentPlace | undefined {
  if (row['pack'] === null) return undefined
  const pack = text(row, 'pack')
  return pack === OBJECT ? { kind: 'object' } : { kind: 'pack', pack, offset: number(row, 'pack_offset') }
}

/** A fingerprint beside the values of its entry: it differs from them only where `print_*` columns say so; see `readPrint`. */
export function printValues(entry: readonly Value[], print: Fingerprint): readonly Value[] {
  const [kind, size, mtimeNs, mode] = entry
  return [
    unless(kind, kindValue(print.kind)),
    unless(size, print.size),
    unless(mtimeNs, integerValue(print.mtimeNs)),
    unless(mode, print.mode),
    integerValue(print.ino),
    integerValue(print.ctimeNs),
  ]
}

/** NULL where `own` is what the entry's column says. */
function unless(column: Value | undefined, own: Value): Value {
  return column === own ? null : own
}

/** Columns of a fingerprint, in the order of `printValues`. */
export const PRINT_COLUMNS = 'print_kind, print_size, print_mtime_ns, print_mode, ino, ctime_ns'

/** What to select for `readPrint`. */
export const PRINT_FIELDS = `coalesce(print_kind, kind) AS p_kind, coalesce(print_size, size) AS p_size,
  CAST(coalesce(print_mtime_ns, mtime_ns) AS TEXT) AS p_mtime_ns, coalesce(print_mode, mode) AS p_mode,
  CAST(ino AS TEXT) AS p_ino, CAST(ctime_ns AS TEXT) AS p_ctime_ns`

/** Parses the columns of `PRINT_FIELDS`. */
export function readPrint(row: Row): Fingerprint {
  return {
    kind: readKind(row, 'p_kind'),
    size: number(row, 'p_size'),
    mtimeNs: text(row, 'p_mtime_ns'),
    ctimeNs: text(row, 'p_ctime_ns'),
    ino: text(row, 'p_ino'),
    mode: number(row, 'p_mode'),
  }
}

/** What to select, in this order, for a `PlainPrint`: S_IFREG, S_IFDIR or S_IFLNK with the mode first. NULL where a column holds more than 64 bits: as text, which no number tells. */
export const PLAIN_FIELDS = `CASE coalesce(print_kind, kind) WHEN 1 THEN 32768 WHEN 2 THEN 16384 WHEN 3 THEN 40960 END
    | coalesce(print_mode, mode),
  coalesce(print_size, size),
  ${ifInteger('coalesce(print_mtime_ns, mtime_ns)', '/ 1000000000')}, coalesce(print_mtime_ns, mtime_ns) % 1000000000,
  ${ifInteger('ctime_ns', '/ 1000000000')}, ctime_ns % 1000000000, ${ifInteger('ino', '>> 32 & 4294967295')}, ino & 4294967295`

function ifInteger(column: string, then: string): string {
  return `CASE WHEN typeof(${column}) = 'integer' THEN ${column} ${then} END`
}

/** The column of `what`. */
export function whatValue(what: What): number {
  return WHATS.indexOf(what) + 1
}

/** Parses the column `what`. */
export function readWhat(row: Row): What {
  return WHATS[number(row, 'what') - 1] ?? fault('what')
}

/** 32 bytes. */
export function digestValue(sha256: Digest): Buffer {
  return Buffer.from(sha256, 'hex')
}

/** Parses a column of 32 bytes. */
export function digest(row: Row, column: string): Digest {
  const value = row[column]
  const bytes =
    value instanceof Uint8Array
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : value instanceof ArrayBuffer
        ? Buffer.from(value)
        : fault(column)
  return parseDigest(bytes.toString('hex')) ?? fault(column)
}

/** Parses a column of text. */
export function text(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : fault(column)
}

/** Parses a column of a number. */
export function number(row: Row, column: string): number {
  const value = row[column]
  return typeof value === 'number' ? value : fault(column)
}

/** Decimal text as a 64-bit integer when it survives that, else as text. Read it back with CAST(… AS TEXT). */
function integerValue(decimal: string): Value {
  if (!/^(0|-?[1-9][0-9]*)$/.test(decimal)) return decimal
  const integer = BigInt(decimal) // a number would be bound as a float
  if (decimal.length < 19) return integer
  return BigInt.asIntN(64, integer) === integer ? integer : decimal
}

function kindValue(kind: Kind): number {
  return KINDS.indexOf(kind) + 1
}

function readKind(row: Row, column: string): Kind {
  return KINDS[number(row, column) - 1] ?? fault(column)
}

function fault(column: string): never {
  throw new RowFault(`the column ${column} holds what no version writes there`)
}
