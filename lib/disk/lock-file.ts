// Locks: one running daemon a state directory, and one a folder. The kernel lets go of a lock when its holder dies, however it dies.

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

/**
 * Takes the lock of the directory at `path` itself, so that nothing is put into it; `undefined` when another holds it. Where there is no directory, or
 * its file system knows no such lock, there is nothing to hold.
 */
export function acquireDirLock(path: string): Disposable | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch {
    return { [Symbol.dispose]: () => undefined } // whoever needs the directory will say what is wrong with it
  }
  const lock = { [Symbol.dispose]: once(() => closeSync(fd)) }
  try {
    if (lockFile(fd)) return lock
    lock[Symbol.dispose]()
    return undefined
  } catch {
    return lock
  }
}

function once(close: () => void): () => void {
  let isOpen = true
  return () => {
    if (isOpen) close()
    isOpen = false
  }
}
