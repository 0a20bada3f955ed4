// One authenticated SSH connection: hands subsystems to those who asked for them, refuses all else, and keeps the peer within its limits.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Connection, ServerChannel, Session } from 'ssh2'
import { ChannelDuplex, type Outflow } from './channel-duplex.ts'
import type { ServerLimits } from './limits.ts'
import type { Clock } from '../../daemon/clock.ts'
import type { Log } from '../../daemon/log.ts'

/** Who is at the other end. `id` is unique in this process of the coordinator. */
export interface Peer {
  readonly id: number
  readonly fingerprint: string
  readonly username: string
  readonly remoteAddress: string
}

export interface ConnectionParts {
  readonly client: Connection
  readonly socket: Socket
  readonly limits: ServerLimits
  readonly clock: Pick<Clock, 'after'>
  readonly log: Log
}

export class ServerConnection implements Peer {
  readonly id: number
  readonly fingerprint: string
  readonly username: string
  readonly remoteAddress: string
  /** Resolves when the socket is gone and every channel with it. */
  readonly closed: Promise<void>
  readonly #parts: ConnectionParts
  readonly #acceptors = new Map<string, (channel: Duplex) => void>()
  readonly #channels = new Set<ChannelDuplex>()
  readonly #outflow: Outflow
  #sessions = 0
  #emptySessions = 0
  #rekey: Disposable | undefined

  constructor(peer: Peer, parts: ConnectionParts) {
    this.id = peer.id
    this.fingerprint = peer.fingerprint
    this.username = peer.username
    this.remoteAddress = peer.remoteAddress
    this.#parts = parts
    this.#outflow = outflowOf(parts.socket, parts.limits)
    this.closed = new Promise((resolve) => {
      parts.socket.once('close', () => {
        this.#rekey?.[Symbol.dispose]()
        for (const channel of this.#channels) channel.destroy()
        resolve()
      })
    })
    parts.client.on('session', (accept, reject) => {
      this.#openSession(accept, reject)
    })
    this.#guard()
    this.#renewKeys()
  }

  /** Hands every channel of the subsystem `name` to `accept`, which owns it then. To be called before anything is awaited. */
  onSubsystem(name: string, accept: (channel: Duplex) => void): void {
    this.#acceptors.set(name, accept)
  }

  /** Says goodbye, and cuts the connection off if the peer does not go by itself. */
  close(): void {
    const { client, socket, limits, clock } = this.#parts
    client.end()
    endSoon(socket, limits.endGraceMs, clock)
  }

  #openSession(accept: () => Session, reject: () => void): void {
    if (this.#sessions >= this.#parts.limits.channels) {
      reject()
      return
    }
    this.#sessions++
    const session = accept()
    let channel: ChannelDuplex | undefined
    const release = () => {
      this.#sessions--
    }
    session.on('error', (cause: Error) => {
      this.#parts.log.debug('A session failed', { cause })
    })
    session.on('subsystem', (acceptSubsystem, rejectSubsystem, { name }) => {
      const acceptor = channel === undefined ? this.#acceptors.get(name) : undefined
      if (acceptor === undefined) {
        // ssh2 gives no `reject` when the peer wants no answer.
        ;(rejectSubsystem as (() => void) | undefined)?.()
        return
      }
      channel = this.#openChannel(acceptSubsystem())
      channel.once('close', release)
      this.#hand(channel, acceptor, name)
    })
    session.once('close', () => {
      if (channel !== undefined) channel.peerClosed()
      else {
        release()
        this.#countEmptySession()
      }
    })
  }

  #openChannel(inner: ServerChannel): ChannelDuplex {
    const channel = new ChannelDuplex(inner, this.#outflow)
    this.#channels.add(channel)
    channel.once('close', () => this.#channels.delete(channel))
    // Whoever owns the channel learns of its end from `close`; an error nobody listens for would end the process.
    channel.on('error', (cause) => {
      this.#parts.log.debug('A channel failed', { cause })
    })
    return channel
  }

  #hand(channel: ChannelDuplex, acceptor: (channel: Duplex) => void, name: string): void {
    try {
      acceptor(channel)
    } catch (cause) {
      this.#parts.log.error(`Cannot serve the subsystem "${name}"`, { cause })
      channel.destroy()
    }
  }

  /** ssh2 forgets neither the session nor its number until the connection ends. */
  #countEmptySession(): void {
    this.#emptySessions++
    if (this.#emptySessions > this.#parts.limits.emptySessions) this.#cut('it opens sessions and does not use them')
  }

  /** Watches what ssh2 does not: the window of incoming data, and replies that the peer does not take. */
  #guard(): void {
    const { socket, limits } = this.#parts
    let isWaiting = false
    socket.on('data', () => {
      for (const channel of this.#channels) {
        if (channel.unreadBytes > limits.unreadBytes) {
          this.#cut('it sends more than the window allows')
          return
        }
      }
      if (isWaiting || socket.writableLength <= limits.stalledBytes) return
      isWaiting = true
      socket.pause()
      socket.once('drain', () => {
        isWaiting = false
        socket.resume()
      })
    })
  }

  #renewKeys(): void {
    const { client, limits, clock, log } = this.#parts
    this.#rekey = clock.after(limits.rekeyMs, () => {
      client.rekey((cause?: Error) => {
        if (cause !== undefined) log.debug('Cannot renew the keys', { cause })
      })
      this.#renewKeys()
    })
  }

  #cut(reason: string): void {
    this.#parts.log.warn(`Cut the connection from ${this.remoteAddress}: ${reason}`)
    this.#parts.socket.destroy()
  }
}

/** Destroys `socket` after `graceMs` unless it has closed by then. */
export function endSoon(socket: Socket, graceMs: number, clock: Pick<Clock, 'after'>): void {
  const timer = clock.after(graceMs, () => socket.destroy())
  socket.once('close', () => {
    timer[Symbol.dispose]()
  })
}

function outflowOf(socket: Socket, limits: ServerLimits): Outflow {
  const waiting = new Set<() => void>()
  socket.on('drain', () => {
    const resumed = [...waiting]
    waiting.clear()
    for (const resume of resumed) resume()
  })
  return {
    isFull: () => socket.writableLength > limits.unsentBytes,
    whenDrained: (resume) => waiting.add(resume),
  }
}
