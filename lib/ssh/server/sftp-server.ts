// An SFTP v3 server on one channel (draft-ietf-secsh-filexfer-02): takes requests in order, asks a tree, answers; memory is bounded both ways.

import type { Duplex } from 'node:stream'
import { SFTP_LIMITS, type SftpLimits } from './limits.ts'
import { SftpReplies } from './sftp-replies.ts'
import { OpenRoom } from './open-room.ts'
import { SftpRequests, type Request, type SftpBounds } from './sftp-requests.ts'
import { statusOf, type SftpTree } from './sftp-tree.ts'
import { FieldReader, MalformedPacket, PacketReader, REQUEST, STATUS } from './sftp-wire.ts'

export interface SftpOptions {
  readonly limits?: Partial<SftpLimits>
  /** Room for handles that other channels share. */
  readonly handles?: OpenRoom
}

/**
 * Serves `tree` on `channel` until the peer ends it, breaks the protocol or `signal` aborts; then every handle is closed and the channel gone.
 * Never rejects: what goes wrong is told to the peer, or ends the channel.
 */
export async function serveSftp(
  channel: Duplex,
  tree: SftpTree,
  options: SftpOptions,
  signal: AbortSignal,
): Promise<void> {
  const limits = { ...SFTP_LIMITS, ...options.limits }
  const session = new SftpSession(channel, tree, { limits, room: new OpenRoom(limits.handles, options.handles) })
  const stop = () => channel.destroy()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    await session.closed
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

class SftpSession {
  readonly closed: Promise<void>
  readonly #channel: Duplex
  readonly #limits: SftpLimits
  readonly #replies: SftpReplies
  readonly #requests: SftpRequests
  /** Taken but not begun, in order. */
  readonly #waiting: Request[] = []
  #begun = false
  /** A request that everything behind it waits for. */
  #barrier = false
  readonly #underWay = new Set<Promise<void>>()
  #bytes = 0
  #ended = false
  #dead = false
  #pumping = false

  constructor(channel: Duplex, tree: SftpTree, { limits, room }: SftpBounds) {
    this.#channel = channel
    this.#limits = limits
    this.#replies = new SftpReplies(channel, () => {
      this.#pump()
    })
    this.#requests = new SftpRequests(tree, { limits, room }, this.#replies)
    const reader = new PacketReader(limits.packetBytes, (packet) => {
      this.#take(packet)
    })
    this.closed = new Promise((resolve) => {
      channel.once('close', () => {
        this.#dead = true
        void this.#settle().then(resolve)
      })
    })
    channel.on('error', () => channel.destroy())
    channel.on('data', (chunk: Buffer) => {
      this.#feed(reader, chunk)
    })
    channel.once('end', () => {
      this.#ended = true
      this.#pump()
    })
  }

  #feed(reader: PacketReader, chunk: Buffer): void {
    if (this.#dead) return
    try {
      reader.feed(chunk)
    } catch (cause) {
      // The stream has lost its frame, or a request has no id to answer to: nothing after it can be understood.
      if (cause instanceof MalformedPacket) this.#die()
      else throw cause
    }
    this.#pump()
  }

  #take(packet: Buffer): void {
    const type = packet.readUInt8(0)
    const fields = new FieldReader(packet, 1)
    if (!this.#begun) {
      if (type !== REQUEST.init) throw new MalformedPacket('A request before INIT')
      fields.uint32()
      this.#begun = true
      this.#replies.version()
      return
    }
    if (type === REQUEST.init) throw new MalformedPacket('A second INIT')
    this.#waiting.push({ type, id: fields.uint32(), fields, bytes: packet.length })
    this.#bytes += packet.length
  }

  /** Begins what may begin. A request other than READ and WRITE waits for all before it, so that what a peer sends at once happens in order. */
  #pump(): void {
    if (this.#pumping || this.#dead) return
    this.#pumping = true
    for (let request = this.#waiting[0]; request !== undefined && this.#mayBegin(request); request = this.#waiting[0]) {
      this.#waiting.shift()
      this.#begin(request)
      if (this.#dead) break
    }
    this.#pumping = false
    this.#balance()
  }

  #mayBegin(request: Request): boolean {
    if (this.#barrier) return false
    if (!this.#requests.isTransfer(request)) return this.#underWay.size === 0
    if (request.type === REQUEST.write) return true
    return (
      this.#replies.unsentBytes === 0 || this.#replies.unsentBytes + this.#limits.dataBytes <= this.#limits.replyBytes
    )
  }

  #begin(request: Request): void {
    const outcome = this.#answer(request)
    if (outcome === undefined) {
      this.#bytes -= request.bytes
      return
    }
    const isBarrier = !this.#requests.isTransfer(request)
    if (isBarrier) this.#barrier = true
    const settled = outcome
      .catch((cause: unknown) => {
        this.#fail(request, cause)
      })
      .then(() => {
        this.#underWay.delete(settled)
        if (isBarrier) this.#barrier = false
        this.#bytes -= request.bytes
        this.#pump()
      })
    this.#underWay.add(settled)
  }

  #answer(request: Request): void | Promise<void> {
    try {
      return this.#requests.answer(request)
    } catch (cause) {
      this.#fail(request, cause)
    }
  }

  #fail(request: Request, cause: unknown): void {
    if (cause instanceof MalformedPacket) {
      this.#replies.status(request.id, STATUS.badMessage, 'Bad message')
      return
    }
    const { status, message } = statusOf(cause)
    this.#replies.status(request.id, status, message)
  }

  /** Reads on, waits, or ends the channel once all is answered. */
  #balance(): void {
    if (this.#dead) return
    const { requests, requestBytes } = this.#limits
    const count = this.#waiting.length + this.#underWay.size
    if (count >= requests || this.#bytes >= requestBytes) this.#channel.pause()
    else if (count <= requests / 2 && this.#bytes <= requestBytes / 2 && this.#channel.isPaused())
      this.#channel.resume()
    if (this.#ended && count === 0 && !this.#channel.writableEnded) {
      this.#replies.flush()
      this.#channel.end()
    }
  }

  /** Closes the handles once nothing uses them: a number of a closed file may be given to another one. */
  async #settle(): Promise<void> {
    await Promise.all(this.#underWay)
    await this.#requests.closeHandles()
  }

  #die(): void {
    this.#dead = true
    this.#channel.destroy()
  }
}
