// A delay line in user space: TCP on loopback with the round trip and the rate of a slow link, or none, bytes counted.

import { connect, createServer, type Socket } from 'node:net'

/** What a link is like; zero means: no delay, no limit. */
export interface LinkKind {
  readonly oneWayMs: number
  readonly bytesPerSecond: number
}

/** One message to a relay process: make a way to `port` over the link called `link`. */
export interface OpenWay {
  readonly link: string
  readonly port: number
  readonly kind: LinkKind
}

/** Its answer, and, unasked and regularly, how much went through all links so far. */
export type RelayAnswer = { readonly listening: number } | { readonly carriedBytes: number }

/** What may wait in one direction of a connection before its sender is told to wait: about the product of rate and round trip. */
const QUEUE_BYTES = 256 * 1024

/** One direction of a link: bytes leave it in order, no faster than its rate, and arrive `oneWayMs` later. */
export class Lane {
  readonly #kind: LinkKind
  #freeAt = 0
  carriedBytes = 0

  constructor(kind: LinkKind) {
    this.#kind = kind
  }

  /** When `sizeBytes` handed over at `nowMs` arrive, in the same clock. */
  arrival(sizeBytes: number, nowMs: number): number {
    this.carriedBytes += sizeBytes
    const { oneWayMs, bytesPerSecond } = this.#kind
    const transmissionMs = bytesPerSecond === 0 ? 0 : (sizeBytes / bytesPerSecond) * 1000
    this.#freeAt = Math.max(this.#freeAt, nowMs) + transmissionMs
    return this.#freeAt + oneWayMs
  }
}

/** The two directions of a link; all connections over it share them. */
export interface Link {
  readonly there: Lane
  readonly back: Lane
  readonly kind: LinkKind
}

/** Listens on a free port and carries every connection over `link` to `port`. Resolves with the port it listens on. */
export function openWay(link: Link, port: number): Promise<number> {
  const server = createServer({ noDelay: true, pauseOnConnect: true, allowHalfOpen: true }, (near) => {
    near.on('error', () => near.destroy())
    // A connection is made by one round trip.
    setTimeout(() => join(near, port, link), 2 * link.kind.oneWayMs)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}

function join(near: Socket, port: number, link: Link): void {
  const far = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true })
  far.on('error', () => near.destroy())
  near.on('error', () => far.destroy())
  near.on('close', () => far.destroy())
  far.on('close', () => near.destroy())
  carry(near, far, link.there)
  carry(far, near, link.back)
}

/** Copies `from` to `to` by way of `lane`. */
function carry(from: Socket, to: Socket, lane: Lane): void {
  const queue: { at: number; bytes: Buffer | undefined }[] = []
  let queued = 0
  let timer: NodeJS.Timeout | undefined
  const deliver = () => {
    timer = undefined
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      const waitMs = first.at - performance.now()
      if (waitMs > 0.5) {
        timer = setTimeout(deliver, waitMs)
        return
      }
      queue.shift()
      if (first.bytes === undefined) to.end()
      else if (!to.destroyed) to.write(first.bytes)
      queued -= first.bytes?.length ?? 0
      if (queued < QUEUE_BYTES && to.writableLength < QUEUE_BYTES) from.resume()
    }
  }
  const enqueue = (bytes: Buffer | undefined) => {
    queue.push({ at: lane.arrival(bytes?.length ?? 0, performance.now()), bytes })
    queued += bytes?.length ?? 0
    if (queued >= QUEUE_BYTES) from.pause()
    if (timer === undefined) deliver()
    if (to.writableLength >= QUEUE_BYTES) from.pause()
  }
  to.on('drain', () => queued < QUEUE_BYTES && from.resume())
  from.on('data', enqueue)
  from.on('end', () => enqueue(undefined))
  from.resume()
}
