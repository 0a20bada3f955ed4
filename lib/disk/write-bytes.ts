// Writes bytes to open files so that holes stay holes.

import { writeSync } from 'node:fs'

/** A file system block, in bytes: the smallest hole there can be. */
const PAGE = 4096
const ZEROS = Buffer.alloc(PAGE)

/**
 * Writes `bytes` at `offset` of a file that reads as zeros there, leaving out whole blocks of zeros. The caller sets the final size
 * afterwards (ftruncate), for a hole at the end. Throws a Node-style error (ENOSPC…).
 */
export function writeSparse(fd: number, bytes: Uint8Array, offset: number): void {
  let from = 0
  let at = Math.min(bytes.length, (PAGE - (offset % PAGE)) % PAGE)
  for (; at + PAGE <= bytes.length; at += PAGE) {
    // The first byte settles it nearly always, without a call.
    if (bytes[at] !== 0 || ZEROS.compare(bytes, at, at + PAGE) !== 0) continue
    writeAll(fd, bytes.subarray(from, at), offset + from)
    from = at + PAGE
  }
  writeAll(fd, bytes.subarray(from), offset + from)
}

/** Writes all of `bytes` at `offset`. Throws a Node-style error (ENOSPC…). */
export function writeAll(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done)
  }
}
