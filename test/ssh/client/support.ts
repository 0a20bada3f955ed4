// What the tests of the SSH client share: keys, servers on the loopback, and proxies that misbehave.

import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Readable } from 'node:stream'
import ssh2 from 'ssh2'
import { silentLog } from '../../../lib/daemon/log.ts'
import { implement, toCoordinator } from '../../../lib/rpc/contract.ts'
import { RpcPeer } from '../../../lib/rpc/peer.ts'
import { makeHostKey, type HostKey } from '../../../lib/ssh/server/host-key.ts'
import { serveSftp } from '../../../lib/ssh/server/sftp-server.ts'
import { readInFrames, WorkRoom, writeInFrames } from '../../../lib/ssh/server/jail-deflated.ts'
import type { Attrs, OpenForWriting, ReadHandle, SftpTree, WriteHandle } from '../../../lib/ssh/server/sftp-tree.ts'
import type { ServerConnection } from '../../../lib/ssh/server/server-connection.ts'
import { SshServer } from '../../../lib/ssh/server/ssh-server.ts'
import { gatherIdentities, type Identities } from '../../../lib/ssh/client/identities.ts'
import type { SessionOptions } from '../../../lib/ssh/client/ssh-session.ts'

export interface TestKey {
  readonly type: string
  readonly blob: Buffer
  readonly privateText: string
}

export function makeKey(): TestKey {
  const { privateText } = makeHostKey()
  const key = ssh2.utils.parseKey(privateText)
  if (key instanceof Error) throw key
  return { type: key.type, blob: key.getPublicSSH(), privateText }
}

/** Writes `key` as `~/.ssh/id_ed25519` of `home` and reads it back as the only identity. */
export async function identityIn(home: string, key: TestKey): Promise<Identities> {
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 })
  writeFileSync(join(home, '.ssh/id_ed25519'), key.privateText, { mode: 0o600 })
  return await gatherIdentities({ home, files: [], agentSocket: undefined, identitiesOnly: false }, never())
}

/** A promise and what resolves it. */
export function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

export function never(): AbortSignal {
  return new AbortController().signal
}

/** What a test may make of the server's file operations. */
export interface Faults {
  /** Awaited before every write is done. */
  beforeWrite?: (position: number) => Promise<void> | void
  beforeRead?: (position: number) => Promise<void> | void
  /** Reads give no more than this at once. */
  readAtMost?: number
  log: string[]
}

export interface TestServer extends AsyncDisposable {
  readonly port: number
  readonly hostKey: HostKey
  readonly faults: Faults
  readonly connections: ServerConnection[]
}

export interface TestServerOptions {
  readonly dir: string
  readonly accept?: (blob: Buffer) => boolean
  readonly hostKey?: HostKey
  readonly port?: number
  /** Whether the files of `/<name>` are there as frames too, below `/<name>/deflated`. */
  readonly frames?: boolean
}

/** The coordinator's SSH server, with the files of `dir` as its tree, an `echo` subsystem, and one that any data connection may attach to. */
export async function startServer({
  dir,
  accept = () => true,
  hostKey = makeHostKey(),
  port = 0,
  frames = false,
}: TestServerOptions): Promise<TestServer> {
  const stop = new AbortController()
  const faults: Faults = { log: [] }
  const tree = frames ? framedTree(directoryTree(dir, faults)) : directoryTree(dir, faults)
  const connections: ServerConnection[] = []
  const methods = { attach: implement(toCoordinator.attach, () => ({})) }
  const server = await SshServer.open(
    {
      address: '127.0.0.1',
      port,
      hostKey,
      isAuthorised: ({ blob }) => accept(blob),
      onConnection: (connection) => {
        connections.push(connection)
        connection.onSubsystem('sftp', (channel) => void serveSftp(channel, tree, {}, stop.signal))
        connection.onSubsystem('echo', (channel) => channel.pipe(channel))
        connection.onSubsystem('systemsync-rpc', (channel) => void new RpcPeer(channel, { log: silentLog, methods }))
      },
      log: silentLog,
    },
    stop.signal,
  )
  return {
    port: server.port(),
    hostKey,
    faults,
    connections,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await server[Symbol.asyncDispose]()
    },
  }
}

export interface Target {
  readonly port: number
  readonly home: string
  readonly identities: Identities
}

/** Session options for a server on the loopback that is met for the first time. */
export function target({ port, home, identities }: Target): SessionOptions {
  return {
    address: '127.0.0.1',
    port,
    user: 'alice',
    identities,
    knownHosts: [join(home, '.ssh/known_hosts')],
    hostKeyChecking: 'accept-new',
  }
}

/** A TCP proxy that can stop passing anything on, as a dead link does. */
export async function startProxy(
  port: number,
): Promise<{ port: number; freeze: () => void; cut: () => void } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  let frozen = false
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port, noDelay: true })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (data) => {
        if (!frozen) to.write(data)
      })
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        if (!frozen) to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    freeze: () => {
      frozen = true
    },
    cut,
    [Symbol.asyncDispose]: async () => {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** `length` bytes that differ from place to place. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32BE((i * 2_654_435_761) >>> 0, i)
  return bytes
}

export async function textOf(stream: Readable, length: number): Promise<string> {
  let text = ''
  for await (const chunk of stream) {
    text += String(chunk)
    if (text.length >= length) break
  }
  return text
}

/** `tree`, with the files of each directory below its `deflated` once more, as frames. */
function framedTree(tree: ReturnType<typeof directoryTree>): SftpTree {
  const room = new WorkRoom(4)
  const plain = ([folder = '', , ...rest]: readonly string[]) => [folder, ...rest]
  return {
    ...tree,
    openRead: (names) =>
      names[1] === 'deflated' ? readInFrames(tree.openRead(plain(names)), room) : tree.openRead(names),
    openWrite: (names, how) =>
      names[1] === 'deflated' ? writeInFrames(tree.openWrite(plain(names), how), room) : tree.openWrite(names, how),
  }
}

function directoryTree(dir: string, faults: Faults) {
  const place = (names: readonly string[]) => join(dir, ...names)
  const attrsOf = (fd: number): Attrs => {
    const stat = fstatSync(fd)
    return { kind: 'file', size: stat.size, mode: stat.mode & 0o777, mtime: Math.floor(stat.mtimeMs / 1000) }
  }
  const refuse = (): never => {
    throw Object.assign(new Error('not here'), { code: 'EACCES' })
  }
  return {
    stat: (names: readonly string[]) => {
      const fd = openSync(place(names), 'r')
      try {
        return attrsOf(fd)
      } finally {
        closeSync(fd)
      }
    },
    list: refuse,
    rename: refuse,
    makeDirectory: refuse,
    removeDirectory: refuse,
    remove: (names: readonly string[]) => {
      unlinkSync(place(names))
    },
    openRead: (names: readonly string[]): ReadHandle => {
      faults.log.push(`open ${names.join('/')}`)
      const fd = openSync(place(names), 'r')
      return {
        size: fstatSync(fd).size,
        read: async (into, position, length) => {
          faults.log.push(`read ${position} ${length}`)
          await faults.beforeRead?.(position)
          return readSync(fd, into, 0, Math.min(length, faults.readAtMost ?? length), position)
        },
        stat: () => attrsOf(fd),
        close: () => {
          faults.log.push('close')
          closeSync(fd)
        },
      }
    },
    openWrite: (names: readonly string[], how: OpenForWriting): WriteHandle => {
      faults.log.push(`open ${names.join('/')}${how.truncate ? ' truncate' : ''}`)
      const fd = openSync(place(names), 1 | (how.create ? 0o100 : 0) | (how.truncate ? 0o1000 : 0), 0o600)
      return {
        write: async (bytes, position) => {
          faults.log.push(`write ${position} ${bytes.length}`)
          await faults.beforeWrite?.(position)
          writeSync(fd, bytes, 0, bytes.length, position)
        },
        truncate: (size) => {
          ftruncateSync(fd, size)
        },
        sync: () => {
          faults.log.push('sync')
        },
        stat: () => attrsOf(fd),
        close: () => {
          faults.log.push('close')
          closeSync(fd)
        },
      }
    },
  }
}
