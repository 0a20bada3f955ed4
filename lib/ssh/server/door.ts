// The door of the server: how many sockets are let in, and how long one may stay a stranger.

import type { Socket } from 'node:net'
import type { ServerLimits } from './limits.ts'
import type { Clock } from '../../daemon/clock.ts'

export class Door {
  readonly #limits: ServerLimits
  readonly #clock: Pick<Clock, 'after'>
  /** By remote address and port, under which ssh2 tells of its connections. */
  readonly #sockets = new Map<string, Socket>()
  readonly #strangers = new Map<Socket, { readonly address: string; readonly grace: Disposable }>()
  readonly #strangersOf = new Map<string, number>()

  constructor(limits: ServerLimits, clock: Pick<Clock, 'after'>) {
    this.#limits = limits
    this.#clock = clock
  }

  /** Lets `socket` in as a stranger, who has `loginGraceMs` to log in; otherwise destroys it. */
  admit(socket: Socket): boolean {
    const { remoteAddress, remotePort } = socket
    // RACE: the peer may be gone already, and then has no address.
    if (remoteAddress === undefined || remotePort === undefined || this.#isFull(remoteAddress)) {
      socket.destroy()
      return false
    }
    const name = nameOf(remoteAddress, remotePort)
    // The same port of the same peer, but to another address of this machine: ssh2 could not tell the two apart.
    if (this.#sockets.has(name)) {
      socket.destroy()
      return false
    }
    this.#sockets.set(name, socket)
    this.#strangersOf.set(remoteAddress, (this.#strangersOf.get(remoteAddress) ?? 0) + 1)
    const grace = this.#clock.after(this.#limits.loginGraceMs, () => socket.destroy())
    this.#strangers.set(socket, { address: remoteAddress, grace })
    socket.once('close', () => {
      this.#sockets.delete(name)
      this.welcome(socket)
    })
    return true
  }

  find(remoteAddress: string, remotePort: number): Socket | undefined {
    return this.#sockets.get(nameOf(remoteAddress, remotePort))
  }

  /** `socket` is no stranger any more. */
  welcome(socket: Socket): void {
    const stranger = this.#strangers.get(socket)
    if (stranger === undefined) return
    stranger.grace[Symbol.dispose]()
    this.#strangers.delete(socket)
    const left = (this.#strangersOf.get(stranger.address) ?? 1) - 1
    if (left > 0) this.#strangersOf.set(stranger.address, left)
    else this.#strangersOf.delete(stranger.address)
  }

  /** Everyone inside. */
  sockets(): Socket[] {
    return [...this.#sockets.values()]
  }

  #isFull(address: string): boolean {
    const { connections, unauthenticated, unauthenticatedPerAddress } = this.#limits
    return (
      this.#sockets.size >= connections ||
      this.#strangers.size >= unauthenticated ||
      (this.#strangersOf.get(address) ?? 0) >= unauthenticatedPerAddress
    )
  }
}

function nameOf(address: string, port: number): string {
  return `${address} ${port}`
}
