// The directory `.systemsync` of a folder: made and opened without following a link.

import { chmodSync, closeSync, fsyncSync, constants, openSync } from 'node:fs'
import { OWN_DIR } from '../model/path.ts'
import type { HostPath } from '../model/path.ts'
import { SyncError } from '../errors.ts'
import { syncFileSystem } from './native.ts'
import { openDirAt, openRoot, placeAt } from './safe-dir.ts'
import { makeDir } from './there.ts'
import { codeOf } from './trouble.ts'

/** Where contents become whole, below `.systemsync`. */
export const STAGING = 'staging'

/** Opens `<root>/.systemsync`. The caller closes it. Throws a Node-style error: ENOENT for none, ENOTDIR for a link or a file. */
export function openOwnDir(root: HostPath): number {
  return openBelow(openRoot(root), OWN_DIR)
}

/** Opens `<root>/.systemsync/staging`. The caller closes it. Throws a Node-style error: ENOENT for none, ENOTDIR for a link or a file. */
export function openStaging(root: HostPath): number {
  return openBelow(openOwnDir(root), STAGING)
}

/** Makes `<root>/.systemsync` and its staging, 0700, where they are missing. Throws a SyncError when something else stands there. */
export function makeOwnDirs(root: HostPath): void {
  let fd = openRoot(root)
  try {
    for (const name of [OWN_DIR, STAGING]) {
      makeDir(placeAt(fd, name))
      const next = openOwn(fd, name, root)
      closeSync(fd)
      fd = next
      chmodSync(`/proc/self/fd/${fd}`, 0o700)
    }
  } finally {
    closeSync(fd)
  }
}

/** Makes the names in an open directory durable. Throws a Node-style error. */
export function syncDir(dirFd: number): void {
  reading(dirFd, fsyncSync)
}

/** Makes everything on the file system of an open directory durable. Throws a Node-style error. */
export function syncAll(dirFd: number): void {
  reading(dirFd, syncFileSystem)
}

/** A descriptor that only names a directory cannot be flushed: opens it for reading. */
function reading(dirFd: number, sync: (fd: number) => void): void {
  const fd = openSync(`/proc/self/fd/${dirFd}`, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    sync(fd)
  } finally {
    closeSync(fd)
  }
}

function openBelow(parentFd: number, name: string): number {
  try {
    return openDirAt(parentFd, name)
  } finally {
    closeSync(parentFd)
  }
}

function openOwn(dirFd: number, name: string, root: HostPath): number {
  try {
    return openDirAt(dirFd, name)
  } catch (cause) {
    if (codeOf(cause) !== 'ENOTDIR') throw cause
    throw new SyncError(`Cannot use "${root}/${OWN_DIR}": "${name}" is a link or a file, expected a directory`, {
      code: 'OWN_DIR',
      hint: `Remove it and start again`,
      cause,
    })
  }
}
