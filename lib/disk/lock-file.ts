// Lock files: one running daemon a state directory. The kernel lets go of the lock when its holder dies, however it dies.

import { closeSync, constants, ftruncateSync, openSync } from 'node:fs'
import { lockFile } from './native.ts'
import { writeAll } from './write-bytes.ts'

/**
 * Takes the lock at `path` (made if missing, 0600) and writes this process's id into it; `undefined` when another holds it. Disposing lets
 * go; the file stays, as removing it would let two processes lock two files of one name. Throws a Node-style error.
 */
export function acquireLock(path: string): Disposable | undefined {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  let isHeld = false
  try {
    if (!lockFile(fd)) return undefined
    ftruncateSync(fd, 0)
    writeAll(fd, Buffer.from(`${process.pid}\n`), 0)
    const lock = { [Symbol.dispose]: once(() => closeSync(fd)) }
    isHeld = true
    return lock
  } finally {
    if (!isHeld) closeSync(fd)
  }
}

function once(close: () => void): () => void {
  let isOpen = true
  return () => {
    if (isOpen) close()
    isOpen = false
  }
}
