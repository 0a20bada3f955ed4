// The control socket: how sub-commands reach the daemon of a state directory.

import { once } from 'node:events'
import { chmodSync, closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { z } from 'zod'
import {
  control,
  type ControlMethod,
  type ControlMethods,
  type ControlParams,
  type ControlResult,
} from './control-contract.ts'
import { silentLog, type Log } from '../daemon/log.ts'
import { SyncError, Unreachable } from '../errors.ts'
import type { HostPath } from '../model/path.ts'
import { RpcPeer, type RpcMethod } from '../rpc/peer.ts'

const NAME = 'control.sock'
const MOST_CONNECTIONS = 32
const CALL_TIMEOUT_MS = 600_000

/**
 * Serves `methods` on `<stateDir>/control.sock`, which only this user can open, until it is disposed. The caller holds the lock of the state
 * directory: a socket that lies there is a dead daemon's and is replaced.
 */
export async function serveControl(stateDir: HostPath, methods: ControlMethods, log: Log): Promise<AsyncDisposable> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  rmSync(join(stateDir, NAME), { force: true })
  const short = openShort(stateDir)
  const peers = new Set<RpcPeer>()
  const server = createServer((socket) => {
    const peer = new RpcPeer(socket, { methods: served(methods), log, name: 'control' })
    peers.add(peer)
    void peer.closed.then(() => peers.delete(peer))
  })
  server.maxConnections = MOST_CONNECTIONS
  try {
    await listen(server, short.path)
    chmodSync(join(stateDir, NAME), 0o600)
  } catch (error) {
    short[Symbol.dispose]()
    throw error
  }
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      await Promise.all([...peers].map((peer) => peer[Symbol.asyncDispose]()))
      await closed
      short[Symbol.dispose]()
    },
  }
}

/**
 * Asks the daemon of `stateDir`. Throws `Unreachable` when none runs, `Refused` when it refuses.
 */
export async function callDaemon<Method extends ControlMethod>(
  stateDir: HostPath,
  { method, params }: { method: Method; params: ControlParams<Method> },
  signal: AbortSignal,
): Promise<ControlResult<Method>> {
  const socket = await reach(stateDir)
  if (socket === undefined) {
    throw new Unreachable(`Cannot ask the daemon of "${stateDir}": none is running`, {
      hint: 'Start it: monitor -role server, or monitor -role client',
    })
  }
  await using peer = new RpcPeer(socket, { methods: {}, log: silentLog, timeoutMs: CALL_TIMEOUT_MS })
  const schema: z.ZodType = control[method].result
  return (await peer.call(method, params, schema, signal)) as ControlResult<Method>
}

/** Whether a daemon of `stateDir` runs. */
export async function hasDaemon(stateDir: HostPath): Promise<boolean> {
  const socket = await reach(stateDir)
  socket?.destroy()
  return socket !== undefined
}

async function reach(stateDir: HostPath): Promise<Socket | undefined> {
  try {
    using short = openShort(stateDir)
    const socket = connect(short.path)
    await once(socket, 'connect')
    return socket
  } catch (error) {
    if (isNobody(error)) return undefined
    const why = error instanceof Error ? error.message : String(error)
    throw new SyncError(`Cannot ask the daemon of "${stateDir}": ${why}`, { code: 'CONTROL', cause: error })
  }
}

function isNobody(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR'
}

/** A socket's path has 108 bytes at most (unix(7)); by way of an open directory it always fits. */
function openShort(stateDir: string): Disposable & { readonly path: string } {
  const fd = openSync(stateDir, constants.O_RDONLY | constants.O_DIRECTORY)
  let isOpen = true
  return {
    path: `/proc/self/fd/${String(fd)}/${NAME}`,
    [Symbol.dispose]: () => {
      if (isOpen) closeSync(fd)
      isOpen = false
    },
  }
}

/** The socket is made with rights for its owner only, from the first instant. */
async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
  await once(server, 'listening')
}

function served(methods: ControlMethods): Record<string, RpcMethod> {
  const entries = Object.entries(control).map(([name, schemas]): [string, RpcMethod] => {
    const run = methods[name as ControlMethod] as (params: unknown, signal: AbortSignal) => unknown
    return [name, { ...schemas, run: (params, { signal }) => run(params, signal) }]
  })
  return Object.fromEntries(entries)
}
