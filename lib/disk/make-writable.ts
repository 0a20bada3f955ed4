// Makes a staged file of ours writable again: one that got its last mode and then did not come to its place.

import { chmodSync, closeSync, constants, fstatSync, openSync } from 'node:fs'
import { O_PATH } from './safe-dir.ts'

/**
 * Gives the regular file at `place` mode 0600; a link is not followed. `false`, and it is as it was: it is no regular file, has a second name, or is
 * somebody else's. Throws a Node-style error.
 */
export function makeWritable(place: string): boolean {
  const fd = openSync(place, O_PATH | constants.O_NOFOLLOW)
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile() || stats.nlink !== 1 || stats.uid !== process.geteuid?.()) return false
    chmodSync(`/proc/self/fd/${fd}`, 0o600)
    return true
  } finally {
    closeSync(fd)
  }
}
