// Copies a file with holes so that they stay holes.

import { open } from 'node:fs/promises'

const BLOCK = 1024 * 1024
/** The smallest stretch of zeros that becomes a hole. Bytes. */
const STRETCH = 64 * 1024
const ZEROS = Buffer.alloc(STRETCH)

/** Copies all of `from` into the new file `to`, mode 0600. Throws a Node-style error (EEXIST, ENOSPC…). */
export async function copySparse(from: string, to: string, signal: AbortSignal): Promise<void> {
  await using source = await open(from, 'r')
  await using target = await open(to, 'wx', 0o600)
  const block = Buffer.allocUnsafe(BLOCK)
  let at = 0
  for (;;) {
    signal.throwIfAborted()
    const { bytesRead } = await source.read(block, 0, BLOCK, at)
    if (bytesRead === 0) break
    for (let start = 0; start < bytesRead; start += STRETCH) {
      const bytes = block.subarray(start, Math.min(start + STRETCH, bytesRead))
      if (ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0) continue
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await target.write(bytes, done, bytes.length - done, at + start + done)
        done += bytesWritten
      }
    }
    at += bytesRead
  }
  await target.truncate(at)
}
