// Stages the bytes of a file about to be published: whole, verified, with its mode and mtime, and nothing of it visible yet.

import { createHash, hash } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
} from 'node:fs'
import { samePrint } from '../model/entry.ts'
import type { FileEntry, Fingerprint } from '../model/entry.ts'
import { nameOf, parentOf } from '../model/path.ts'
import type { RelPath } from '../model/path.ts'
import type { Body } from '../model/write-step.ts'
import { closeFile, openFile, printOfFile } from './native-files.ts'
import { setFdTimesNs } from './native.ts'
import type { Staged } from './publish.ts'
import { placeAt } from './safe-dir.ts'
import type { SafeDirs } from './safe-dir.ts'
import { writeSparse } from './write-bytes.ts'

/** How much is copied at once, and from which size on a reflink is worth a try. Bytes. */
const BLOCK = 1024 * 1024

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** `differs`: the file to be copied is not what was expected. `damaged`: the bytes are not those of the entry. */
export type Staging = Staged | 'differs' | 'damaged'

/** What is staged where: `place` is where bytes and copies go; it must be free. `isSynced`: flush it now. */
export interface StageOrder {
  readonly entry: FileEntry
  readonly body: Body
  readonly place: string
  readonly isSynced: boolean
}

/** Stages a body. When it cannot (throws a Node-style error, or answers with a word), nothing new is left in staging. */
export function stageBody(dirs: SafeDirs, order: StageOrder): Staging {
  const { entry, body, place } = order
  if (body.kind === 'bytes') return stageBytes(order, body.bytes)
  if (body.kind === 'copy') return stageCopy(dirs, order, body)
  const fd = openSync(body.place, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile() || stats.size !== entry.size) return 'damaged'
    // A content with a second name is somebody else's too: its mode and mtime are not ours to set.
    if (stats.nlink !== 1) return making(place, (to) => copyVerified(fd, to, order))
    return seal(fd, body.place, order)
  } finally {
    closeSync(fd)
  }
}

function stageBytes(order: StageOrder, bytes: Uint8Array): Staging {
  if (bytes.length !== order.entry.size || hash('sha256', bytes) !== order.entry.sha256) return 'damaged'
  return making(order.place, (fd) => {
    writeSparse(fd, bytes, 0)
    return seal(fd, order.place, order)
  })
}

type Copy = { readonly from: RelPath; readonly expectFrom: Fingerprint }

function stageCopy(dirs: SafeDirs, order: StageOrder, { from, expectFrom }: Copy): Staging {
  const parent = dirs.open(parentOf(from))
  if (parent === undefined || expectFrom.size !== order.entry.size) return 'differs'
  const source = openSync(placeAt(parent, nameOf(from)), READ)
  try {
    if (!isStill(source, expectFrom)) return 'differs'
    const staged = reflink(source, order) ?? making(order.place, (fd) => copyVerified(source, fd, order))
    if (typeof staged === 'object' && isStill(source, expectFrom)) return staged
    rmSync(order.place, { force: true })
    return 'differs'
  } finally {
    closeSync(source)
  }
}

/** Copies by sharing blocks, where the file system can and it is worth it; `undefined` when not. */
function reflink(source: number, order: StageOrder): Staging | undefined {
  if (order.entry.size < BLOCK) return undefined
  const how = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE
  try {
    copyFileSync(`/proc/self/fd/${source}`, order.place, how)
  } catch {
    rmSync(order.place, { force: true })
    return undefined // no reflinks here, or another trouble that the plain copy will meet and tell
  }
  const fd = openSync(order.place, constants.O_RDWR | constants.O_NOFOLLOW)
  try {
    return hashing(fd, () => undefined) === order.entry.sha256 ? seal(fd, order.place, order) : 'damaged'
  } finally {
    closeSync(fd)
  }
}

function copyVerified(source: number, fd: number, order: StageOrder): Staging {
  const sha256 = hashing(source, (bytes, offset) => writeSparse(fd, bytes, offset))
  return sha256 === order.entry.sha256 ? seal(fd, order.place, order) : 'damaged'
}

/** Reads all of `source`, hands each block on and answers the SHA-256 of all. */
function hashing(source: number, onBlock: (bytes: Uint8Array, offset: number) => void): string {
  const sha256 = createHash('sha256')
  const block = Buffer.allocUnsafe(BLOCK)
  let offset = 0
  for (let read = readSync(source, block, 0, BLOCK, 0); read > 0; read = readSync(source, block, 0, BLOCK, offset)) {
    const bytes = block.subarray(0, read)
    sha256.update(bytes)
    onBlock(bytes, offset)
    offset += read
  }
  return sha256.digest('hex')
}

/** Gives the whole file its size, mode and mtime. */
function seal(fd: number, place: string, { entry, isSynced }: StageOrder): Staging {
  if (printOfFile(fd)?.size !== entry.size) ftruncateSync(fd, entry.size) // it ends in a hole
  fchmodSync(fd, entry.mode & 0o777)
  setFdTimesNs(fd, entry.mtimeNs)
  if (isSynced) fsyncSync(fd)
  const print = printOfFile(fd)
  return print === undefined ? 'damaged' : { place, print }
}

/** Makes the file `place` and fills it; it is removed again unless it gets whole. */
function making(place: string, fill: (fd: number) => Staging): Staging {
  const fd = openFile(place, CREATE, 0o600)
  let staged: Staging = 'damaged'
  try {
    staged = fill(fd)
    return staged
  } finally {
    closeFile(fd)
    if (typeof staged === 'string') rmSync(place, { force: true })
  }
}

function isStill(fd: number, expect: Fingerprint): boolean {
  const now = printOfFile(fd)
  return now !== undefined && samePrint(expect, now)
}
