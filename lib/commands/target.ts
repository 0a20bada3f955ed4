// Reads what a sub-command is about: FOLDER, FOLDER/PATH or FOLDER/PATH@REV.

import type { CommandContext } from './context.ts'
import { UsageError } from '../errors.ts'
import { parseRelPath, type RelPath } from '../model/path.ts'

export interface FolderTarget {
  readonly folder: string
}

export interface PathTarget extends FolderTarget {
  readonly path: RelPath
}

export interface RevisionTarget extends PathTarget {
  readonly rev?: number
}

type Words = Pick<CommandContext, 'words' | 'isLiteral'>

/** Exactly one word: a folder's name. */
export function readFolder({ words }: Words): FolderTarget {
  const word = only(words, 'FOLDER')
  const folder = word.endsWith('/') ? word.slice(0, -1) : word
  if (folder === '' || folder.includes('/')) throw new UsageError(`"${word}" is not a folder: give its name`)
  return { folder }
}

/** Exactly one word: `FOLDER/PATH`. A path with `@` in it is taken as it is. */
export function readPath({ words }: Words): PathTarget {
  return split(only(words, 'FOLDER/PATH'))
}

/**
 * Exactly one word: `FOLDER/PATH[@REV]`. A trailing `@` with digits is a revision; of a path that really ends so, say `-- FOLDER/PATH`: behind
 * `--` nothing is special.
 */
export function readRevision({ words, isLiteral }: Words): RevisionTarget {
  const word = only(words, 'FOLDER/PATH[@REV]')
  const [, place, digits] = (isLiteral ? null : /^(.+)@(\d{1,15})$/s.exec(word)) ?? []
  return place === undefined ? split(word) : { ...split(place), rev: Number(digits) }
}

/** Nothing, `FOLDER` or `FOLDER/PATH`. */
export function readScope({ words, isLiteral }: Words): Partial<PathTarget> {
  const [word] = words
  if (word === undefined) return {}
  return /\/./.test(word) ? readPath({ words, isLiteral }) : readFolder({ words, isLiteral })
}

/** Throws `UsageError` when there are words that the sub-command does not take. */
export function readNothing({ words }: Words): void {
  if (words.length > 0) throw new UsageError(`"${words.join(' ')}" is too much: this command takes no argument`)
}

function only(words: readonly string[], wanted: string): string {
  const [word] = words
  if (word === undefined) throw new UsageError(`An argument is missing: give ${wanted}`)
  if (words.length > 1) throw new UsageError(`"${words.slice(1).join(' ')}" is too much: give one ${wanted}`)
  return word
}

function split(word: string): PathTarget {
  const slash = word.indexOf('/')
  const path = slash > 0 ? parseRelPath(word.slice(slash + 1).replace(/\/$/, '')) : undefined
  if (path === undefined) {
    throw new UsageError(`"${word}" is not a path of a folder: give FOLDER/PATH, such as docs/letters/march.txt`)
  }
  return { folder: word.slice(0, slash), path }
}
