// The data connection: opened when first needed, bound to the control session, with channels of its own for small and for large contents.

import { Unreachable } from '../errors.ts'
import { askCoordinator } from '../rpc/contract.ts'
import { RpcPeer, type RpcPeerOptions } from '../rpc/peer.ts'
import type { SftpChannel } from '../ssh/client/sftp-channel.ts'
import type { SshSession } from '../ssh/client/ssh-session.ts'

type Lane = 'quick' | 'bulk'

/** How to connect: `open` makes an authenticated connection to the coordinator; it ends with `signal`. */
export interface DataLinkParts {
  readonly open: (signal: AbortSignal) => Promise<SshSession>
  readonly session: string
  readonly rpc: Pick<RpcPeerOptions, 'log' | 'messageLog'>
}

interface Opened {
  readonly ssh: SshSession
  readonly channels: Map<Lane, Promise<SftpChannel>>
}

export class DataLink {
  readonly #parts: DataLinkParts
  readonly #signal: AbortSignal
  #opened: Promise<Opened> | undefined

  /** `signal`: the life of the control session. */
  constructor(parts: DataLinkParts, signal: AbortSignal) {
    this.#parts = parts
    this.#signal = signal
  }

  /** Works on the lane's channel; when the connection turns out to be dead, once more on a new one. */
  async use<T>(lane: Lane, work: (sftp: SftpChannel) => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let tries = 0; ; tries++) {
      const opened = await this.#open()
      try {
        return await work(await this.#channel(opened, lane))
      } catch (error) {
        if (!(error instanceof Unreachable) || tries > 0 || signal.aborted) throw error
        this.#opened = undefined
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
    const channel = await opening
    void channel.closed.then(() => channels.delete(lane))
    return channel
  }

  #open(): Promise<Opened> {
    if (this.#opened !== undefined) return this.#opened
    const opening = this.#connect()
    this.#opened = opening
    const forget = (): void => {
      if (this.#opened === opening) this.#opened = undefined
    }
    opening.then(({ ssh }) => ssh.closed.then(forget), forget)
    return opening
  }

  async #connect(): Promise<Opened> {
    const { open, session, rpc } = this.#parts
    const ssh = await open(this.#signal)
    const peer = new RpcPeer(await ssh.subsystem('systemsync-rpc'), { ...rpc, methods: {} })
    await askCoordinator(peer, 'attach', { session }, this.#signal)
    return { ssh, channels: new Map() }
  }
}
