// The data connection: opened when first needed, bound to the control session, with channels of its own for small and for large contents.

import type { Clock } from '../daemon/clock.ts'
import { Unreachable } from '../errors.ts'
import { askCoordinator } from '../rpc/contract.ts'
import { RpcPeer, type RpcPeerOptions } from '../rpc/peer.ts'
import type { SftpChannel } from '../ssh/client/sftp-channel.ts'
import type { SshSession } from '../ssh/client/ssh-session.ts'
import { LinkMeter, Turns, type Finished } from './link-meter.ts'

type Lane = 'quick' | 'bulk'

/** How to connect: `open` makes an authenticated connection to the coordinator; it ends with `signal`. */
export interface DataLinkParts {
  readonly open: (signal: AbortSignal) => Promise<SshSession>
  readonly session: string
  readonly rpc: Pick<RpcPeerOptions, 'log' | 'messageLog'>
  readonly clock: Clock
  readonly roundTripMs: number
}

/** A coordinator that does not take deflated packs gets none any more. */
const TURNS_UP = { misses: 1, restTurns: Infinity }
/** Where packs do not shrink it costs a round trip to be told so. */
const TURNS_DOWN = { misses: 2, restTurns: 8 }
/** A content that goes in no frames may just be gone; of a coordinator that knows none it is asked seldom. */
const TURNS_FRAMES = { misses: 3, restTurns: 64 }

/** Large contents in frames, one way. `framed`: bytes of contents that went so since the last that did not. */
interface FramesUse {
  readonly turns: Turns
  framed: number
}

function newFrames(): FramesUse {
  return { turns: new Turns(TURNS_FRAMES), framed: 0 }
}

interface Opened {
  readonly ssh: SshSession
  readonly channels: Map<Lane, Promise<SftpChannel>>
}

export class DataLink {
  /** How quick the link is, each way; and whether to deflate what goes that way. */
  readonly up: LinkMeter
  readonly down: LinkMeter
  readonly deflatedUp = new Turns(TURNS_UP)
  readonly deflatedDown = new Turns(TURNS_DOWN)
  readonly large = { up: newFrames(), down: newFrames() }
  readonly #parts: DataLinkParts
  readonly #signal: AbortSignal
  #opened: Promise<Opened> | undefined

  /** `signal`: the life of the control session. */
  constructor(parts: DataLinkParts, signal: AbortSignal) {
    this.#parts = parts
    this.up = new LinkMeter(parts.roundTripMs)
    this.down = new LinkMeter(parts.roundTripMs)
    this.#signal = signal
  }

  get clock(): Clock {
    return this.#parts.clock
  }

  /** Notes how long a transfer took. */
  finished(way: 'up' | 'down', transfer: Finished): void {
    const meter = this[way]
    const wasSlow = meter.isSlow
    meter.note(transfer)
    if (meter.isSlow === wasSlow) return
    const measured =
      meter.rate === undefined ? 'is to be measured anew' : `carries ${(meter.rate / 1e6).toFixed(1)} MB/s`
    this.#parts.rpc.log.debug(
      `The link ${measured} ${way}: contents go ${way} ${wasSlow ? 'as they are' : 'deflated, if they shrink'}`,
    )
  }

  /** Works on the lane's channel; when the connection turns out to be dead, once more on a new one. */
  async use<T>(lane: Lane, work: (sftp: SftpChannel) => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let tries = 0; ; tries++) {
      const opening = this.#open()
      const opened = await opening
      try {
        return await work(await this.#channel(opened, lane))
      } catch (error) {
        if (!(error instanceof Unreachable) || tries > 0 || signal.aborted) throw error
        this.#forget(opening)
        await opened.ssh[Symbol.asyncDispose]()
      }
    }
  }

  /** Opens the connection ahead of its first use. */
  warm(): void {
    void this.#open()
      .then((opened) => this.#channel(opened, 'quick'))
      .catch(() => undefined)
  }

  async #channel({ ssh, channels }: Opened, lane: Lane): Promise<SftpChannel> {
    const known = channels.get(lane)
    if (known !== undefined) return await known
    const opening = ssh.sftp()
    channels.set(lane, opening)
    const forget = (): void => {
      if (channels.get(lane) === opening) channels.delete(lane)
    }
    opening.then(({ closed }) => closed.then(forget), forget)
    return await opening
  }

  #open(): Promise<Opened> {
    if (this.#opened !== undefined) return this.#opened
    const opening = this.#connect()
    this.#opened = opening
    const forget = (): void => {
      this.#forget(opening)
    }
    opening.then(({ ssh }) => ssh.closed.then(forget), forget)
    return opening
  }

  /** Another lane may have noticed before, and opened a new one already: that is kept. */
  #forget(opening: Promise<Opened>): void {
    if (this.#opened === opening) this.#opened = undefined
  }

  async #connect(): Promise<Opened> {
    const { open, session, rpc } = this.#parts
    const ssh = await open(this.#signal)
    try {
      const peer = new RpcPeer(await ssh.subsystem('systemsync-rpc'), { ...rpc, methods: {} })
      await askCoordinator(peer, 'attach', { session }, this.#signal)
      return { ssh, channels: new Map() }
    } catch (error) {
      await ssh[Symbol.asyncDispose]()
      throw error
    }
  }
}
