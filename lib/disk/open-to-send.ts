// Opens files whose bytes are to leave this machine: what is hashed is what is sent, and nothing else can be put in its place.

import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import type { Fingerprint } from '../model/entry.ts'
import type { HostPath, RelPath } from '../model/path.ts'
import { closeFile } from './native-files.ts'
import { openAsExpected } from './read-content.ts'
import { SafeDirs } from './safe-dir.ts'

/** A regular file, open for reading until disposed. */
export interface OpenFile extends Disposable {
  readonly fd: number
}

/** The file of a folder, when it is as `print` says; never by way of a link. `undefined` when it is not. Throws a Node-style error. */
export function openToSend(
  root: HostPath,
  { path, print }: { readonly path: RelPath; readonly print: Fingerprint },
): OpenFile | undefined {
  using dirs = new SafeDirs(root)
  const fd = openAsExpected(dirs, path, print)
  if (fd === undefined) return undefined
  return {
    fd,
    [Symbol.dispose]: () => {
      closeFile(fd)
    },
  }
}

/** A file in staging. Throws a Node-style error. */
export function openStagedToSend(place: HostPath): OpenFile {
  const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const file: OpenFile = {
    fd,
    [Symbol.dispose]: () => {
      closeSync(fd)
    },
  }
  if (fstatSync(fd).isFile()) return file
  file[Symbol.dispose]()
  throw new Error(`Cannot send "${place}": it is not a regular file`)
}
