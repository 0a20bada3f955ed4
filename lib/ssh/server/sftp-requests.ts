// What each SFTP request asks of the tree, and what is answered. Handles live here.

import type { SftpLimits } from './limits.ts'
import type { OpenRoom } from './open-room.ts'
import type { SftpReplies } from './sftp-replies.ts'
import { SftpError, type Attrs, type Awaitable, type ReadHandle, type SftpTree, type WriteHandle } from './sftp-tree.ts'
import {
  DATA_HEADER_BYTES,
  dataPacket,
  finishDataPacket,
  OPEN_FLAG,
  PacketWriter,
  REPLY,
  REQUEST,
  STATUS,
  type FieldReader,
} from './sftp-wire.ts'
import { parseVirtualPath, virtualPath } from './virtual-path.ts'

/** A request as it came: `fields` stands behind the id; `bytes` is the length of its packet. */
export interface Request {
  readonly type: number
  readonly id: number
  readonly fields: FieldReader
  readonly bytes: number
}

interface Listed {
  readonly name: string
  readonly attrs: Attrs
}

type Opened =
  | { readonly kind: 'read'; readonly file: ReadHandle }
  | { readonly kind: 'write'; readonly file: WriteHandle }
  | { readonly kind: 'dir'; readonly entries: readonly Listed[]; next: number }

/** `give`: gives its room back. */
type Handle = Opened & { readonly give: () => void }

/** What one channel can take. `room`: for its handles. */
export interface SftpBounds {
  readonly limits: SftpLimits
  readonly room: OpenRoom
}

/** Entries in one reply to READDIR. */
const LISTED_AT_ONCE = 128

export class SftpRequests {
  readonly #tree: SftpTree
  readonly #limits: SftpLimits
  readonly #room: OpenRoom
  readonly #replies: SftpReplies
  readonly #handles = new Map<number, Handle>()
  #nextHandle = 1

  constructor(tree: SftpTree, { limits, room }: SftpBounds, replies: SftpReplies) {
    this.#tree = tree
    this.#limits = limits
    this.#room = room
    this.#replies = replies
  }

  /** Whether the request moves bytes of an open file: those may overlap, all others wait for each other. */
  isTransfer(request: Request): boolean {
    return request.type === REQUEST.read || request.type === REQUEST.write
  }

  /** Answers `request`, at once or later. What is thrown, or rejected, is for the caller to answer. */
  answer(request: Request): void | Promise<void> {
    switch (request.type) {
      case REQUEST.read:
        return this.#read(request)
      case REQUEST.write:
        return this.#write(request)
      case REQUEST.open:
        return this.#open(request)
      case REQUEST.close:
        return this.#close(request)
      case REQUEST.stat:
      case REQUEST.lstat:
        return this.#attrs(request, this.#tree.stat(namesIn(request)))
      case REQUEST.fstat:
        return this.#attrs(request, this.#statHandle(this.#fileIn(request)))
      case REQUEST.setstat:
        return this.#setstat(request)
      case REQUEST.fsetstat:
        return this.#fsetstat(request)
      case REQUEST.opendir:
        return this.#opendir(request)
      case REQUEST.readdir:
        return this.#readdir(request)
      case REQUEST.remove:
        return this.#ok(request, this.#tree.remove(namesIn(request)))
      case REQUEST.mkdir:
        return this.#ok(request, this.#tree.makeDirectory(namesIn(request)))
      case REQUEST.rmdir:
        return this.#ok(request, this.#tree.removeDirectory(namesIn(request)))
      case REQUEST.realpath:
        return this.#realpath(request)
      case REQUEST.rename:
        return this.#rename(request, false)
      case REQUEST.extended:
        return this.#extended(request)
      case REQUEST.readlink:
      case REQUEST.symlink:
        throw new SftpError(STATUS.permissionDenied, 'There are no links here')
      default:
        throw unsupported()
    }
  }

  /** Closes all handles. Nothing is under way any more. Never rejects. */
  async closeHandles(): Promise<void> {
    const handles = [...this.#handles.values()]
    this.#handles.clear()
    // There is nobody left to tell of a failure; what was not acknowledged counts for nothing.
    await Promise.allSettled(handles.map(async (handle) => closeHandle(handle)))
  }

  #read({ id, fields }: Request): void | Promise<void> {
    const handle = this.#handleIn(fields)
    const position = fields.uint64()
    const wanted = fields.uint32()
    if (handle.kind !== 'read') throw new SftpError(STATUS.permissionDenied, 'Not open for reading')
    const length = Math.min(wanted, this.#limits.dataBytes, handle.file.size - position)
    if (length <= 0) throw endOfFile()
    const { packet, data } = dataPacket(length)
    return then(
      handle.file.read(data, position, length),
      (count) => {
        if (count === 0) throw endOfFile()
        this.#replies.send(finishDataPacket(packet, id, count))
      },
      this.#reserved(length + DATA_HEADER_BYTES),
    )
  }

  /** Counts a reply that is being made as unsent; the result uncounts it. */
  #reserved(bytes: number): () => void {
    this.#replies.reserve(bytes)
    return () => {
      this.#replies.release(bytes)
    }
  }

  #write(request: Request): void | Promise<void> {
    const handle = this.#handleIn(request.fields)
    const position = request.fields.uint64()
    const bytes = request.fields.bytes()
    if (handle.kind !== 'write') throw new SftpError(STATUS.permissionDenied, 'Not open for writing')
    return this.#ok(request, handle.file.write(bytes, position))
  }

  #open({ id, fields }: Request): void | Promise<void> {
    const names = parsePath(fields.text())
    const flags = fields.uint32()
    fields.attrs()
    const has = (flag: number) => (flags & flag) !== 0
    if (has(OPEN_FLAG.append)) throw new SftpError(STATUS.opUnsupported, 'Files cannot be opened for appending')
    if (!has(OPEN_FLAG.write)) {
      if (!has(OPEN_FLAG.read)) throw new SftpError(STATUS.badMessage, 'Open for nothing')
      return this.#keep(
        id,
        () => this.#tree.openRead(names),
        (file) => ({ kind: 'read', file }),
      )
    }
    const how = {
      create: has(OPEN_FLAG.create),
      exclusive: has(OPEN_FLAG.exclusive),
      truncate: has(OPEN_FLAG.truncate),
    }
    return this.#keep(
      id,
      () => this.#tree.openWrite(names, how),
      (file) => ({ kind: 'write', file }),
    )
  }

  #opendir(request: Request): void | Promise<void> {
    const names = namesIn(request)
    return this.#keep(
      request.id,
      () => this.#tree.list(names),
      (entries) => ({ kind: 'dir', entries, next: 0 }),
    )
  }

  /** Opens something, where there is room for one more, and tells its handle. */
  #keep<T>(id: number, open: () => Awaitable<T>, asOpened: (found: T) => Opened): void | Promise<void> {
    const give = this.#room.take()
    if (give === undefined) throw new SftpError(STATUS.failure, 'Too many open handles')
    let isKept = false
    const last = (): void => {
      if (!isKept) give()
    }
    let found: Awaitable<T>
    try {
      found = open()
    } catch (error) {
      last()
      throw error
    }
    return then(
      found,
      (opened) => {
        isKept = true
        this.#reply(id, { ...asOpened(opened), give })
      },
      last,
    )
  }

  /** Keeps `handle` and tells its name: four bytes, as writes of clients are aligned for. */
  #reply(id: number, handle: Handle): void {
    const key = this.#nextHandle
    this.#nextHandle = (this.#nextHandle + 1) >>> 0
    this.#handles.set(key, handle)
    const name = Buffer.allocUnsafe(4)
    name.writeUInt32BE(key)
    this.#replies.send(new PacketWriter(REPLY.handle, id).string(name).done())
  }

  #close(request: Request): void | Promise<void> {
    const key = keyIn(request.fields)
    const handle = this.#handles.get(key)
    if (handle === undefined) throw noHandle()
    this.#handles.delete(key)
    return this.#ok(request, closeHandle(handle))
  }

  #readdir({ id, fields }: Request): void {
    const handle = this.#handleIn(fields)
    if (handle.kind !== 'dir') throw new SftpError(STATUS.failure, 'Not a directory')
    const entries = handle.entries.slice(handle.next, handle.next + LISTED_AT_ONCE)
    if (entries.length === 0) throw endOfFile()
    handle.next += entries.length
    this.#names(id, entries)
  }

  #realpath(request: Request): void {
    const name = virtualPath(namesIn(request))
    this.#names(request.id, [{ name, attrs: { kind: 'dir', size: 0, mode: 0, mtime: 0 } }])
  }

  #names(id: number, entries: readonly Listed[]): void {
    const packet = new PacketWriter(REPLY.name, id).uint32(entries.length)
    for (const { name, attrs } of entries) packet.string(name).string(longName(name, attrs)).attrs(attrs)
    this.#replies.send(packet.done())
  }

  #setstat(request: Request): void | Promise<void> {
    const names = namesIn(request)
    const { size } = request.fields.attrs()
    if (size === undefined) return this.#ok(request, then(this.#tree.stat(names), nothing))
    const opened = this.#tree.openWrite(names, { create: false, exclusive: false, truncate: false })
    return this.#ok(
      request,
      then(opened, async (file) => {
        try {
          await file.truncate(size)
        } finally {
          await file.close()
        }
      }),
    )
  }

  #fsetstat(request: Request): void | Promise<void> {
    const handle = this.#fileIn(request)
    const { size } = request.fields.attrs()
    if (size === undefined) return this.#ok(request, undefined)
    if (handle.kind !== 'write') throw new SftpError(STATUS.permissionDenied, 'Not open for writing')
    return this.#ok(request, handle.file.truncate(size))
  }

  #rename(request: Request, replace: boolean): void | Promise<void> {
    const from = namesIn(request)
    const to = namesIn(request)
    return this.#ok(request, this.#tree.rename(from, to, { replace }))
  }

  #extended(request: Request): void | Promise<void> {
    switch (request.fields.text()) {
      case 'posix-rename@openssh.com':
        return this.#rename(request, true)
      case 'fsync@openssh.com': {
        const handle = this.#fileIn(request)
        return this.#ok(request, handle.kind === 'write' ? handle.file.sync() : undefined)
      }
      case 'limits@openssh.com':
        return this.#tellLimits(request)
      default:
        throw unsupported()
    }
  }

  #tellLimits({ id }: Request): void {
    const { packetBytes, dataBytes, handles } = this.#limits
    const packet = new PacketWriter(REPLY.extended, id)
    this.#replies.send(
      packet
        .uint64(packetBytes - 1024)
        .uint64(dataBytes)
        .uint64(dataBytes)
        .uint64(handles)
        .done(),
    )
  }

  #statHandle(handle: FileHandle): Awaitable<Attrs> {
    return handle.file.stat()
  }

  #attrs({ id }: Request, found: Awaitable<Attrs>): void | Promise<void> {
    return then(found, (attrs) => {
      this.#replies.send(new PacketWriter(REPLY.attrs, id).attrs(attrs).done())
    })
  }

  #ok({ id }: Request, done: Awaitable<void>): void | Promise<void> {
    return then(done, () => {
      this.#replies.status(id, STATUS.ok, '')
    })
  }

  #handleIn(fields: FieldReader): Handle {
    const handle = this.#handles.get(keyIn(fields))
    if (handle === undefined) throw noHandle()
    return handle
  }

  #fileIn({ fields }: Request): FileHandle {
    const handle = this.#handleIn(fields)
    if (handle.kind === 'dir') throw new SftpError(STATUS.failure, 'Not a file')
    return handle
  }
}

type FileHandle = Exclude<Handle, { kind: 'dir' }>

/** `next` on the value of `first`, now or when it is there; `last` in any case. Without a promise nothing waits for a later turn. */
function then<T>(
  first: Awaitable<T>,
  next: (value: T) => void | Promise<void>,
  last: () => void = nothing,
): void | Promise<void> {
  if (first instanceof Promise) return first.then(next).finally(last)
  try {
    return next(first)
  } finally {
    last()
  }
}

function closeHandle(handle: Handle): Awaitable<void> {
  handle.give()
  if (handle.kind !== 'dir') return handle.file.close()
}

function keyIn(fields: FieldReader): number {
  const name = fields.bytes()
  return name.length === 4 ? name.readUInt32BE(0) : 0
}

function namesIn({ fields }: Request): string[] {
  return parsePath(fields.text())
}

function parsePath(text: string): string[] {
  const names = parseVirtualPath(text)
  if (names === undefined) throw new SftpError(STATUS.badMessage, 'Not a path')
  return names
}

function noHandle(): SftpError {
  return new SftpError(STATUS.failure, 'No such handle')
}

function endOfFile(): SftpError {
  return new SftpError(STATUS.eof, 'End of file')
}

function unsupported(): SftpError {
  return new SftpError(STATUS.opUnsupported, 'Operation not supported')
}

/** A line as `ls -l` prints it: it is what OpenSSH's sftp shows. */
function longName(name: string, { kind, size, mode, mtime }: Attrs): string {
  const bits = Array.from('rwxrwxrwx', (sign, index) => ((mode >> (8 - index)) & 1 ? sign : '-')).join('')
  const time = new Date(mtime * 1000).toISOString().slice(0, 16).replace('T', ' ')
  return `${kind === 'dir' ? 'd' : '-'}${bits} 1 0 0 ${String(size).padStart(12)} ${time} ${name}`
}

function nothing(): void {
  // There is nothing more to do.
}
