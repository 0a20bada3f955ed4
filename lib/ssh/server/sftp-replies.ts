// Replies of an SFTP server: gathered for one tick, sent together, and counted until the peer has taken them.

import type { Writable } from 'node:stream'
import { PacketWriter, REPLY, statusPacket, type StatusCode } from './sftp-wire.ts'

const VERSION = 3

/** What is advertised. ssh2's client calls none of these unless it is named here. */
const EXTENSIONS = ['posix-rename@openssh.com', 'fsync@openssh.com', 'limits@openssh.com'] as const

/** Packets from this size on are sent as they are; smaller ones of one tick are joined. Bytes. */
const JOINED_MAX = 16 * 1024

export class SftpReplies {
  readonly #channel: Writable
  readonly #onTaken: () => void
  #gathered: Buffer[] = []
  #gatheredBytes = 0
  #writtenBytes = 0
  #reservedBytes = 0
  #isFlushDue = false

  /** `onTaken` is called when there may be room again. */
  constructor(channel: Writable, onTaken: () => void) {
    this.#channel = channel
    this.#onTaken = onTaken
  }

  /** Bytes of replies that the peer has not taken, with the room reserved for those being made. */
  get unsentBytes(): number {
    return this.#gatheredBytes + this.#writtenBytes + this.#reservedBytes
  }

  /** Counts `bytes` of a reply that is being made. */
  reserve(bytes: number): void {
    this.#reservedBytes += bytes
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes
  }

  version(): void {
    const packet = new PacketWriter(REPLY.version, undefined).uint32(VERSION)
    for (const name of EXTENSIONS) packet.string(name).string('1')
    this.send(packet.done())
  }

  status(id: number, status: StatusCode, message: string): void {
    this.send(statusPacket(id, status, message))
  }

  /** Sends `packet` at the end of this tick, in order. */
  send(packet: Buffer): void {
    this.#gathered.push(packet)
    this.#gatheredBytes += packet.length
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    process.nextTick(() => {
      this.flush()
    })
  }

  flush(): void {
    this.#isFlushDue = false
    const packets = this.#gathered
    this.#gathered = []
    this.#gatheredBytes = 0
    if (this.#channel.destroyed || this.#channel.writableEnded) return
    let small: Buffer[] = []
    for (const packet of packets) {
      if (packet.length < JOINED_MAX) {
        small.push(packet)
        continue
      }
      this.#write(small)
      small = []
      this.#write([packet])
    }
    this.#write(small)
  }

  #write(packets: readonly Buffer[]): void {
    const [first] = packets
    if (first === undefined) return
    const bytes = packets.length === 1 ? first : Buffer.concat(packets)
    this.#writtenBytes += bytes.length
    this.#channel.write(bytes, () => {
      this.#writtenBytes -= bytes.length
      this.#onTaken()
    })
  }
}
