// A raw RPC channel: sends any bytes, reads lines, or stops reading.
import type { Duplex } from 'node:stream'

export interface Reply {
  readonly id?: unknown
  readonly method?: string
  readonly params?: { readonly prev: number; readonly upTo: number; readonly heads: readonly unknown[] }
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: { readonly status?: number } }
}

const ANSWER_MS = 10_000

export class RawRpc {
  readonly lines: Reply[] = []
  /** Resolves when the other side has closed the channel. */
  readonly closed: Promise<void>
  readonly #channel: Duplex
  #rest = ''
  #isClosed = false
  #wake: () => void = () => undefined

  constructor(channel: Duplex) {
    this.#channel = channel
    this.closed = new Promise((resolve) => {
      const end = () => {
        this.#isClosed = true
        this.#wake()
        resolve()
      }
      channel.on('close', end)
      channel.on('end', end)
    })
    channel.on('error', () => undefined)
    channel.on('data', (bytes: Buffer) => {
      const parts = (this.#rest + bytes.toString()).split('\n')
      this.#rest = parts.pop() ?? ''
      for (const part of parts) this.lines.push(JSON.parse(part) as Reply)
      this.#wake()
    })
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  send(text: string): void {
    if (!this.#isClosed) this.#channel.write(text)
  }

  say(message: unknown): void {
    this.send(`${JSON.stringify(message)}\n`)
  }

  stopReading(): void {
    this.#channel.pause()
  }

  readOn(): void {
    this.#channel.resume()
  }

  /** The first line that `isIt`; `undefined` when the channel closes, or nothing comes in time. */
  async reply(isIt: (reply: Reply) => boolean): Promise<Reply | undefined> {
    const deadline = performance.now() + ANSWER_MS
    for (;;) {
      const found = this.lines.find(isIt)
      if (found !== undefined || this.#isClosed || performance.now() > deadline) return found
      await new Promise<void>((done) => {
        this.#wake = done
        setTimeout(done, 100)
      })
    }
  }
}
