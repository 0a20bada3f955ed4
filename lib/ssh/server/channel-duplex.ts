// An ssh2 channel as an ordinary Duplex: it ends, fails and closes as Node's streams do, and waits for a socket that does not drain.

import { Duplex } from 'node:stream'
import type { ServerChannel } from 'ssh2'

/** Bytes passed on by `read` before the channel is asked to wait; ssh2 itself holds the rest of the window. */
const READ_AHEAD_BYTES = 64 * 1024

/** Bytes that `write` takes before it says `false`. */
const WRITE_AHEAD_BYTES = 1024 * 1024

/** What a channel needs to know of the socket under it. */
export interface Outflow {
  /** Whether so much waits in the socket that nothing more should be sent. */
  isFull(): boolean
  /** Calls `resume` once, when the socket has drained. */
  whenDrained(resume: () => void): void
}

/**
 * ssh2's own channel never calls back a write to a closed channel, emits `close` only after everything was read, and writes to the socket
 * whatever waits there already. This one is destroyed when the peer or the connection goes, and then fails what was being written.
 */
export class ChannelDuplex extends Duplex {
  readonly #inner: ServerChannel
  readonly #outflow: Outflow
  #writing: ((cause?: Error | null) => void) | undefined
  #isGone = false

  constructor(inner: ServerChannel, outflow: Outflow) {
    super({ readableHighWaterMark: READ_AHEAD_BYTES, writableHighWaterMark: WRITE_AHEAD_BYTES, allowHalfOpen: true })
    this.#inner = inner
    this.#outflow = outflow
    inner.pause()
    inner.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) inner.pause()
    })
    inner.once('end', () => {
      // What `ssh -s host subsystem` exits with; it can be said only while the channel is open.
      if (!this.#isGone) inner.exit(0)
      this.push(null)
    })
    inner.on('error', (cause: Error) => this.destroy(cause))
  }

  /** Bytes that have come and were not read yet. */
  get unreadBytes(): number {
    return this.#inner.readableLength + this.readableLength
  }

  /** The peer has closed its side for good: what has come may still be read, nothing can be written any more. */
  peerClosed(): void {
    this.#isGone = true
    const writing = this.#writing
    if (writing !== undefined || this.writableLength > 0) this.destroy(gone())
    else if (this.readableEnded) this.destroy()
    else this.once('end', () => this.destroy())
  }

  override _read(): void {
    this.#inner.resume()
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (cause?: Error | null) => void): void {
    if (this.#isGone) {
      done(gone())
      return
    }
    this.#writing = done
    this.#inner.write(bytes, () => {
      if (this.#outflow.isFull()) this.#outflow.whenDrained(() => this.#written())
      else this.#written()
    })
  }

  override _final(done: (cause?: Error | null) => void): void {
    if (!this.#isGone) this.#inner.end()
    done()
  }

  override _destroy(cause: Error | null, done: (cause?: Error | null) => void): void {
    this.#isGone = true
    this.#inner.removeAllListeners('data')
    this.#inner.resume() // ssh2 tells of the end only when all is read.
    this.#inner.close()
    done(cause)
    this.#written(gone())
  }

  #written(cause?: Error): void {
    const done = this.#writing
    this.#writing = undefined
    done?.(cause)
  }
}

function gone(): Error {
  return new Error('The channel is closed')
}
