// The bytes of SFTP version 3 (draft-ietf-secsh-filexfer-02): packets out of a stream, fields out of packets, and replies.

import { isUtf8 } from 'node:buffer'

export const REQUEST = {
  init: 1,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  extended: 200,
} as const

export const REPLY = { version: 2, status: 101, handle: 102, data: 103, name: 104, attrs: 105, extended: 201 } as const

export const STATUS = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  opUnsupported: 8,
} as const

export type StatusCode = (typeof STATUS)[keyof typeof STATUS]

/** Flags of OPEN. */
export const OPEN_FLAG = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 } as const

const ATTR_FLAG = { size: 1, owner: 2, permissions: 4, times: 8, extended: 0x8000_0000 } as const

/** The bytes before the data in a DATA packet: length, type, id, length of the data. */
export const DATA_HEADER_BYTES = 13

/** A packet that breaks the grammar. */
export class MalformedPacket extends Error {
  override readonly name = 'MalformedPacket'
}

/**
 * Cuts a stream into packets: uint32 length, then that many bytes (the type first). A packet that lies within one chunk is a view of it, one that
 * is spread over several is gathered in a buffer of its own.
 */
export class PacketReader {
  readonly #maxBytes: number
  readonly #take: (packet: Buffer) => void
  readonly #head = Buffer.alloc(4)
  #headBytes = 0
  #packet: Buffer | undefined
  #filled = 0

  constructor(maxBytes: number, take: (packet: Buffer) => void) {
    this.#maxBytes = maxBytes
    this.#take = take
  }

  /** Takes the next chunk of the stream. Throws `MalformedPacket` at a length of 0 or above the limit; nothing may be fed after that. */
  feed(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#packet !== undefined) {
        at += this.#gather(this.#packet, chunk, at)
        continue
      }
      at += this.#readHead(chunk, at)
      if (this.#headBytes < 4) return
      const length = this.#head.readUInt32BE(0)
      if (length === 0 || length > this.#maxBytes) throw new MalformedPacket(`Packet of ${length} bytes`)
      this.#headBytes = 0
      if (chunk.length - at >= length) {
        this.#take(chunk.subarray(at, at + length))
        at += length
      } else {
        this.#packet = Buffer.allocUnsafeSlow(length)
        this.#filled = 0
      }
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#head, this.#headBytes, at, at + 4 - this.#headBytes)
    this.#headBytes += taken
    return taken
  }

  #gather(packet: Buffer, chunk: Buffer, at: number): number {
    const taken = chunk.copy(packet, this.#filled, at)
    this.#filled += taken
    if (this.#filled === packet.length) {
      this.#packet = undefined
      this.#take(packet)
    }
    return taken
  }
}

/** Reads the fields of one packet in order. Every method throws `MalformedPacket` when the packet is too short. */
export class FieldReader {
  readonly #packet: Buffer
  #at: number

  constructor(packet: Buffer, at: number) {
    this.#packet = packet
    this.#at = at
  }

  uint32(): number {
    return this.#packet.readUInt32BE(this.#skip(4))
  }

  /** A uint64 as a number. Throws when it is above 2^53 - 1. */
  uint64(): number {
    const value = this.#packet.readBigUInt64BE(this.#skip(8))
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new MalformedPacket(`Number ${value}`)
    return Number(value)
  }

  /** A string's bytes, as a view of the packet. */
  bytes(): Buffer {
    const length = this.uint32()
    const start = this.#skip(length)
    return this.#packet.subarray(start, start + length)
  }

  /** A string that is text. Throws when it is not UTF-8. */
  text(): string {
    const bytes = this.bytes()
    if (!isUtf8(bytes)) throw new MalformedPacket('Text that is not UTF-8')
    return bytes.toString('utf8')
  }

  /** ATTRS; all but the size is read over. */
  attrs(): { size: number | undefined } {
    const flags = this.uint32()
    const size = (flags & ATTR_FLAG.size) === 0 ? undefined : this.uint64()
    if ((flags & ATTR_FLAG.owner) !== 0) this.#skip(8)
    if ((flags & ATTR_FLAG.permissions) !== 0) this.#skip(4)
    if ((flags & ATTR_FLAG.times) !== 0) this.#skip(8)
    if ((flags & ATTR_FLAG.extended) !== 0) {
      for (let pairs = this.uint32(); pairs > 0; pairs--) {
        this.bytes()
        this.bytes()
      }
    }
    return { size }
  }

  #skip(bytes: number): number {
    const start = this.#at
    if (start + bytes > this.#packet.length) throw new MalformedPacket('Packet that ends too early')
    this.#at += bytes
    return start
  }
}

/** Writes the fields of one reply in order: uint32 length, type and id come first, the length is filled in by `done`. */
export class PacketWriter {
  readonly #parts: Buffer[] = []

  constructor(type: number, id: number | undefined) {
    const head = Buffer.allocUnsafe(id === undefined ? 5 : 9)
    head[4] = type
    if (id !== undefined) head.writeUInt32BE(id, 5)
    this.#parts.push(head)
  }

  uint32(value: number): this {
    const field = Buffer.allocUnsafe(4)
    field.writeUInt32BE(value)
    this.#parts.push(field)
    return this
  }

  uint64(value: number): this {
    const field = Buffer.allocUnsafe(8)
    field.writeBigUInt64BE(BigInt(value))
    this.#parts.push(field)
    return this
  }

  string(value: string | Buffer): this {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
    this.uint32(bytes.length)
    this.#parts.push(bytes)
    return this
  }

  attrs(attrs: { kind: 'file' | 'dir'; size: number; mode: number; mtime: number }): this {
    return this.uint32(ATTR_FLAG.size | ATTR_FLAG.permissions | ATTR_FLAG.times)
      .uint64(attrs.size)
      .uint32((attrs.kind === 'dir' ? 0o040000 : 0o100000) | attrs.mode)
      .uint32(attrs.mtime)
      .uint32(attrs.mtime)
  }

  done(): Buffer {
    const packet = Buffer.concat(this.#parts)
    packet.writeUInt32BE(packet.length - 4, 0)
    return packet
  }
}

/** A STATUS packet, in one allocation: uint32 length, type, id, code, message, language tag. */
export function statusPacket(id: number, status: StatusCode, message: string): Buffer {
  const messageBytes = Buffer.byteLength(message)
  const packet = Buffer.allocUnsafe(4 + 1 + 4 + 4 + 4 + messageBytes + 4)
  packet.writeUInt32BE(packet.length - 4, 0)
  packet[4] = REPLY.status
  packet.writeUInt32BE(id, 5)
  packet.writeUInt32BE(status, 9)
  packet.writeUInt32BE(messageBytes, 13)
  packet.write(message, 17)
  packet.writeUInt32BE(0, 17 + messageBytes)
  return packet
}

/** Room for a DATA packet with up to `length` bytes of data, not from the pool: the data is read straight into its place. */
export function dataPacket(length: number): { packet: Buffer; data: Buffer } {
  const packet = Buffer.allocUnsafeSlow(DATA_HEADER_BYTES + length)
  return { packet, data: packet.subarray(DATA_HEADER_BYTES) }
}

/** Completes a DATA packet that holds `length` bytes of data. What waits to be sent takes no more memory than it is long, or not twice as much. */
export function finishDataPacket(packet: Buffer, id: number, length: number): Buffer {
  packet.writeUInt32BE(DATA_HEADER_BYTES - 4 + length, 0)
  packet[4] = REPLY.data
  packet.writeUInt32BE(id, 5)
  packet.writeUInt32BE(length, 9)
  const used = DATA_HEADER_BYTES + length
  if (packet.length === used) return packet
  return packet.length >= 2 * used ? Buffer.from(packet.subarray(0, used)) : packet.subarray(0, used)
}
