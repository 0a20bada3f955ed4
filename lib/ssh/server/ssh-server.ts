// The coordinator's own SSH server: public keys only, subsystems only, and limits for everyone. It knows nothing of folders or RPC.

import { createServer, type Server, type Socket } from 'node:net'
import ssh2, { type AuthContext, type Connection } from 'ssh2'
import { Door } from './door.ts'
import type { HostKey } from './host-key.ts'
import { SERVER_LIMITS, type ServerLimits } from './limits.ts'
import { judgeLogin, type IsAuthorised, type OfferedKey } from './public-key-login.ts'
import { endSoon, ServerConnection } from './server-connection.ts'
import { plainAddress } from '../from-patterns.ts'
import { EXIT, SyncError } from '../../errors.ts'
import { systemClock, type Clock } from '../../daemon/clock.ts'
import type { Log } from '../../daemon/log.ts'

export interface SshServerOptions {
  readonly address: string
  /** 0: any free port. */
  readonly port: number
  readonly hostKey: Pick<HostKey, 'privateText'>
  readonly isAuthorised: IsAuthorised
  /** Called once for each peer that has logged in. Subsystems are to be registered before it returns. */
  readonly onConnection: (connection: ServerConnection) => void
  readonly limits?: Partial<ServerLimits>
  readonly clock?: Pick<Clock, 'after'>
  readonly log: Log
}

export class SshServer implements AsyncDisposable {
  readonly #options: SshServerOptions
  readonly #limits: ServerLimits
  readonly #clock: Pick<Clock, 'after'>
  readonly #door: Door
  readonly #listener: Server
  readonly #protocol: InstanceType<typeof ssh2.Server>
  /** When each connection is judged again. */
  readonly #judging = new Map<ServerConnection, Disposable>()
  #lastId = 0

  /** Listens. Throws `SyncError` with code ADDRESS_IN_USE, ADDRESS_NOT_LOCAL, PORT_NOT_ALLOWED or CANNOT_LISTEN. Closed when `signal` aborts. */
  static async open(options: SshServerOptions, signal: AbortSignal): Promise<SshServer> {
    signal.throwIfAborted()
    const server = new SshServer(options)
    await server.#listen()
    const stop = () => void server[Symbol.asyncDispose]()
    signal.addEventListener('abort', stop, { once: true })
    server.#listener.once('close', () => {
      signal.removeEventListener('abort', stop)
    })
    if (signal.aborted) await server[Symbol.asyncDispose]()
    signal.throwIfAborted()
    return server
  }

  private constructor(options: SshServerOptions) {
    this.#options = options
    this.#limits = { ...SERVER_LIMITS, ...options.limits }
    this.#clock = options.clock ?? systemClock
    this.#door = new Door(this.#limits, this.#clock)
    this.#protocol = new ssh2.Server(
      {
        hostKeys: [options.hostKey.privateText],
        ident: 'SystemSync',
        keepaliveInterval: this.#limits.keepaliveMs,
        keepaliveCountMax: this.#limits.keepaliveTries,
        algorithms: ALGORITHMS,
      },
      (client, { ip, port }) => {
        this.#greet(client, this.#door.find(ip, port))
      },
    )
    this.#protocol.on('error', (cause: Error) => {
      options.log.warn('The SSH server failed', { cause })
    })
    // Nagle's algorithm would hold back each small reply until the peer's delayed acknowledgement: uploads ten times slower.
    this.#listener = createServer({ noDelay: true }, (socket) => {
      // ssh2 tells of a connection only after its first line: whoever stays silent must be limited here.
      if (this.#door.admit(socket)) this.#protocol.injectSocket(socket)
    })
  }

  /** The port that is listened on. */
  port(): number {
    const bound = this.#listener.address()
    return bound !== null && typeof bound === 'object' ? bound.port : this.#options.port
  }

  /** Stops listening and ends every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close()
    const closed = this.#door.sockets().map((socket) => {
      socket.end()
      endSoon(socket, STOP_GRACE_MS, this.#clock)
      return new Promise((resolve) => socket.once('close', resolve))
    })
    await Promise.all(closed)
  }

  #listen(): Promise<void> {
    const { address, port, log } = this.#options
    return new Promise((resolve, reject) => {
      const fail = (cause: NodeJS.ErrnoException) => {
        reject(listenError(address, port, cause))
      }
      this.#listener.once('error', fail)
      this.#listener.listen(port, address, () => {
        this.#listener.off('error', fail)
        this.#listener.on('error', (cause) => {
          log.warn('Cannot accept a connection', { cause })
        })
        resolve()
      })
    })
  }

  /** A peer has said its first line. */
  #greet(client: Connection, socket: Socket | undefined): void {
    client.on('error', (cause: Error & { level?: string }) => {
      this.#options.log.debug('An SSH connection failed', { cause })
      // ssh2 only half-closes, and a peer that does not answer will not close its half.
      if (cause.level === 'client-timeout') socket?.destroy()
      else if (socket !== undefined) endSoon(socket, this.#limits.endGraceMs, this.#clock)
    })
    if (socket === undefined) {
      client.end()
      return
    }
    socket.once('end', () => {
      endSoon(socket, this.#limits.endGraceMs, this.#clock)
    })
    const attempts = { all: 0, failed: 0, key: undefined as OfferedKey | undefined, username: '' }
    client.on('authentication', (context) => {
      void this.#authenticate(context, attempts, { client, socket })
    })
    client.on('ready', () => {
      if (attempts.key !== undefined) this.#connect(attempts.key, attempts.username, { client, socket })
    })
  }

  async #authenticate(context: AuthContext, attempts: Attempts, link: Link): Promise<void> {
    attempts.all++
    const remoteAddress = plainAddress(link.socket.remoteAddress ?? '')
    try {
      // The first question of every client is what it may use; it is no failure.
      if (context.method === 'none' && attempts.all === 1) {
        context.reject(['publickey'])
        return
      }
      const reason = await this.#decide(context, attempts, remoteAddress)
      if (reason !== undefined) {
        attempts.failed++
        this.#options.log.info(`Refused a login from ${remoteAddress}: ${reason}`)
        context.reject(['publickey'])
      }
    } catch (cause) {
      attempts.failed++
      this.#options.log.error('Cannot judge a login', { cause })
      context.reject(['publickey'])
    }
    if (attempts.failed < this.#limits.authTries && attempts.all < this.#limits.authTries * PROBES_PER_TRY) return
    link.client.end()
    endSoon(link.socket, this.#limits.endGraceMs, this.#clock)
  }

  /** Lets the peer in, or on; or says why not. */
  async #decide(context: AuthContext, attempts: Attempts, remoteAddress: string): Promise<string | undefined> {
    if (context.method !== 'publickey') return `by ${context.method}, wanted a public key`
    const verdict = await judgeLogin(context, remoteAddress, this.#options.isAuthorised)
    if (verdict.kind === 'refused') return verdict.reason
    if (verdict.kind === 'proved') {
      attempts.key = verdict.key
      attempts.username = context.username
    }
    context.accept()
    return undefined
  }

  #connect(key: OfferedKey, username: string, { client, socket }: Link): void {
    const { onConnection, log } = this.#options
    this.#door.welcome(socket)
    const peer = {
      id: ++this.#lastId,
      fingerprint: key.fingerprint,
      username,
      remoteAddress: plainAddress(socket.remoteAddress ?? ''),
    }
    const connection = new ServerConnection(peer, {
      client,
      socket,
      limits: this.#limits,
      clock: this.#clock,
      log: log.child({ connection: peer.id }),
    })
    this.#judgeLater(connection, key)
    void connection.closed.then(() => {
      this.#judging.get(connection)?.[Symbol.dispose]()
      this.#judging.delete(connection)
    })
    try {
      onConnection(connection)
    } catch (cause) {
      log.error('Cannot serve a connection', { cause })
      connection.close()
    }
  }

  #judgeLater(connection: ServerConnection, key: OfferedKey): void {
    const again = this.#clock.after(this.#limits.judgeAgainMs, () => {
      void this.#judgeAgain(connection, key)
    })
    this.#judging.set(connection, again)
  }

  /** Whose key may not log in any more is not served any longer either. */
  async #judgeAgain(connection: ServerConnection, key: OfferedKey): Promise<void> {
    const { isAuthorised, log } = this.#options
    let isWelcome = false
    try {
      isWelcome = await isAuthorised(key, connection.username, connection.remoteAddress)
    } catch (cause) {
      log.error('Cannot judge a connection', { cause })
    }
    if (!this.#judging.has(connection)) return
    if (isWelcome) {
      this.#judgeLater(connection, key)
      return
    }
    log.warn(`Ended the connection from ${connection.remoteAddress}: ${key.fingerprint} is not authorised any more`)
    connection.close()
  }
}

interface Link {
  readonly client: Connection
  readonly socket: Socket
}

/** What one connection has tried so far; `key`: the one it has proved to hold. */
interface Attempts {
  all: number
  failed: number
  key: OfferedKey | undefined
  username: string
}

const ALGORITHMS: ssh2.ServerConfig['algorithms'] & object = {
  // ssh2 has no post-quantum exchange; the larger groups cost 5 to 14 ms of CPU for each stranger.
  kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'],
  cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com'],
  compress: ['none'],
}

/** A peer may ask for a key before it signs with it, and ask for good ones as often as it likes: not for ever. */
const PROBES_PER_TRY = 10

/** How long a peer may take to close its half when the server stops. */
const STOP_GRACE_MS = 500

function listenError(address: string, port: number, cause: NodeJS.ErrnoException): SyncError {
  const place = `"${address}" port ${port}`
  switch (cause.code) {
    case 'EADDRINUSE':
      return new SyncError(`Cannot listen on ${place}: another program listens there already`, {
        code: 'ADDRESS_IN_USE',
        exitStatus: EXIT.unreachable,
        hint: 'Stop it (perhaps another coordinator), or choose another port',
        cause,
      })
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new SyncError(`Cannot listen on ${place}: this machine has no such address`, {
        code: 'ADDRESS_NOT_LOCAL',
        exitStatus: EXIT.config,
        hint: "Name one of this machine's addresses",
        cause,
      })
    case 'EACCES':
      return new SyncError(`Cannot listen on ${place}: not allowed`, {
        code: 'PORT_NOT_ALLOWED',
        exitStatus: EXIT.config,
        hint: 'Choose a port above 1023',
        cause,
      })
    default:
      return new SyncError(`Cannot listen on ${place}: ${cause.code ?? cause.message}`, {
        code: 'CANNOT_LISTEN',
        exitStatus: EXIT.config,
        cause,
      })
  }
}
