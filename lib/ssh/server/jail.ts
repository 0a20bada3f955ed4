// What a client sees over SFTP: its own staging, and the objects and packs of the folders it shares. Nothing else exists for it.

import { linkSync, lstatSync, mkdirSync, opendirSync, realpathSync, renameSync, unlinkSync } from 'node:fs'
import { attrsOf, openForReading, openForWriting, type StagingWatch } from './jail-files.ts'
import { readInFrames, writeInFrames, type WorkRoom } from './jail-deflated.ts'
import { openPacked, parsePackedName } from './jail-packed.ts'
import type { OpenRoom } from './open-room.ts'
import {
  SftpError,
  type Attrs,
  type OpenForWriting,
  type ReadHandle,
  type SftpTree,
  type WriteHandle,
} from './sftp-tree.ts'
import { STATUS } from './sftp-wire.ts'
import { parseDigest, type Digest } from '../../model/digest.ts'
import { OWN_DIR, type HostPath } from '../../model/path.ts'

/** A folder as the jail needs it. */
export interface JailFolder {
  readonly name: string
  readonly root: HostPath
}

/** Whose jail it is. Both are asked at every operation, so that access which is taken away ends at once. */
export interface JailView {
  /** The folders this connection may see. */
  folders(): readonly JailFolder[]
  /** The client's name; without one there is no staging. */
  readonly client: string | undefined
  /** Throws an `SftpError` while nothing may be written into a folder. */
  enter?(folder: string): void
  /** Is told of what is written in a folder's staging. */
  watch?(folder: string): StagingWatch | undefined
  /** A content of the folder that is still being sent: where its first `end` bytes are. */
  coming?(folder: string, sha256: Digest): { readonly place: string; readonly end: number } | undefined
  /** Where deflated stretches of packs are held; without it there are none. */
  readonly packed?: OpenRoom
  /** Where stretches are deflated and inflated; without it nothing is read or written in frames. */
  readonly frames?: WorkRoom
}

/**
 * The tree of one client:
 *
 *     /<folder>/staging/<client>/<file>   its own: read, write, create, rename, remove   <root>/.systemsync/staging/<client>/<file>
 *     /<folder>/objects/<sha256>          read                                           <root>/.systemsync/objects/<aa>/<sha256>
 *     /<folder>/packs/<id>                read                                           <root>/.systemsync/packs/<id>
 *     /<folder>/coming/<sha256>           read: what stands of a content that is being sent
 *     /<folder>/packed/<id>.<from>-<to>   read: those bytes of a pack, deflated
 *     /<folder>/deflated/<any of those>   open only: the same file, read and written in frames; not what is below `packed`
 *
 * Whatever else is asked for does not exist. Directories can be neither made nor removed; the client's own is made when it is first written to.
 */
export function jail(view: JailView): SftpTree {
  return {
    stat: (names) => stat(resolve(view, names)),
    list: (names) => list(view, names),
    openRead: (names) => {
      if (names[1] === 'packed') return openDeflated(view, names)
      if (names[1] !== 'deflated') return openRead(view, names)
      const { frames, file } = inFrames(view, names)
      return readInFrames(openRead(view, file), frames)
    },
    openWrite: (names, how) => {
      if (names[1] !== 'deflated') return openWrite(view, names, how)
      const { frames, file } = inFrames(view, names)
      return writeInFrames(openWrite(view, file, how), frames)
    },
    remove: (names) => {
      const place = placeToWrite(resolve(view, names), false)
      view.watch?.(names[0] ?? '')?.forget(place)
      unlinkSync(place)
    },
    rename: (from, to, { replace }) => {
      const source = placeToWrite(resolve(view, from), false)
      const target = placeToWrite(resolve(view, to), false)
      view.watch?.(from[0] ?? '')?.forget(source)
      view.watch?.(to[0] ?? '')?.forget(target)
      if (replace) renameSync(source, target)
      else {
        linkSync(source, target) // Fails when the target exists; a rename would replace it.
        unlinkSync(source)
      }
    },
    makeDirectory: denied,
    removeDirectory: denied,
  }
}

function openRead(view: JailView, names: readonly string[]): ReadHandle {
  if (names[1] === 'coming') return openComing(view, names)
  return openForReading(placeToRead(resolve(view, names)), () => void resolve(view, names))
}

function openWrite(view: JailView, names: readonly string[], how: OpenForWriting): WriteHandle {
  const demandAccess = (): void => void resolve(view, names)
  const watch = view.watch?.(names[0] ?? '')
  demandAccess()
  view.enter?.(names[0] ?? '')
  return openForWriting(placeToWrite(resolve(view, names), how.create), how, { demandAccess, watch })
}

/** The file that a name below `deflated` means. */
function inFrames({ frames }: JailView, [folder = '', , ...rest]: readonly string[]) {
  if (frames === undefined) throw noSuchFile()
  return { frames, file: [folder, ...rest] }
}

/** Opens what stands of a content that another client still sends: it has a name for reading only. */
function openComing(view: JailView, names: readonly string[]): ReadHandle {
  const [folder = '', , name, ...more] = names
  const demand = (): void => void resolve(view, [folder])
  demand()
  const digest = name === undefined || more.length > 0 ? undefined : parseDigest(name)
  const coming = digest === undefined ? undefined : view.coming?.(folder, digest)
  if (coming === undefined) throw noSuchFile()
  return openForReading(coming.place, demand, coming.end)
}

/** Opens part of a pack, deflated: it has a name for reading only. */
function openDeflated(view: JailView, names: readonly string[]): Promise<ReadHandle> {
  const [folder = '', , name = '', ...more] = names
  const room = view.packed
  const part = more.length > 0 ? undefined : parsePackedName(name)
  if (room === undefined || part === undefined) throw noSuchFile()
  const pack = [folder, 'packs', part.pack]
  const demandAccess = (): void => void resolve(view, pack)
  return openPacked(placeToRead(resolve(view, pack)), part, { room, demandAccess })
}

/**
 * `virtual`: exists in this tree only. `real`: a directory, perhaps not made yet. `objects`: a directory of directories.
 * `below`: the names under `.systemsync`.
 */
type Place =
  | { readonly kind: 'virtual' }
  | { readonly kind: 'real' | 'objects'; readonly root: HostPath; readonly below: readonly string[] }
  | {
      readonly kind: 'file'
      readonly root: HostPath
      readonly below: readonly string[]
      readonly name: string
      readonly isOwn: boolean
    }

function resolve(view: JailView, names: readonly string[]): Place {
  const [folderName, area, ...rest] = names
  if (folderName === undefined) return { kind: 'virtual' }
  const folder = view.folders().find(({ name }) => name === folderName)
  if (folder === undefined) throw noSuchFile()
  if (area === undefined) return { kind: 'virtual' }
  if (area === 'staging') return inStaging(folder, view.client, rest)
  if (area === 'objects') return inObjects(folder, rest)
  if (area === 'packs') return inPacks(folder, rest)
  throw noSuchFile()
}

function inStaging({ root }: JailFolder, client: string | undefined, names: readonly string[]): Place {
  const [owner, name, ...more] = names
  if (client === undefined || !isPlainName(client)) throw noSuchFile()
  if (owner === undefined) return { kind: 'virtual' }
  if (owner !== client || more.length > 0) throw noSuchFile()
  const below = ['staging', client]
  if (name === undefined) return { kind: 'real', root, below }
  if (!isPlainName(name))
    throw new SftpError(STATUS.permissionDenied, 'Names consist of A-Z a-z 0-9 . _ - and have at most 80')
  return { kind: 'file', root, below, name, isOwn: true }
}

function inObjects({ root }: JailFolder, names: readonly string[]): Place {
  const [name, ...more] = names
  if (name === undefined) return { kind: 'objects', root, below: ['objects'] }
  const digest = parseDigest(name)
  if (digest === undefined || more.length > 0) throw noSuchFile()
  return { kind: 'file', root, below: ['objects', digest.slice(0, 2)], name: digest, isOwn: false }
}

function inPacks({ root }: JailFolder, names: readonly string[]): Place {
  const [name, ...more] = names
  if (name === undefined) return { kind: 'real', root, below: ['packs'] }
  if (!isPlainName(name) || more.length > 0) throw noSuchFile()
  return { kind: 'file', root, below: ['packs'], name, isOwn: false }
}

/** A name that means nothing to any shell or file system. */
function isPlainName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,80}$/.test(name) && name !== '.' && name !== '..'
}

function stat(place: Place): Attrs {
  if (place.kind === 'virtual') return VIRTUAL
  if (place.kind !== 'file') return statDirectory(place.root, place.below)
  const found = lstatSync(placeToRead(place))
  if (!found.isFile()) throw noSuchFile()
  return attrsOf(found)
}

/** A directory that nobody has needed yet is empty. */
function statDirectory(root: HostPath, below: readonly string[]): Attrs {
  try {
    return attrsOf(lstatSync(realDirectory(root, below)))
  } catch (cause) {
    if (isMissing(cause)) return VIRTUAL
    throw cause
  }
}

const VIRTUAL: Attrs = { kind: 'dir', size: 0, mode: 0o500, mtime: 0 }

function placeToRead(place: Place): string {
  if (place.kind !== 'file') throw new SftpError(STATUS.failure, 'Is a directory')
  return `${realDirectory(place.root, place.below)}/${place.name}`
}

function placeToWrite(place: Place, make: boolean): string {
  if (place.kind !== 'file' || !place.isOwn) throw new SftpError(STATUS.permissionDenied, 'Permission denied')
  if (make) makeStaging(place.root, place.below)
  return placeToRead(place)
}

/** Makes `.systemsync/staging/<client>`, but never `.systemsync`: without it there is no folder. */
function makeStaging(root: HostPath, below: readonly string[]): void {
  for (let depth = 1; depth <= below.length; depth++) {
    const parent = realDirectory(root, below.slice(0, depth - 1))
    try {
      mkdirSync(`${parent}/${below[depth - 1] ?? ''}`, 0o700)
    } catch (cause) {
      if (codeOf(cause) !== 'EEXIST') throw cause
    }
  }
}

/**
 * The real directory at `<root>/.systemsync/<below>`. Throws when a symbolic link stands anywhere between the root and it.
 * RACE: a user of this machine who can write to `.systemsync` may swap a directory for a link after the check; that user could write there anyway.
 */
function realDirectory(root: HostPath, below: readonly string[]): string {
  const wanted = [realpathSync.native(root), OWN_DIR, ...below].join('/')
  if (realpathSync.native(wanted) !== wanted) throw new SftpError(STATUS.permissionDenied, 'Permission denied')
  return wanted
}

interface Listed {
  readonly name: string
  readonly attrs: Attrs
}

/** At most this many names of a real directory are listed: clients know what to ask for. */
const LISTED_MAX = 1000

function list(view: JailView, names: readonly string[]): Listed[] {
  const place = resolve(view, names)
  switch (place.kind) {
    case 'virtual':
      return childrenOf(view, names).flatMap((name) => listed(view, [...names, name], name))
    case 'real':
    case 'objects':
      return namesBelow(place).flatMap((name) => listed(view, [...names, name], name))
    case 'file':
      throw new SftpError(STATUS.failure, 'Not a directory')
  }
}

function namesBelow({ kind, root, below }: Extract<Place, { kind: 'real' | 'objects' }>): string[] {
  try {
    const directory = realDirectory(root, below)
    return kind === 'real' ? namesIn(directory, LISTED_MAX) : objectsIn(directory)
  } catch (cause) {
    if (isMissing(cause)) return []
    throw cause
  }
}

function objectsIn(directory: string): string[] {
  const found: string[] = []
  for (const prefix of namesIn(directory, LISTED_MAX)) {
    if (found.length >= LISTED_MAX) break
    if (!/^[0-9a-f]{2}$/.test(prefix) || !lstatSync(`${directory}/${prefix}`).isDirectory()) continue
    found.push(...namesIn(`${directory}/${prefix}`, LISTED_MAX - found.length))
  }
  return found
}

/** The names that exist in this tree only. */
function childrenOf(view: JailView, [folder, area]: readonly string[]): string[] {
  if (folder === undefined) return view.folders().map(({ name }) => name)
  if (area === undefined) return ['staging', 'objects', 'packs']
  return view.client === undefined ? [] : [view.client]
}

/** `name` with its attributes, or nothing when it cannot be seen. */
function listed(view: JailView, names: readonly string[], name: string): Listed[] {
  try {
    return [{ name, attrs: stat(resolve(view, names)) }]
  } catch {
    return [] // Gone since, or nothing that may be seen.
  }
}

function namesIn(directory: string, max: number): string[] {
  const open = opendirSync(directory)
  try {
    const names: string[] = []
    while (names.length < max) {
      const entry = open.readSync()
      if (entry === null) break
      names.push(entry.name)
    }
    return names
  } finally {
    open.closeSync()
  }
}

function isMissing(cause: unknown): boolean {
  return codeOf(cause) === 'ENOENT'
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}

function noSuchFile(): SftpError {
  return new SftpError(STATUS.noSuchFile, 'No such file')
}

function denied(): never {
  throw new SftpError(STATUS.permissionDenied, 'Permission denied')
}
