// The embedded server with real peers: who gets in, what they get, and what hostile ones cannot do.

import { connect as connectTcp, type Socket } from 'node:net'
import { duplexPair, type Duplex } from 'node:stream'
import ssh2 from 'ssh2'
import t, { type Test } from 'tap'
import { makeHostKey } from '../../../lib/ssh/server/host-key.ts'
import { SshServer } from '../../../lib/ssh/server/ssh-server.ts'
import { silentLog } from '../../../lib/daemon/log.ts'
import { connect, happens, openServer, subsystem } from './ssh-fixture.ts'
import type { ServerConnection } from '../../../lib/ssh/server/server-connection.ts'

const signal = new AbortController().signal

/** Answers each byte with the same byte. */
function echo(connection: ServerConnection): void {
  connection.onSubsystem('systemsync-rpc', (channel) => channel.pipe(channel))
}

function stranger(t: Test, port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  return socket.resume()
}

t.test('a peer with an authorised key reaches a subsystem, and is known by its key', async (t) => {
  const fixture = await openServer(t, { onConnection: echo })
  const client = await connect(t, fixture)
  const channel = await subsystem(client, 'systemsync-rpc')
  channel.write('hello')
  t.equal(String((await once(channel))[0]), 'hello')
  const [connection] = fixture.connections
  t.match(connection, { id: 1, fingerprint: fixture.key.fingerprint, username: 'ann', remoteAddress: '127.0.0.1' })
  client.end()
  await connection?.closed
})

t.test('the client sees the host key, and AEAD ciphers only', async (t) => {
  const fixture = await openServer(t)
  const seen: Buffer[] = []
  const client = await connect(t, fixture, { hostVerifier: (key: Buffer) => seen.push(key) > 0 })
  t.equal(seen[0]?.toString('base64'), fixture.hostKey.publicText.split(' ')[1])
  client.end()
  for (const algorithms of [
    { cipher: ['aes128-ctr'] },
    { compress: ['zlib'] },
    { kex: ['diffie-hellman-group14-sha256'] },
  ]) {
    await t.rejects(connect(t, fixture, { algorithms: algorithms as object }), /no matching/)
  }
})

t.test('a wrong key, a password and no key at all are refused', async (t) => {
  const fixture = await openServer(t)
  const failed = /All configured authentication methods failed/
  await t.rejects(connect(t, fixture, { privateKey: makeHostKey().privateText }), failed)
  const { key, ...keyless } = fixture
  t.ok(key)
  const bare = { ...keyless, key: { ...key, privateText: '' } }
  await t.rejects(connect(t, bare, { privateKey: '', password: 'secret' }), failed)
  await t.rejects(connect(t, bare, { privateKey: '', password: 'secret', tryKeyboard: true }), failed)
  t.same(fixture.connections, [])
})

t.test('a key that is taken away, or cannot be judged any more, ends its connections and no others', async (t) => {
  const taken = new Set<string>()
  let asked = 0
  const fixture = await openServer(t, {
    isAuthorised: ({ fingerprint }, username, address) => {
      if (username === 'spoiled' && asked++ > 2) throw new Error('the question cannot be answered')
      return address === '127.0.0.1' && !taken.has(fingerprint)
    },
    limits: { judgeAgainMs: 20 },
    onConnection: echo,
  })
  const other = makeHostKey()
  const stays = await connect(t, fixture)
  const goes = await connect(t, fixture, { privateKey: other.privateText })
  const spoiled = await connect(t, fixture, { username: 'spoiled' })
  const isGone = happens(goes, 'close')
  await happens(spoiled, 'close')
  taken.add(other.fingerprint)
  await isGone
  await fixture.connections[1]?.closed
  const channel = await subsystem(stays, 'systemsync-rpc')
  channel.write('still here')
  t.equal(String((await once(channel))[0]), 'still here')
  await t.rejects(connect(t, fixture, { privateKey: other.privateText }))
})

t.test('RSA keys log in with SHA-2, and ECDSA keys do', async (t) => {
  const rsa = ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 })
  const ecdsa = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 })
  const fixture = await openServer(t, { isAuthorised: () => Promise.resolve(true) })
  for (const { private: privateKey } of [rsa, ecdsa]) {
    const client = await connect(t, fixture, { privateKey })
    client.end()
  }
  t.equal(fixture.connections.length, 2)
})

t.test('a question that cannot be answered refuses the login, and the next one is asked as ever', async (t) => {
  let fails = true
  const fixture = await openServer(t, {
    isAuthorised: () => {
      if (fails) throw new Error('no disk')
      return true
    },
  })
  await t.rejects(connect(t, fixture), /authentication methods failed/)
  fails = false
  await connect(t, fixture)
})

t.test('after too many attempts the connection is ended', async (t) => {
  const fixture = await openServer(t, { limits: { authTries: 3 } })
  let asked = 0
  const authHandler = () => {
    asked++
    return { type: 'password', username: 'ann', password: `guess ${asked}` }
  }
  await t.rejects(connect(t, fixture, { authHandler: authHandler as never }))
  t.ok(asked >= 3 && asked <= 4, `asked ${asked} times`)
})

t.test('whatever is not a registered subsystem is refused', async (t) => {
  const fixture = await openServer(t, { onConnection: echo })
  const client = await connect(t, fixture)
  await t.rejects(subsystem(client, 'sftp'))
  await t.rejects(subsystem(client, 'unheard-of'))
  await t.rejects(called((done) => client.exec('id', done)))
  await t.rejects(called((done) => client.exec('id', { pty: true }, done)))
  await t.rejects(called((done) => client.exec('id', { env: { A: 'b' } }, done)))
  await t.rejects(called((done) => client.shell(done)))
  await t.rejects(called((done) => client.forwardOut('127.0.0.1', 1, '127.0.0.1', fixture.port, done)))
  await t.rejects(called((done) => client.forwardIn('127.0.0.1', 0, done)))
  await t.rejects(called((done) => client.openssh_forwardOutStreamLocal('/tmp/x', done)))
  t.ok(await subsystem(client, 'systemsync-rpc'), 'and what is registered still works')
})

t.test('the sftp subsystem arrives as a plain channel', async (t) => {
  const handed: Duplex[] = []
  const fixture = await openServer(t, { onConnection: (c) => c.onSubsystem('sftp', (channel) => handed.push(channel)) })
  const client = await connect(t, fixture)
  const channel = await subsystem(client, 'sftp')
  channel.write('raw')
  await turn()
  const [first] = handed
  if (first === undefined) throw new Error('no channel')
  t.equal(String((await once(first))[0]), 'raw')
})

t.test('silent strangers are let in up to the limit, and thrown out after the grace time', async (t) => {
  const { port } = await openServer(t, { limits: { unauthenticatedPerAddress: 3, loginGraceMs: 150 } })
  const silent = [stranger(t, port), stranger(t, port), stranger(t, port)]
  await Promise.all(silent.map((socket) => happens(socket, 'connect')))
  const tooMany = stranger(t, port)
  await happens(tooMany, 'close')
  t.notOk(
    silent.some((socket) => socket.closed),
    'the fourth one is thrown out first',
  )
  await Promise.all(silent.map((socket) => happens(socket, 'close')))
})

t.test('who has logged in counts as no stranger and has no grace time', async (t) => {
  const fixture = await openServer(t, {
    limits: { unauthenticatedPerAddress: 1, loginGraceMs: 400 },
    onConnection: echo,
  })
  const clients = [await connect(t, fixture), await connect(t, fixture)]
  const late = stranger(t, fixture.port)
  await happens(late, 'close')
  for (const client of clients) t.ok(await subsystem(client, 'systemsync-rpc'))
})

t.test('connections are limited in all, and room is made by those that go', async (t) => {
  const fixture = await openServer(t, { limits: { connections: 1 } })
  const client = await connect(t, fixture)
  await t.rejects(connect(t, fixture))
  client.end()
  await fixture.connections[0]?.closed
  await connect(t, fixture)
})

t.test('strangers are limited in all', async (t) => {
  const { port } = await openServer(t, { limits: { unauthenticated: 2 } })
  const silent = [stranger(t, port), stranger(t, port)]
  await Promise.all(silent.map((socket) => happens(socket, 'connect')))
  await happens(stranger(t, port), 'close')
})

t.test('garbage ends its own connection and nothing else', async (t) => {
  const fixture = await openServer(t, { limits: { endGraceMs: 20 }, onConnection: echo })
  const lines = [
    'GET / HTTP/1.1\r\n\r\n',
    'SSH-2.0-x\r\n' + 'z'.repeat(70_000),
    'SSH-1.5-old\r\n',
    '\0'.repeat(300_000),
  ]
  for (const line of lines) {
    const socket = stranger(t, fixture.port)
    socket.write(line)
    await happens(socket, 'close')
  }
  const leaves = stranger(t, fixture.port)
  leaves.write('SSH-2.0-x\r\n')
  await happens(leaves, 'connect')
  leaves.resetAndDestroy()
  const client = await connect(t, fixture)
  t.ok(await subsystem(client, 'systemsync-rpc'))
})

t.test('a peer that closes only its half is cut off', async (t) => {
  const { port } = await openServer(t, { limits: { endGraceMs: 20 } })
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => undefined)
  socket.resume().end('SSH-2.0-x\r\n')
  await happens(socket, 'end')
  t.pass()
})

t.test('channels are limited, and each that closes makes room', async (t) => {
  const fixture = await openServer(t, { limits: { channels: 3 }, onConnection: echo })
  const client = await connect(t, fixture)
  const [first] = await Promise.all([1, 2, 3].map(() => subsystem(client, 'systemsync-rpc')))
  await t.rejects(subsystem(client, 'systemsync-rpc'))
  first?.end()
  if (first !== undefined) await happens(first.resume(), 'close')
  t.ok(await subsystem(client, 'systemsync-rpc'))
})

t.test('a peer that opens sessions without using them is cut off', async (t) => {
  const fixture = await openServer(t, { limits: { emptySessions: 5 } })
  const client = await connect(t, fixture)
  client.on('error', () => undefined)
  const closed = happens(client, 'close')
  const { _protocol } = client as unknown as { _protocol: { channelClose(id: number): void } }
  for (let id = 0; id < 6; id++) {
    await t.rejects(subsystem(client, 'unheard-of'))
    _protocol.channelClose(id) // ssh2's client leaves a session open whose subsystem was refused.
  }
  await closed
})

t.test('a dead client is noticed and its socket destroyed', async (t) => {
  const fixture = await openServer(t, { limits: { keepaliveMs: 20, keepaliveTries: 2 } })
  const tunnel = await tunnelTo(t, fixture.port)
  await connect(t, fixture, { sock: tunnel.client })
  tunnel.stop()
  await fixture.connections[0]?.closed
  t.pass()
})

t.test('keys are renewed while data flows', async (t) => {
  const fixture = await openServer(t, { limits: { rekeyMs: 10 }, onConnection: echo })
  const client = await connect(t, fixture)
  let renewed = 0
  client.on('handshake', () => renewed++)
  const channel = await subsystem(client, 'systemsync-rpc')
  const piece = Buffer.alloc(1024 * 1024, 'abcdefg')
  let rounds = 0
  let at = 0
  let isEqual = true
  channel.on('data', (chunk: Buffer) => {
    isEqual &&= chunk.equals(piece.subarray(at, at + chunk.length))
    at += chunk.length
    if (at < piece.length) return
    at = 0
    rounds++
    if (renewed < 3) channel.write(piece)
    else channel.end()
  })
  channel.write(piece)
  await happens(channel, 'close')
  t.ok(isEqual && rounds > 0)
})

t.test('a writer is held back by a peer that does not read, and goes on when it does', async (t) => {
  const sent = { bytes: 0 }
  const fixture = await openServer(t, {
    onConnection: (connection) => {
      connection.onSubsystem('systemsync-rpc', (channel) => {
        const piece = Buffer.alloc(64 * 1024)
        const pour = () => {
          while (sent.bytes < 32 * 1024 * 1024) {
            sent.bytes += piece.length
            if (!channel.write(piece)) return void channel.once('drain', pour)
          }
          channel.end()
        }
        pour()
      })
    },
  })
  const client = await connect(t, fixture)
  const channel = await subsystem(client, 'systemsync-rpc')
  channel.pause()
  let before = -1
  while (before !== sent.bytes) {
    before = sent.bytes
    for (let i = 0; i < 50; i++) await turn()
  }
  t.ok(sent.bytes < 10 * 1024 * 1024, `sent ${sent.bytes}`)
  let got = 0
  channel.on('data', (chunk: Buffer) => (got += chunk.length)).resume()
  await happens(channel, 'close')
  t.equal(got, 32 * 1024 * 1024)
})

t.test('a reader that is slow holds its peer back by the window', async (t) => {
  const handed: Duplex[] = []
  const fixture = await openServer(t, {
    onConnection: (c) => c.onSubsystem('systemsync-rpc', (channel) => handed.push(channel)),
  })
  const client = await connect(t, fixture)
  const channel = await subsystem(client, 'systemsync-rpc')
  for (let i = 0; i < 256; i++) channel.write(Buffer.alloc(64 * 1024, i))
  for (let i = 0; i < 100; i++) await turn()
  const [served] = handed
  if (served === undefined) throw new Error('no channel')
  t.ok(channel.writableLength > 8 * 1024 * 1024, 'most still waits at the peer')
  channel.end()
  let got = 0
  for await (const chunk of served) got += (chunk as Buffer).length
  t.equal(got, 16 * 1024 * 1024)
})

t.test('a peer that sends more than the window allows is cut off', async (t) => {
  const fixture = await openServer(t, {
    limits: { unreadBytes: 1024 * 1024 },
    onConnection: (c) => c.onSubsystem('systemsync-rpc', () => undefined),
  })
  const client = await connect(t, fixture)
  client.on('error', () => undefined)
  const channel = await subsystem(client, 'systemsync-rpc')
  channel.on('error', () => undefined)
  channel.write(Buffer.alloc(4 * 1024 * 1024)) // 2 MiB of it fit into the window: with this limit, more than allowed.
  await fixture.connections[0]?.closed
  t.pass()
})

t.test('writes fail and the channel closes when the peer goes', async (t) => {
  const handed: Duplex[] = []
  const fixture = await openServer(t, {
    onConnection: (c) => c.onSubsystem('systemsync-rpc', (channel) => handed.push(channel)),
  })
  for (const leave of ['channel', 'connection'] as const) {
    const client = await connect(t, fixture)
    const channel = await subsystem(client, 'systemsync-rpc')
    const served = handed.pop()
    if (served === undefined) throw new Error('no channel')
    channel.pause()
    const failed = new Promise((resolve) => served.write(Buffer.alloc(4 * 1024 * 1024), resolve))
    const closed = happens(served, 'close')
    if (leave === 'channel') channel.close()
    else client.destroy()
    t.ok((await failed) instanceof Error)
    await closed
    t.ok(served.destroyed)
  }
})

t.test('what came before the peer went is still read', async (t) => {
  const handed: Duplex[] = []
  const fixture = await openServer(t, {
    onConnection: (c) => c.onSubsystem('systemsync-rpc', (channel) => handed.push(channel)),
  })
  const client = await connect(t, fixture)
  const channel = await subsystem(client, 'systemsync-rpc')
  channel.end('last words')
  channel.close()
  for (let i = 0; i < 20; i++) await turn()
  const [served] = handed
  let heard = ''
  for await (const chunk of served ?? []) heard += String(chunk)
  t.equal(heard, 'last words')
})

t.test('a channel that the server destroys is closed for the peer too', async (t) => {
  const fixture = await openServer(t, {
    onConnection: (c) => c.onSubsystem('systemsync-rpc', (channel) => void channel.destroy(new Error('enough'))),
  })
  const client = await connect(t, fixture)
  const channel = await subsystem(client, 'systemsync-rpc')
  await happens(channel.resume(), 'close')
  t.pass()
})

t.test('a role that throws loses the channel or the connection, not the process', async (t) => {
  const fixture = await openServer(t, {
    onConnection: (connection) => {
      if (connection.id === 2) throw new Error('a bug')
      connection.onSubsystem('systemsync-rpc', () => {
        throw new Error('a bug')
      })
    },
  })
  const client = await connect(t, fixture)
  const channel = await subsystem(client, 'systemsync-rpc')
  await happens(channel.resume(), 'close')
  const second = await connect(t, fixture)
  await happens(second, 'close')
})

t.test('a connection that is closed tells its peer and resolves `closed`', async (t) => {
  const fixture = await openServer(t)
  const client = await connect(t, fixture)
  const ended = happens(client, 'close')
  fixture.connections[0]?.close()
  await ended
  await fixture.connections[0]?.closed
})

t.test('a server that stops ends its connections and frees the port', async (t) => {
  const fixture = await openServer(t)
  const client = await connect(t, fixture)
  client.on('error', () => undefined)
  const closed = happens(client, 'close')
  const silent = stranger(t, fixture.port)
  await happens(silent, 'connect')
  await fixture.server[Symbol.asyncDispose]()
  await closed
  const again = await SshServer.open({ ...unused(), port: fixture.port, hostKey: fixture.hostKey }, signal)
  await again[Symbol.asyncDispose]()
  await again[Symbol.asyncDispose]()
})

t.test('an aborted signal stops the server', async (t) => {
  const stop = new AbortController()
  const server = await SshServer.open(unused(), stop.signal)
  const socket = stranger(t, server.port())
  await happens(socket, 'connect')
  stop.abort()
  await happens(socket, 'close')
  await t.rejects(SshServer.open(unused(), stop.signal), { name: 'AbortError' })
})

t.test('an address that cannot be listened on is named', async (t) => {
  const { port } = await openServer(t)
  await t.rejects(SshServer.open({ ...unused(), port }, signal), {
    code: 'ADDRESS_IN_USE',
    exitStatus: 75,
    message: `Cannot listen on "127.0.0.1" port ${port}: another program listens there already`,
  })
  await t.rejects(SshServer.open({ ...unused(), address: '192.0.2.1' }, signal), {
    code: 'ADDRESS_NOT_LOCAL',
    exitStatus: 78,
  })
})

function unused() {
  const onConnection = () => undefined
  return {
    address: '127.0.0.1',
    port: 0,
    hostKey: makeHostKey(),
    isAuthorised: () => false,
    onConnection,
    log: silentLog,
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function once(stream: Duplex): Promise<unknown[]> {
  return new Promise((resolve) =>
    stream.once('data', (chunk) => {
      resolve([chunk])
    }),
  )
}

function called(start: (done: (cause: Error | undefined, result?: unknown) => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    start((cause, result) => {
      if (cause === undefined) resolve(result)
      else reject(cause)
    })
  })
}

/** A way to the server that can stop carrying anything. */
async function tunnelTo(t: Test, port: number) {
  const [client, near] = duplexPair()
  const socket = connectTcp(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => undefined)
  await happens(socket, 'connect')
  near.on('data', (chunk: Buffer) => void socket.write(chunk))
  socket.on('data', (chunk: Buffer) => void near.write(chunk))
  const stop = () => {
    near.removeAllListeners('data').pause()
    socket.removeAllListeners('data').pause()
  }
  return { client, stop }
}
