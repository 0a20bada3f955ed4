// An SSH session with a server, directly or over jump hosts: opened, watched, closed; hands out channels.

import type { Duplex } from 'node:stream'
import type { ClientChannel } from 'ssh2'
import type { Log } from '../../daemon/log.ts'
import type { SyncError } from '../../errors.ts'
import type { Identity } from './identities.ts'
import { askLink, heard, type Done } from './link-request.ts'
import { SftpChannel, type SftpOptions } from './sftp-channel.ts'
import { openLink, type SshHost, type SshLink } from './ssh-link.ts'

export interface SessionOptions extends SshHost {
  /** Machines on the way, nearest first. */
  readonly proxyJump?: readonly SshHost[]
  /** Time for the connection, and once more for handshake and login, each hop apart. Default 15 s. */
  readonly readyTimeoutMs?: number
  /** Time between two questions whether the server is there; it is given up when the third is due. Default 8 s; 0 = never ask. */
  readonly keepaliveMs?: number
  readonly log?: Pick<Log, 'info'>
}

const READY_TIMEOUT_MS = 15_000
const KEEPALIVE_MS = 8000

/** An open, authenticated connection. Channels die with it. */
export class SshSession implements AsyncDisposable {
  /** Resolves when the session is over: with the reason, or with `undefined` when this side closed it. Never rejects. */
  readonly closed: Promise<SyncError | undefined>
  /** The key that the server accepted. */
  readonly identity: Identity
  /** Fingerprint of the server's host key. */
  readonly hostFingerprint: string
  readonly #links: readonly SshLink[]
  readonly #last: SshLink

  private constructor(links: readonly SshLink[], last: SshLink) {
    this.closed = last.closed
    this.identity = last.identity
    this.hostFingerprint = last.hostFingerprint
    this.#links = links
    this.#last = last
    void last.closed.then(() => endAll(links))
  }

  /**
   * Connects and logs in; an abort of `signal` ends the attempt, and later the session. Throws `Unreachable` when the server cannot be
   * reached or hangs up, `Unauthorised` when it takes no key of ours or its host key is not trusted.
   */
  static async open(options: SessionOptions, signal: AbortSignal): Promise<SshSession> {
    const { readyTimeoutMs = READY_TIMEOUT_MS, keepaliveMs = KEEPALIVE_MS, proxyJump = [], log } = options
    const links: SshLink[] = []
    try {
      for (const hop of proxyJump) {
        links.push(await openLink(hop, { via: links.at(-1), readyTimeoutMs, keepaliveMs: 0, log }, signal))
      }
      const last = await openLink(options, { via: links.at(-1), readyTimeoutMs, keepaliveMs, log }, signal)
      return new SshSession([...links, last], last)
    } catch (error) {
      await endAll(links)
      throw error
    }
  }

  /** Opens the subsystem `name`. Throws `Unreachable` when the server has no such thing or is gone. */
  async subsystem(name: string): Promise<Duplex> {
    return heard(await this.#ask<ClientChannel>(`open "${name}"`, (done) => this.#last.client.subsys(name, done)))
  }

  /** Connects to a Unix socket on the server's machine. Throws `Unreachable`. */
  async unixSocket(path: string): Promise<Duplex> {
    const start = (done: Done<ClientChannel>) => this.#last.client.openssh_forwardOutStreamLocal(path, done)
    return heard(await this.#ask(`open the socket "${path}"`, start))
  }

  /** Opens one more channel for files. Throws `Unreachable`. */
  async sftp(options: SftpOptions = {}): Promise<SftpChannel> {
    // Wrapped at once: a close that comes right behind must find its listener.
    return await this.#ask<SftpChannel>('open "sftp"', (done) =>
      this.#last.client.sftp((error, raw) => {
        if (error) done(error, undefined as never)
        else done(undefined, new SftpChannel(raw, options))
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endAll(this.#links)
  }

  async #ask<T>(what: string, start: (done: Done<T>) => void): Promise<T> {
    return await askLink(start, this.closed, `Cannot ${what} at ${this.#last.name}`)
  }
}

/** Ends all at once, the farthest first: a hop that is dead must not keep the others waiting. */
async function endAll(links: readonly SshLink[]): Promise<void> {
  await Promise.all([...links].reverse().map((link) => link.end()))
}
