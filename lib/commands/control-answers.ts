// Answers on the control socket that both roles give in the same way.

import { Refused } from '../errors.ts'
import type { Digest } from '../model/digest.ts'
import type { Entry } from '../model/entry.ts'
import { parseRelPath, type RelPath } from '../model/path.ts'
import type { Replica } from '../replica/replica.ts'

/** Reads a path given by a person. Throws `Refused` 400. */
export function pathIn(folder: string, text: string): RelPath {
  const path = parseRelPath(text)
  if (path !== undefined) return path
  throw new Refused(`Cannot read path "${text}" of folder "${folder}": it is not a path inside the folder`, {
    status: 400,
  })
}

/** Confirms or rejects what is held. Throws `Refused` 404 or 409. */
export function answerHeld(
  folder: string,
  replica: Replica | undefined,
  answer: 'confirm' | 'reject',
): Record<string, never> {
  if (replica === undefined)
    throw new Refused(`Cannot ${answer} in folder "${folder}": this node does not have it`, { status: 404 })
  const isDone = answer === 'confirm' ? replica.confirm() : replica.reject()
  if (!isDone) {
    throw new Refused(`Cannot ${answer} in folder "${folder}": nothing is held there on this node`, {
      status: 409,
      hint: 'A delete is held on the machine where it was made; ask there',
    })
  }
  return {}
}

/** The content of a version. Throws `Refused` 404 for what has none. */
export function contentIn(
  entry: Entry | undefined,
  what: string,
  rev: number | undefined,
): { sha256: Digest; size: number } {
  if (entry?.kind === 'file') return { sha256: entry.sha256, size: entry.size }
  const state =
    entry === undefined ? 'a deletion' : entry.kind === 'dir' ? 'a directory' : `a link to "${entry.target}"`
  throw new Refused(
    `Cannot read "${what}"${rev === undefined ? '' : ` at revision ${String(rev)}`}: it is ${state}, not a file`,
    { status: 404 },
  )
}
