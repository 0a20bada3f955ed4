// A slow way to a port of this machine, for tests: so many bytes a second each way, all connections together, and counted.

import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Bytes that went `up` to the port and `down` from it. */
export interface SlowRelay {
  readonly port: number
  readonly carried: { readonly up: number; readonly down: number }
}

class Lane {
  carried = 0
  readonly #bytesPerMs: number
  #freeAt = 0

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000
  }

  /** In how many ms `bytes` that are given over now have left it. */
  take(bytes: number): number {
    const now = performance.now()
    this.carried += bytes
    this.#freeAt = Math.max(this.#freeAt, now) + bytes / this.#bytesPerMs
    return this.#freeAt - now
  }
}

/** Listens on a port that the system picks until `t` ends. */
export async function slowRelay(t: Test, port: number, bytesPerSecond: number): Promise<SlowRelay> {
  const [up, down] = [new Lane(bytesPerSecond), new Lane(bytesPerSecond)]
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port, noDelay: true })
    for (const [from, to, lane] of [
      [near, far, up],
      [far, near, down],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.end()
      })
      from.on('data', (bytes: Buffer) => {
        from.pause()
        setTimeout(() => {
          if (!to.destroyed) to.write(bytes)
          from.resume()
        }, lane.take(bytes.length))
      })
    }
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the relay has no port')
  return {
    port: address.port,
    carried: {
      get up() {
        return up.carried
      },
      get down() {
        return down.carried
      },
    },
  }
}
