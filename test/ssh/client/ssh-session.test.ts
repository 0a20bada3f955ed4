import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { Unauthorised, Unreachable } from '../../../lib/errors.ts'
import { fingerprintOf } from '../../../lib/ssh/fingerprint.ts'
import { gatherIdentities } from '../../../lib/ssh/client/identities.ts'
import { SshSession } from '../../../lib/ssh/client/ssh-session.ts'
import { identityIn, makeKey, never, startProxy, startServer, target, textOf } from './support.ts'

const key = makeKey()

t.test(
  'a session is opened with a key, carries a subsystem, and ends without an error when it is closed',
  async (t) => {
    const home = t.testdir({})
    const identities = await identityIn(home, key)
    await using server = await startServer({ dir: home, accept: (blob) => blob.equals(key.blob) })
    const notes: string[] = []
    const options = {
      ...target({ port: server.port, home, identities }),
      log: { info: (text: string) => notes.push(text) },
    }
    const session = await SshSession.open(options, never())
    t.equal(session.identity.fingerprint, fingerprintOf(key.blob))
    t.equal(session.identity.publicKeyText.split(' ')[1], key.blob.toString('base64'))
    t.equal(session.hostFingerprint, server.hostKey.fingerprint)
    t.match(notes[0], /trusting the new host key SHA256:/)
    const echo = await session.subsystem('echo')
    echo.write('hello')
    t.equal(await textOf(echo, 5), 'hello')
    await session[Symbol.asyncDispose]()
    t.equal(await session.closed, undefined)
    await t.rejects(session.subsystem('echo'), Unreachable, 'nothing can be asked of it any more')
    t.match(readFileSync(join(home, '.ssh/known_hosts'), 'utf8'), /^\[127\.0\.0\.1\]:\d+ ssh-ed25519 /)
    const again = await SshSession.open(options, never())
    await again[Symbol.asyncDispose]()
    t.equal(notes.length, 1, 'the second time the key is known')
  },
)

t.test('a key that the server refuses is named, with the line that would admit it', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  await using server = await startServer({ dir: home, accept: () => false })
  const failure = await failureOf(SshSession.open(target({ port: server.port, home, identities }), never()))
  t.type(failure, Unauthorised)
  t.match(failure, { retry: 'later', code: 'KEY_REFUSED', message: /tried 1 key: ~\/\.ssh\/id_ed25519/ })
  t.match(failure.hint, key.blob.toString('base64'))
})

t.test('with no key at all the failure says what to do', async (t) => {
  const home = t.testdir({})
  const identities = await gatherIdentities(
    { home, files: [join(home, 'mine')], agentSocket: undefined, identitiesOnly: false },
    never(),
  )
  await using server = await startServer({ dir: home })
  const failure = await failureOf(SshSession.open(target({ port: server.port, home, identities }), never()))
  t.match(failure, { name: 'Unauthorised', message: /had no key to try; "~\/mine" does not exist/, hint: /ssh-keygen/ })
})

t.test('the second key is tried when the first is refused, and is the one that counts', async (t) => {
  const home = t.testdir({})
  const second = makeKey()
  for (const [name, one] of [
    ['a', key],
    ['b', second],
  ] as const)
    writeFileSync(join(home, name), one.privateText, { mode: 0o600 })
  const files = [join(home, 'a'), join(home, 'b')]
  const identities = await gatherIdentities({ home, files, agentSocket: undefined, identitiesOnly: false }, never())
  await using server = await startServer({ dir: home, accept: (blob) => blob.equals(second.blob) })
  await using session = await SshSession.open(target({ port: server.port, home, identities }), never())
  t.equal(session.identity.name, '~/b')
})

t.test('a changed host key stops the connection with the line to remove, and changes nothing', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  await using server = await startServer({ dir: home })
  const file = join(home, '.ssh/known_hosts')
  const old = `# mine\n[127.0.0.1]:${server.port} ssh-ed25519 ${makeKey().blob.toString('base64')}\n`
  writeFileSync(file, old)
  const failure = await failureOf(SshSession.open(target({ port: server.port, home, identities }), never()))
  t.match(failure, { name: 'Unauthorised', code: 'HOST_KEY_CHANGED', retry: 'never' })
  t.match(failure.message, `${file}:2`)
  t.match(failure.hint, `ssh-keygen -R '[127.0.0.1]:${server.port}' -f ${file}`)
  t.equal(readFileSync(file, 'utf8'), old)
  t.equal(server.connections.length, 0, 'no key was shown to it')
})

t.test('with checking on, an unknown host is refused with the line that would make it known', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  await using server = await startServer({ dir: home })
  const options = { ...target({ port: server.port, home, identities }), hostKeyChecking: 'yes' as const }
  const failure = await failureOf(SshSession.open(options, never()))
  t.match(failure, { name: 'Unauthorised', code: 'HOST_KEY_UNKNOWN' })
  const file = join(home, '.ssh/known_hosts')
  t.notOk(existsSync(file))
  const line = /echo '([^']+)'/.exec(failure.hint ?? '')?.[1] ?? ''
  t.match(line, server.hostKey.publicText.split(' ')[1] ?? 'no key')
  writeFileSync(file, `${line}\n`)
  await using session = await SshSession.open(options, never())
  t.ok(session)
})

t.test('a host key that cannot be remembered is not trusted', async (t) => {
  const home = t.testdir({ file: 'not a directory' })
  const identities = await identityIn(home, key)
  await using server = await startServer({ dir: home })
  const options = { ...target({ port: server.port, home, identities }), knownHosts: [join(home, 'absent/known_hosts')] }
  writeFileSync(join(home, 'absent'), '')
  await t.rejects(SshSession.open(options, never()), {
    name: 'Unauthorised',
    message: /Cannot check the host key|Cannot remember the host key/,
  })
})

t.test('nobody at the port, and somebody who does not speak SSH, are unreachable', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  const mute = createServer((socket) => socket.resume().on('error', () => undefined))
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  const { port } = mute.address() as AddressInfo
  const options = { ...target({ port, home, identities }), readyTimeoutMs: 50 }
  await t.rejects(SshSession.open(options, never()), { name: 'Unreachable', retry: 'later', message: /Timed out/ })
  mute.on('connection', (socket) => socket.end('go away\r\n'))
  await t.rejects(SshSession.open({ ...options, readyTimeoutMs: 5000 }, never()), { name: 'Unreachable' })
  await new Promise((resolve) => mute.close(resolve))
  await t.rejects(SshSession.open(options, never()), { name: 'Unreachable', message: /ECONNREFUSED/ })
})

t.test('an abort ends the attempt at once, and later the session', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  const why = new Error('enough')
  const mute = createServer((socket) => socket.resume().on('error', () => undefined))
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  const early = new AbortController()
  mute.on('connection', () => {
    early.abort(why)
  })
  const { port } = mute.address() as AddressInfo
  t.equal(await failureOf(SshSession.open(target({ port, home, identities }), early.signal)), why)
  t.equal(await failureOf(SshSession.open(target({ port, home, identities }), early.signal)), why, 'already aborted')
  await new Promise((resolve) => mute.close(resolve))
  await using server = await startServer({ dir: home })
  const late = new AbortController()
  const session = await SshSession.open(target({ port: server.port, home, identities }), late.signal)
  late.abort()
  t.equal(await session.closed, undefined)
})

t.test('a subsystem that the server lacks is said to be missing', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  await using server = await startServer({ dir: home })
  await using session = await SshSession.open(target({ port: server.port, home, identities }), never())
  await t.rejects(session.subsystem('nothing'), { name: 'Unreachable', message: /Cannot open "nothing"/ })
})

t.test('a cut connection ends the session with a reason, and its channels', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  await using server = await startServer({ dir: home })
  await using proxy = await startProxy(server.port)
  const session = await SshSession.open(target({ port: proxy.port, home, identities }), never())
  const echo = await session.subsystem('echo')
  const over = new Promise((resolve) => echo.resume().on('close', resolve))
  proxy.cut()
  t.match(await session.closed, { name: 'Unreachable', message: /Lost the connection/ })
  await over
})

t.test('a dead link is noticed although nothing is sent over it', async (t) => {
  const home = t.testdir({})
  const identities = await identityIn(home, key)
  await using server = await startServer({ dir: home })
  await using proxy = await startProxy(server.port)
  const session = await SshSession.open({ ...target({ port: proxy.port, home, identities }), keepaliveMs: 20 }, never())
  proxy.freeze()
  t.match(await session.closed, { name: 'Unreachable', message: /Keepalive timeout/ })
})

async function failureOf(attempt: Promise<unknown>): Promise<Error & { hint?: string }> {
  try {
    await attempt
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
  throw new Error('it did not fail')
}
