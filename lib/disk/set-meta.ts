// Sets modes and times of the very thing that was looked at, wherever its name leads by then.

import { chmodSync, closeSync, constants, fstatSync, openSync } from 'node:fs'
import { samePrint } from '../model/entry.ts'
import type { FileEntry, Fingerprint } from '../model/entry.ts'
import type { WriteResult } from '../model/write-step.ts'
import { printOf } from './fingerprint.ts'
import { setTimesNs } from './native.ts'
import { O_PATH } from './safe-dir.ts'

const DIFFERS = { kind: 'differs' } as const

/** Sets the 9 permission bits of what stands at `target`, when it is as expected. */
export function setMode(target: string, expect: Fingerprint, mode: number): WriteResult {
  return onTarget(target, (place, look) => {
    const now = look()
    if (now === undefined || !samePrint(expect, now)) return DIFFERS
    chmodSync(place, mode)
    return { kind: 'done', print: look() }
  })
}

/** Sets mode and mtime of the file at `target`, when it is as expected. An edit that comes in between is left alone. */
export function setFileMeta(target: string, entry: FileEntry, isExpected: (now: Fingerprint) => boolean): WriteResult {
  return onTarget(target, (place, look) => {
    const before = look()
    if (before?.kind !== 'file' || !isExpected(before)) return DIFFERS
    const mode = entry.mode & 0o777
    if (before.mode !== mode) chmodSync(place, mode)
    const between = look()
    if (between?.mtimeNs !== before.mtimeNs || between.size !== before.size) return DIFFERS
    // RACE: an edit of the same size, made since the line above, keeps its bytes but not its mtime: it is not noticed before the next one.
    if (before.mtimeNs !== entry.mtimeNs) setTimesNs(place, entry.mtimeNs, 'follow')
    const after = look()
    return after?.size === before.size ? { kind: 'done', print: after } : { kind: 'done', print: before }
  })
}

/** Runs `act` on the very thing that stands at `target`, a link not followed; `place` goes on naming it wherever it is moved to. */
function onTarget(
  target: string,
  act: (place: string, look: () => Fingerprint | undefined) => WriteResult,
): WriteResult {
  const fd = openSync(target, O_PATH | constants.O_NOFOLLOW)
  try {
    return act(`/proc/self/fd/${fd}`, () => printOf(fstatSync(fd, { bigint: true })))
  } finally {
    closeSync(fd)
  }
}
