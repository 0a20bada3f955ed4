// What stands at a place: a disk that fails has not said that there is nothing, and nothing is made where its parent is missing.

import { lstatSync, mkdirSync } from 'node:fs'
import { codeOf } from './trouble.ts'

/** Whether anything stands at `place`. Throws a Node-style error when that cannot be known. */
export function isThere(place: string): boolean {
  try {
    return lstatSync(place, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (codeOf(error) === 'ENOTDIR') return false
    throw error
  }
}

/** Makes the directory `place`, 0700, where it is missing, but nothing above it. Throws a Node-style error: ENOENT where its parent is missing. */
export function makeDir(place: string): void {
  try {
    mkdirSync(place, 0o700)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}
