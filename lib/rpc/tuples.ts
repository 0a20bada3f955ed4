// Tuples: parses the compact tuples that come in thousands, by hand: a schema of unions and transformations takes ten times as long.

import type { ContentPlace, PlacedHead, SourcedProposal } from '../model/content.ts'
import { parseDigest, type Digest } from '../model/digest.ts'
import type { Entry } from '../model/entry.ts'
import { parseRelPath, type RelPath } from '../model/path.ts'

/** What a reader gives for a value that is none of its kind. */
export const MALFORMED = Symbol('malformed')
type Malformed = typeof MALFORMED

const MODE_MAX = 0o777
const TARGET_LENGTH_MAX = 4095
const DIGEST_LENGTH = 43

/** `null` = nothing there; `["f", size, mtime ns, mode, sha256]`, `["d", mode]`, `["l", target]`. */
export function readEntry(value: unknown): Entry | undefined | Malformed {
  if (value === null) return undefined
  if (!Array.isArray(value)) return MALFORMED
  const [kind, first, mtimeNs, mode, digest] = value as readonly unknown[]
  if (kind === 'd' && value.length === 2) return isMode(first) ? { kind: 'dir', mode: first } : MALFORMED
  if (kind === 'l' && value.length === 2) return isTarget(first) ? { kind: 'link', target: first } : MALFORMED
  if (kind !== 'f' || value.length !== 5) return MALFORMED
  const sha256 = readDigest(digest)
  if (!isCount(first) || !isTime(mtimeNs) || !isMode(mode) || sha256 === undefined) return MALFORMED
  return { kind: 'file', size: first, mtimeNs, mode, sha256 }
}

/** `[path, seq, entry, place?]`. */
export function readHead(value: unknown): PlacedHead | Malformed {
  if (!Array.isArray(value) || value.length < 3) return MALFORMED
  const [text, seq, tuple, ...rest] = value as readonly unknown[]
  const path = readPath(text)
  const entry = readEntry(tuple)
  if (path === undefined || !isCount(seq) || entry === MALFORMED) return MALFORMED
  const places: ContentPlace[] = []
  for (const one of rest) {
    const place = readPlace(one)
    if (place === MALFORMED) return MALFORMED
    places.push(place)
  }
  return { head: { path, seq, entry }, place: places[0] }
}

/** `[path, base, entry, written at (ms), source?]` without the source: that is one of `rest`. */
export function readProposal(
  value: unknown,
): { readonly proposal: SourcedProposal['proposal']; readonly rest: readonly unknown[] } | Malformed {
  if (!Array.isArray(value) || value.length < 4) return MALFORMED
  const [text, base, tuple, writtenAtMs, ...rest] = value as readonly unknown[]
  const path = readPath(text)
  const entry = readEntry(tuple)
  if (path === undefined || !isCount(base) || entry === MALFORMED || !isNumber(writtenAtMs)) return MALFORMED
  return { proposal: { path, base, entry, writtenAtMs }, rest }
}

/** `[pack, offset]`, or `0` for an object of its own. */
export function readPlace(value: unknown): ContentPlace | Malformed {
  if (value === 0) return { kind: 'object' }
  if (!Array.isArray(value) || value.length !== 2) return MALFORMED
  const [pack, offset] = value as readonly unknown[]
  return isStagedName(pack) && isCount(offset) ? { kind: 'pack', pack, offset } : MALFORMED
}

/** 32 bytes in base64url; `undefined` when it is something else. */
export function readDigest(value: unknown): Digest | undefined {
  if (typeof value !== 'string' || value.length !== DIGEST_LENGTH) return undefined
  return parseDigest(Buffer.from(value, 'base64url').toString('hex'))
}

/** A name of a pack, or of a file in staging. */
export function isStagedName(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/.test(value)
}

/** A Seq, a size or an offset. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function readPath(value: unknown): RelPath | undefined {
  return typeof value === 'string' ? parseRelPath(value) : undefined
}

function isMode(value: unknown): value is number {
  return isCount(value) && value <= MODE_MAX
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && /^-?\d{1,19}$/.test(value)
}

/** JSON can spell numbers that are infinite. */
function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function isTarget(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > TARGET_LENGTH_MAX) return false
  return value.isWellFormed() && !value.includes('\0')
}
