// Publishes what is staged: one atomic rename, and only onto what is expected there.

import { chmodSync, closeSync, constants, linkSync, openSync, renameSync, rmdirSync, unlinkSync } from 'node:fs'
import { samePrint } from '../model/entry.ts'
import type { Fingerprint } from '../model/entry.ts'
import { sameButCtime } from './fingerprint.ts'
import { lookAtPlace } from './native-files.ts'
import { renameExchange, renameNoReplace } from './native.ts'
import { O_PATH } from './safe-dir.ts'
import { codeOf } from './trouble.ts'

/** Something staged on the same file system: where, and its fingerprint there. */
export interface Staged {
  readonly place: string
  readonly print: Fingerprint
}

/** Whether what `lookAtPlace` found is what is expected: untouched, or nothing. */
export function isAsExpected(found: Fingerprint | 'special' | undefined, expect: Fingerprint | undefined): boolean {
  if (found === undefined || expect === undefined) return found === expect
  return found !== 'special' && samePrint(expect, found)
}

/**
 * Puts what is staged at `target`, where `expect` (nothing, or a file or link) must stand; what it replaces is removed. `differs`: something
 * else stands there; nothing was changed. Throws a Node-style error; then nothing was changed either.
 */
export function publish(staged: Staged, target: string, expect: Fingerprint | undefined): 'done' | 'differs' {
  if (expect === undefined) return publishNew(staged, target)
  return isAsExpected(lookAtPlace(target), expect) ? publishOver(staged, target, expect) : 'differs'
}

/** Renames `staged` to `target`, where nothing may stand. */
export function publishNew({ place, print }: Staged, target: string): 'done' | 'differs' {
  const renamed = renameNoReplace(place, target)
  if (renamed !== 'unsupported') return renamed === 'done' ? 'done' : 'differs'
  if (print.kind !== 'dir') {
    const linked = tryLink(place, target)
    if (linked !== 'unsupported') return linked
  }
  if (lookAtPlace(target) !== undefined) return 'differs'
  // RACE: this file system has neither RENAME_NOREPLACE nor hard links; a file made here since the line above is replaced.
  renameSync(place, target)
  return 'done'
}

/** Renames what stands at `from`, as `print` says, to `to`; `false` when something stands there. */
export function publishMove(from: string, to: string, print: Fingerprint): boolean {
  const isSealed = print.kind === 'dir' && (print.mode & 0o200) === 0
  if (!isSealed) return publishNew({ place: from, print }, to) === 'done'
  // A directory that changes its parent must be writable itself for that moment.
  const fd = openSync(from, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    chmodSync(`/proc/self/fd/${fd}`, print.mode | 0o200)
    return publishNew({ place: from, print }, to) === 'done'
  } finally {
    chmodSync(`/proc/self/fd/${fd}`, print.mode)
    closeSync(fd)
  }
}

/** Removes what is staged, unless something else has come to stand there: that is somebody's. */
export function discardStaged({ place, print }: Staged): void {
  const found = lookAtPlace(place)
  if (found === undefined || found === 'special' || found.ino !== print.ino) return
  removeAt(place, found)
}

/** Swaps `staged` with what stands at `target` and looks at what came out: what was expected is removed, anything else goes back. */
export function publishOver(staged: Staged, target: string, expect: Fingerprint): 'done' | 'differs' {
  const swapped = renameExchange(staged.place, target)
  if (swapped === 'missing') return 'differs'
  if (swapped === 'unsupported') {
    if (staged.print.kind === 'dir') unlinkSync(target)
    // RACE: this file system has no RENAME_EXCHANGE; an edit made since the target was looked at is replaced unseen.
    renameSync(staged.place, target)
    return 'done'
  }
  const out = lookAtPlace(staged.place)
  if (out === undefined || (out !== 'special' && sameButCtime(expect, out))) {
    if (out !== undefined) removeAt(staged.place, out)
    return 'done'
  }
  swapBack(staged, target)
  return 'differs'
}

/**
 * Removes the file or link at `target` by way of `place`, a free name in staging: what came out is looked at before it is gone for good.
 * `differs`: it was not what is expected; it is back where it was. Throws a Node-style error.
 */
export function takeOut(target: string, place: string, expect: Fingerprint): 'done' | 'differs' {
  if (!tookOut(target, place)) {
    // RACE: it is on a file system of its own, so it cannot be taken out first; an edit made since it was looked at goes with it.
    unlinkSync(target)
    return 'done'
  }
  const out = lookAtPlace(place)
  if (out !== undefined && (out === 'special' || !sameButCtime(expect, out))) {
    // RACE: when its name is taken again already, what came out stays in staging until the next start.
    publishNew({ place, print: out === 'special' ? expect : out }, target)
    return 'differs'
  }
  unlinkSync(place)
  return 'done'
}

/** Renames `target` out of sight; `false` when it is on another file system. */
function tookOut(target: string, place: string): boolean {
  try {
    renameSync(target, place)
    return true
  } catch (error) {
    if (codeOf(error) === 'EXDEV') return false
    throw error
  }
}

/** Undoes a swap that took out something that was not expected: it goes back where it was. */
function swapBack(staged: Staged, target: string): void {
  if (renameExchange(staged.place, target) === 'missing') {
    publishNew(staged, target) // ours was removed meanwhile: the place is free again
    return
  }
  const back = lookAtPlace(staged.place)
  if (back === undefined || back === 'special' || back.ino === staged.print.ino) return
  // RACE: ours was replaced between the two swaps, twice edited within microseconds. The newest edit goes back to its place; the one
  // before it stays in staging until the next start.
  renameExchange(staged.place, target)
}

function tryLink(from: string, to: string): 'done' | 'differs' | 'unsupported' {
  try {
    linkSync(from, to)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EEXIST') return 'differs'
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EMLINK' || code === 'ENOSYS') return 'unsupported'
    throw error
  }
  unlinkSync(from)
  return 'done'
}

function removeAt(place: string, found: Fingerprint | 'special'): void {
  if (found !== 'special' && found.kind === 'dir') rmdirSync(place)
  else unlinkSync(place)
}
