// Names the losing side of a collision when it lives on beside the winner.

import type { Kind } from '../model/entry.ts'
import { utf8Length } from '../model/path.ts'
import type { Stamp } from '../model/revision.ts'

const MAX_NAME_BYTES = 255
const MAX_PEER_BYTES = 64
const SUFFIX = /(?<=.) \(conflict [^()]+ \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d(?: \d+)?\)$/s
const DAY_MS = 86_400_000

/** What a conflict name tells of the loser. `count` above 1 tells copies of one second apart. `maxBytes`: at most this long, default 255. */
export interface ConflictMark {
  readonly kind: Kind
  readonly stamp: Stamp
  readonly count: number
  readonly maxBytes?: number
}

/**
 * `stem (conflict <peer> <yyyy-mm-dd hh.mm.ss>).ext` in UTC, the stem cut to fit. A suffix that `name` has already is replaced.
 * A directory's name has no extension.
 */
export function conflictName(name: string, { kind, stamp, count, maxBytes = MAX_NAME_BYTES }: ConflictMark): string {
  const counter = count > 1 ? ` ${count}` : ''
  const suffix = ` (conflict ${cut(stamp.peer, MAX_PEER_BYTES)} ${utcText(stamp.timeMs)}${counter})`
  const { stem, extension } = splitName(name, kind)
  const room = maxBytes - utf8Length(suffix)
  const left = room - utf8Length(extension)
  if (left < 1) return cut(stem + extension, room) + suffix
  return cut(stem, left) + suffix + extension
}

function splitName(name: string, kind: Kind): { stem: string; extension: string } {
  const bare = name.replace(SUFFIX, '')
  if (bare !== name) return { stem: bare, extension: '' }
  const dot = kind === 'dir' ? -1 : name.lastIndexOf('.')
  const stem = dot > 0 ? name.slice(0, dot) : name
  return { stem: stem.replace(SUFFIX, ''), extension: dot > 0 ? name.slice(dot) : '' }
}

/** The longest beginning of `text` within `maxBytes` of UTF-8 that splits no code point. */
function cut(text: string, maxBytes: number): string {
  let bytes = 0
  let kept = ''
  for (const point of text) {
    bytes += utf8Length(point)
    if (bytes > maxBytes) break
    kept += point
  }
  return kept
}

function utcText(timeMs: number): string {
  const days = Math.floor(timeMs / DAY_MS)
  const seconds = Math.floor((timeMs - days * DAY_MS) / 1000)
  const { year, month, day } = civilDate(days)
  const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)} ${clock.map((n) => digits(n, 2)).join('.')}`
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0')
}

/** The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that a leap day is a year's last. */
function civilDate(daysSince1970: number): { year: number; month: number; day: number } {
  const days = daysSince1970 + 719_468 // since 0000-03-01
  const era = Math.floor(days / 146_097) // 400 years each
  const dayOfEra = days - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day }
}
