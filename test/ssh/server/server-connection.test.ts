// What one connection does with a socket that does not drain, and with time.

import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Connection } from 'ssh2'
import t from 'tap'
import { silentLog } from '../../../lib/daemon/log.ts'
import { SERVER_LIMITS } from '../../../lib/ssh/server/limits.ts'
import { endSoon, ServerConnection } from '../../../lib/ssh/server/server-connection.ts'

/** A socket of which only what the connection looks at is there. */
class FakeSocket extends EventEmitter {
  writableLength = 0
  readonly calls: string[] = []
  pause = () => void this.calls.push('pause')
  resume = () => void this.calls.push('resume')
  destroy = () => void this.calls.push('destroy')
}

function setUp() {
  const socket = new FakeSocket()
  const timers: { ms: number; fn: () => void }[] = []
  const rekeys: ((cause?: Error) => void)[] = []
  const client = Object.assign(new EventEmitter(), {
    rekey: (done: (cause?: Error) => void) => rekeys.push(done),
    end: () => socket.calls.push('end'),
  })
  const clock = {
    after: (ms: number, fn: () => void) => {
      const timer = { ms, fn }
      timers.push(timer)
      return { [Symbol.dispose]: () => void timers.splice(timers.indexOf(timer), 1) }
    },
  }
  const parts = { client: client as unknown as Connection, socket: socket as unknown as Socket, clock, log: silentLog }
  const peer = { id: 1, fingerprint: 'SHA256:x', username: 'ann', remoteAddress: '127.0.0.1' }
  const connection = new ServerConnection(peer, { ...parts, limits: SERVER_LIMITS })
  return { socket, timers, rekeys, connection, clock }
}

t.test('a peer that asks without reading the answers is not read until it does', (t) => {
  const { socket } = setUp()
  socket.writableLength = SERVER_LIMITS.stalledBytes
  socket.emit('data')
  t.same(socket.calls, [])
  socket.writableLength++
  socket.emit('data')
  socket.emit('data')
  t.same(socket.calls, ['pause'])
  socket.emit('drain')
  socket.emit('drain')
  t.same(socket.calls, ['pause', 'resume'])
  t.end()
})

t.test('keys are renewed every hour, also after a renewal that failed, and not after the end', async (t) => {
  const { socket, timers, rekeys, connection } = setUp()
  t.equal(timers[0]?.ms, 3_600_000)
  timers.shift()?.fn()
  rekeys[0]?.(new Error('busy'))
  t.equal(timers.length, 1)
  timers.shift()?.fn()
  t.equal(rekeys.length, 2)
  socket.emit('close')
  t.same(timers, [])
  await connection.closed
})

t.test('a connection that is closed says goodbye, and is cut off if the peer stays', (t) => {
  const { socket, timers, connection } = setUp()
  connection.close()
  t.same(socket.calls, ['end'])
  timers.find(({ ms }) => ms === SERVER_LIMITS.endGraceMs)?.fn()
  t.same(socket.calls, ['end', 'destroy'])
  t.end()
})

t.test('a peer that goes in time is not cut off', (t) => {
  const { socket, timers, clock } = setUp()
  endSoon(socket as unknown as Socket, 5, clock)
  socket.emit('close')
  t.same(timers, [])
  t.end()
})
