// The network of a measurement: how clients reach the coordinator, and how many bytes that took.

import { fork, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { LinkKind, OpenWay, RelayAnswer } from './relay.ts'

/** The network between the clients and the coordinator. */
export interface Wire extends AsyncDisposable {
  /** How the bytes are counted. */
  readonly how: string
  /** Its own process, which is no part of what a contender costs. */
  readonly pids: readonly number[]
  /** The port by which the client `name` reaches `port` of the coordinator (or the other way round). */
  way(name: string, port: number): Promise<number>
  /** Bytes carried so far, both directions, all clients. */
  bytes(): Promise<number>
}

/** A link of 20 ms round trip and 100 Mbit/s. */
export const SLOW_LINK: LinkKind = { oneWayMs: 10, bytesPerSecond: 100e6 / 8 }

/** The plain loopback of a network that is all ours: the kernel counts, nothing is in the way. */
export function loopbackWire(): Wire {
  return {
    how: 'bytes sent on the loopback of a network namespace of its own, TCP and IP headers included',
    pids: [],
    way: async (_name, port) => port,
    bytes: async () => loopbackBytes(),
    [Symbol.asyncDispose]: async () => {},
  }
}

/** Everything goes through a relay process that counts and, if `kind` says so, delays. */
export function relayWire(kind: LinkKind): Wire {
  const child = fork(new URL('relay-main.js', import.meta.url), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const state = { carriedBytes: 0 }
  child.on('message', (message) => {
    const answer = message as RelayAnswer
    if ('carriedBytes' in answer) state.carriedBytes = answer.carriedBytes
  })
  return {
    how: 'TCP payload through a relay process',
    pids: [child.pid ?? 0],
    way: (link, port) => askWay(child, { link, port, kind }),
    bytes: async () => {
      await new Promise((resolve) => setTimeout(resolve, 150))
      return state.carriedBytes
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    },
  }
}

function askWay(child: ChildProcess, ask: OpenWay): Promise<number> {
  return new Promise((resolve, reject) => {
    const hear = (message: unknown) => {
      const answer = message as RelayAnswer
      if (!('listening' in answer)) return
      child.off('message', hear)
      resolve(answer.listening)
    }
    child.on('message', hear)
    child.once('exit', () => reject(new Error('Cannot open a way: the relay has ended')))
    child.send(ask)
  })
}

/** /proc/net/dev: after the name 8 fields of what came in, then the bytes that went out. */
function loopbackBytes(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((text) => text.trim().startsWith('lo:'))
  return Number(line?.split(':')[1]?.trim().split(/\s+/)[8] ?? Number.NaN)
}

/** A port nobody listens on right now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
