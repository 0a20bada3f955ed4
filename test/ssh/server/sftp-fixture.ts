// A peer that speaks SFTP in bytes, and a tree in memory that can be told to wait.

import { duplexPair, type Duplex } from 'node:stream'
import { SFTP_LIMITS, type SftpLimits } from '../../../lib/ssh/server/limits.ts'
import type { OpenRoom } from '../../../lib/ssh/server/open-room.ts'
import { serveSftp } from '../../../lib/ssh/server/sftp-server.ts'
import { SftpError, statusOf, type Attrs, type SftpTree } from '../../../lib/ssh/server/sftp-tree.ts'
import { FieldReader, PacketReader, PacketWriter, REPLY, REQUEST, STATUS } from '../../../lib/ssh/server/sftp-wire.ts'

export interface Reply {
  readonly type: number
  readonly id: number
  readonly fields: FieldReader
}

/** The other end of a channel that is served. */
export class RawPeer {
  readonly channel: Duplex
  readonly served: Promise<void>
  /** Every reply so far, VERSION aside. */
  readonly replies: Reply[] = []
  isClosed = false
  #waiting: (() => void)[] = []

  constructor(
    tree: SftpTree,
    { handles, ...limits }: Partial<Omit<SftpLimits, 'handles'>> & { readonly handles?: number | OpenRoom } = {},
    signal: AbortSignal = new AbortController().signal,
  ) {
    const [near, far] = duplexPair()
    this.channel = near
    const options =
      typeof handles === 'number'
        ? { limits: { ...limits, handles } }
        : { limits, ...(handles === undefined ? {} : { handles }) }
    this.served = serveSftp(far, tree, options, signal)
    const reader = new PacketReader(SFTP_LIMITS.packetBytes, (packet) => {
      if (packet[0] !== REPLY.version) {
        const fields = new FieldReader(packet, 1)
        this.replies.push({ type: packet[0] ?? 0, id: fields.uint32(), fields })
      }
      this.#wake()
    })
    near.on('data', (chunk: Buffer) => {
      reader.feed(chunk)
    })
    near.on('error', () => undefined)
    near.on('close', () => {
      this.isClosed = true
      this.#wake()
    })
    far.on('close', () => near.destroy())
  }

  /** INIT. */
  greet(): this {
    return this.send(new PacketWriter(REQUEST.init, undefined).uint32(3))
  }

  send(...packets: readonly (PacketWriter | Uint8Array)[]): this {
    const bytes = packets.map((packet) => (packet instanceof PacketWriter ? packet.done() : packet))
    this.channel.write(Buffer.concat(bytes))
    return this
  }

  /** Waits for the reply to request `id`; `undefined` when the channel closes instead. */
  async reply(id: number): Promise<Reply | undefined> {
    for (;;) {
      const found = this.replies.find((reply) => reply.id === id)
      if (found !== undefined || this.isClosed) return found
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** The status that answers request `id`; `undefined` when something else does. */
  async status(id: number): Promise<number | undefined> {
    const reply = await this.reply(id)
    return reply?.type === REPLY.status ? reply.fields.uint32() : undefined
  }

  /** The handle that answers request `id`. */
  async handle(id: number): Promise<Buffer> {
    const reply = await this.reply(id)
    if (reply?.type !== REPLY.handle) throw new Error(`No handle, but type ${reply?.type}`)
    return reply.fields.bytes()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const go of waiting) go()
  }
}

/** A request with its id. */
export function request(type: number, id: number): PacketWriter {
  return new PacketWriter(type, id)
}

/** OPEN `path` with `flags` and no attributes. */
export function openRequest(id: number, path: string, flags: number): PacketWriter {
  return request(REQUEST.open, id).string(path).uint32(flags).uint32(0)
}

/** A point that work waits at until it is opened. */
export class Gate {
  readonly #waiting: (() => void)[] = []
  #isOpen = false
  reached = 0

  pass(): Promise<void> {
    this.reached++
    if (this.#isOpen) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  open(): void {
    this.#isOpen = true
    for (const go of this.#waiting.splice(0)) go()
  }
}

/** Files by path, in memory. Notes what is done in `done`. Reads and writes wait at `gate`, when there is one. */
export class MemoryTree implements SftpTree {
  readonly files = new Map<string, Buffer>()
  readonly done: string[] = []
  openHandles = 0
  readonly #gate: Gate | undefined

  constructor(files: Record<string, Buffer> = {}, gate?: Gate) {
    for (const [path, bytes] of Object.entries(files)) this.files.set(path, bytes)
    this.#gate = gate
  }

  stat(names: readonly string[]): Attrs {
    this.done.push(`stat ${names.join('/')}`)
    return names.length === 0 ? { kind: 'dir', size: 0, mode: 0o700, mtime: 0 } : attrs(this.#file(names))
  }

  list() {
    return [...this.files].map(([name, bytes]) => ({ name, attrs: attrs(bytes) }))
  }

  openRead(names: readonly string[]) {
    const bytes = this.#file(names)
    this.openHandles++
    return {
      size: bytes.length,
      read: async (target: Buffer, position: number, length: number) => {
        await this.#gate?.pass()
        return bytes.copy(target, 0, position, position + length)
      },
      stat: () => attrs(bytes),
      close: () => void this.openHandles--,
    }
  }

  openWrite(names: readonly string[], { create }: { create: boolean }) {
    const path = names.join('/')
    if (!create) this.#file(names)
    if (!this.files.has(path)) this.files.set(path, Buffer.alloc(0))
    this.openHandles++
    return {
      write: async (bytes: Buffer, position: number) => {
        await this.#gate?.pass()
        const before = this.files.get(path) ?? Buffer.alloc(0)
        const after = Buffer.alloc(Math.max(before.length, position + bytes.length))
        before.copy(after)
        bytes.copy(after, position)
        this.files.set(path, after)
        this.done.push(`write ${path}`)
      },
      truncate: (size: number) => void this.done.push(`truncate ${path} ${size}`),
      sync: () => void this.done.push(`sync ${path}`),
      stat: () => attrs(this.#file(names)),
      close: () => {
        this.openHandles--
        this.done.push(`close ${path}`)
      },
    }
  }

  remove(names: readonly string[]): void {
    this.#file(names)
    this.files.delete(names.join('/'))
  }

  rename(from: readonly string[], to: readonly string[], { replace }: { replace: boolean }): void {
    this.done.push(`rename ${from.join('/')} ${to.join('/')}${replace ? ' replace' : ''}`)
  }

  makeDirectory(): never {
    throw new SftpError(STATUS.permissionDenied, 'No')
  }

  removeDirectory(): never {
    throw new Error('secret place /srv/x')
  }

  #file(names: readonly string[]): Buffer {
    const bytes = this.files.get(names.join('/'))
    if (bytes === undefined) throw Object.assign(new Error('ENOENT: /secret/place'), { code: 'ENOENT' })
    return bytes
  }
}

function attrs(bytes: Buffer): Attrs {
  return { kind: 'file', size: bytes.length, mode: 0o600, mtime: 1 }
}

/** The status that `act` fails with; `STATUS.ok` when it does not. */
export async function statusWhen(act: () => unknown): Promise<number> {
  try {
    await act()
    return STATUS.ok
  } catch (cause) {
    return statusOf(cause).status
  }
}
