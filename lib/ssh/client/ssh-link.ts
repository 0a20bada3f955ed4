// One hop of a connection: reaches a machine directly or through the one before, checks its host key, and logs in.

import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import ssh2 from 'ssh2'
import type { AuthenticationType, AnyAuthMethod, ConnectConfig } from 'ssh2'
import type { Log } from '../../daemon/log.ts'
import { Unauthorised, type SyncError } from '../../errors.ts'
import { fingerprintOf } from '../fingerprint.ts'
import { HostKeyCheck, type HostToCheck } from './host-key-check.ts'
import { describeTried, type Identities, type Identity } from './identities.ts'
import { askLink, heard, ignore, unreachable, type Done } from './link-request.ts'

/** A machine to log in to. */
export interface SshHost extends HostToCheck {
  readonly user: string
  readonly identities: Identities
}

export interface LinkOptions {
  /** The machine before on the way. */
  readonly via: SshLink | undefined
  /** Time for the connection, and once more for handshake and login. */
  readonly readyTimeoutMs: number
  /** 0 = never. */
  readonly keepaliveMs: number
  readonly log: Pick<Log, 'info'> | undefined
}

/** An authenticated connection to one machine. */
export interface SshLink {
  readonly client: ssh2.Client
  readonly name: string
  /** Resolves at the end, with the reason unless this side closed it. Never rejects. */
  readonly closed: Promise<SyncError | undefined>
  readonly identity: Identity
  readonly hostFingerprint: string
  readonly end: () => Promise<void>
}

/** Questions that may stay unanswered before the server is given up. */
const KEEPALIVE_MISSES = 2

/** AEAD only: nothing older is needed, and none is as fast. */
const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com'] as const

/** Opens the hop; an abort of `signal` ends it, now or later. Throws `Unreachable` or `Unauthorised`. */
export async function openLink(host: SshHost, options: LinkOptions, signal: AbortSignal): Promise<SshLink> {
  signal.throwIfAborted()
  const name = `${host.address} port ${host.port}`
  const check = await HostKeyCheck.load(host)
  const socket = await openSocket(host, options, signal)
  const client = new ssh2.Client()
  const life = watchLife(client, socket, name)
  const login = new Login(host)
  const stop = () => void life.end()
  signal.addEventListener('abort', stop, { once: true })
  void life.closed.then(() => {
    signal.removeEventListener('abort', stop)
  })
  try {
    signal.throwIfAborted()
    const note = await logIn(client, connectConfig(host, { ...options, socket, check, login }), { check, life })
    if (note !== undefined) options.log?.info(note)
  } catch (error) {
    await life.end()
    signal.throwIfAborted()
    const refusal = check.refusal ?? login.refusal(life.trouble())
    if (refusal !== undefined) throw refusal
    throw unreachable(`Cannot connect to ${name}`, life.trouble() ?? error)
  }
  const identity = login.last
  const blob = check.blob
  if (identity === undefined || blob === undefined) throw new Error('logged in without a key')
  return { client, name, closed: life.closed, identity, hostFingerprint: fingerprintOf(blob), end: life.end }
}

interface Handshake extends LinkOptions {
  readonly socket: Duplex
  readonly check: HostKeyCheck
  readonly login: Login
}

function connectConfig(host: SshHost, { socket, check, login, readyTimeoutMs, keepaliveMs }: Handshake): ConnectConfig {
  return {
    sock: socket,
    username: host.user,
    readyTimeout: readyTimeoutMs,
    keepaliveInterval: keepaliveMs,
    keepaliveCountMax: KEEPALIVE_MISSES,
    hostVerifier: (blob: Buffer) => check.accepts(blob),
    authHandler: (
      _left: AuthenticationType[] | null,
      _partial: boolean | null,
      next: (method: AnyAuthMethod | false) => void,
    ) => {
      next(login.next())
    },
    algorithms: { cipher: [...CIPHERS], compress: ['none'], serverHostKey: check.algorithms() },
  } as ConnectConfig
}

/** A TCP connection of our own (Nagle off before the first byte), or a channel through the machine before. */
async function openSocket(host: SshHost, { via, readyTimeoutMs }: LinkOptions, signal: AbortSignal): Promise<Duplex> {
  const failure = `Cannot connect to ${host.address} port ${host.port}`
  if (via !== undefined) {
    const start = (done: Done<ssh2.ClientChannel>) =>
      via.client.forwardOut('127.0.0.1', 0, host.address, host.port, done)
    return heard(await askLink(start, via.closed, `${failure} through ${via.name}`))
  }
  const socket = connect({ host: host.address, port: host.port, noDelay: true })
  const timeout = AbortSignal.timeout(readyTimeoutMs)
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, timeout]) })
  } catch (error) {
    socket.on('error', ignore).destroy()
    signal.throwIfAborted()
    throw unreachable(failure, timeout.aborted ? new Error(`no answer within ${readyTimeoutMs / 1000} s`) : error)
  }
  return socket
}

interface Life {
  readonly closed: Promise<SyncError | undefined>
  /** The first thing that went wrong. */
  readonly trouble: () => unknown
  /** Closes from this side. */
  readonly end: () => Promise<void>
}

/** Follows the connection to its end. ssh2 only half-closes after an error, so the socket is destroyed here. */
function watchLife(client: ssh2.Client, socket: Duplex, name: string): Life {
  let trouble: unknown
  let isEnded = false
  client.on('error', (error) => {
    // A key that fails to sign is one key less; ssh2 goes on to the next, and hangs up itself after the last.
    if (error.level === 'agent' || error.level === 'client-authentication') return
    trouble ??= error
    socket.destroy()
  })
  client.on('end', () => socket.destroy())
  socket.on('error', (error) => (trouble ??= error))
  const closed = new Promise<SyncError | undefined>((resolve) => {
    socket.on('close', () => {
      const cause = trouble ?? new Error('the other side hung up')
      resolve(isEnded ? undefined : unreachable(`Lost the connection to ${name}`, cause))
    })
  })
  const end = async () => {
    isEnded = true
    client.end()
    socket.destroy()
    await closed
  }
  return { closed, trouble: () => trouble, end }
}

/** Waits until the login is done and a new host key is recorded; tells what to log. */
async function logIn(
  client: ssh2.Client,
  config: ConnectConfig,
  { check, life }: { check: HostKeyCheck; life: Life },
): Promise<string | undefined> {
  return await new Promise<string | undefined>((resolve, reject) => {
    let remembered: Promise<string | undefined> = Promise.resolve(undefined)
    // Only now has the server proved that the key is its own.
    client.once('handshake', () => {
      remembered = check.remember()
      remembered.catch(reject)
    })
    client.once('ready', () => {
      remembered.then(resolve, reject)
    })
    void life.closed.then((error) => {
      reject(error ?? new Error('it was closed'))
    })
    client.connect(config)
  })
}

/** Shows the keys one after the other. */
class Login {
  readonly #host: SshHost
  #shown = 0
  #isExhausted = false

  constructor(host: SshHost) {
    this.#host = host
  }

  /** The key shown last: after a login, the one that was accepted. */
  get last(): Identity | undefined {
    return this.#host.identities.usable[this.#shown - 1]
  }

  next(): AnyAuthMethod | false {
    const identity = this.#host.identities.usable[this.#shown]
    this.#isExhausted = identity === undefined
    if (identity === undefined) return false
    this.#shown++
    return identity.authMethod(this.#host.user)
  }

  /** Why the login failed, when it was for the keys. */
  refusal(trouble: unknown): Unauthorised | undefined {
    if (!this.#isExhausted && !isAuthDisconnect(trouble)) return undefined
    const { address, port, user, identities } = this.#host
    const tried = identities.usable.slice(0, this.#shown)
    const key = tried[0]?.publicKeyText
    return new Unauthorised(
      `Cannot log in as "${user}" at ${address} port ${port}: ${describeTried(tried, identities.skipped)}`,
      {
        code: 'KEY_REFUSED',
        retry: 'later',
        cause: trouble,
        hint:
          key === undefined
            ? 'Make a key with ssh-keygen -t ed25519, or add one to an agent with ssh-add'
            : `Add this line to authorized_keys of "${user}" there: ${key}`,
      },
    )
  }
}

/** Whether the server hung up because of refused keys: RFC 4253 section 11.1, reasons 2 (as OpenSSH uses it) and 14. */
function isAuthDisconnect(trouble: unknown): boolean {
  if (!(trouble instanceof Error) || !('code' in trouble)) return false
  return trouble.code === 14 || (trouble.code === 2 && /authentication/i.test(trouble.message))
}
