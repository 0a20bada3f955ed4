import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  describeTried,
  gatherIdentities,
  type Identities,
  type IdentitySources,
} from '../../../lib/ssh/client/identities.ts'
import { SshSession } from '../../../lib/ssh/client/ssh-session.ts'
import { never, startServer, target } from './support.ts'

t.test('without configured files the usual ones are taken, in order, and missing ones not mentioned', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  keygen(join(home, '.ssh/id_rsa'), 'rsa')
  keygen(join(home, '.ssh/id_ed25519'), 'ed25519')
  const found = await gather(home)
  t.same(names(found), ['~/.ssh/id_ed25519', '~/.ssh/id_rsa'])
  t.same(found.skipped, [])
  const publicText = readFileSync(join(home, '.ssh/id_ed25519.pub'), 'utf8').trim()
  t.equal(found.usable[0]?.publicKeyText, publicText)
  t.match(
    execFileSync('ssh-keygen', ['-lf', join(home, '.ssh/id_ed25519.pub')], { encoding: 'utf8' }),
    found.usable[0]?.fingerprint ?? 'none',
  )
})

t.test('a configured file is the only one, and is said to be missing when it is', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  keygen(join(home, '.ssh/id_ed25519'), 'ed25519')
  keygen(join(home, 'work'), 'ed25519')
  const found = await gather(home, { files: [join(home, 'work'), join(home, 'gone'), '/nowhere/key'] })
  t.same(names(found), ['~/work'])
  t.match(found.skipped, [
    { name: '~/gone', reason: 'does not exist' },
    { name: '/nowhere/key', reason: 'does not exist' },
  ])
})

t.test('keys that cannot be used are skipped, each with a reason that helps', async (t) => {
  const home = t.testdir({ dir: {}, rubbish: 'hello' })
  keygen(join(home, 'locked'), 'ed25519', ['-N', 'secret'])
  keygen(join(home, 'locked-pem'), 'rsa', ['-m', 'PEM', '-N', 'secret'])
  keygen(join(home, 'pkcs8'), 'rsa', ['-m', 'PKCS8'])
  keygen(join(home, 'pub'), 'ed25519')
  const files = ['locked', 'locked-pem', 'pkcs8', 'pub.pub', 'dir', 'rubbish'].map((name) => join(home, name))
  const found = await gather(home, { files })
  t.same(found.usable, [])
  const protectedKey = 'is protected by a passphrase: add it to an agent with ssh-add'
  t.match(found.skipped, [
    { name: '~/locked', reason: protectedKey },
    { name: '~/locked-pem', reason: protectedKey },
    { name: '~/pkcs8', reason: /PKCS#8.*ssh-keygen -p -f/ },
    { name: '~/pub.pub', reason: /is a public key/ },
    { name: '~/dir', reason: /cannot be read: EISDIR/ },
    { name: '~/rubbish', reason: /is not a key that can be used/ },
  ])
})

t.test('the advice for a PKCS#8 key works', async (t) => {
  const home = t.testdir({})
  keygen(join(home, 'key'), 'rsa', ['-m', 'PKCS8'])
  execFileSync('ssh-keygen', ['-q', '-p', '-N', '', '-f', join(home, 'key')], { stdio: 'ignore' })
  t.same(names(await gather(home, { files: [join(home, 'key')] })), ['~/key'])
})

t.test('the agent’s keys come first, and a protected key in a file is used through it', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  await using agent = await startAgent()
  keygen(join(home, 'other'), 'ed25519')
  keygen(join(home, '.ssh/id_ecdsa'), 'ecdsa', ['-N', 'secret'])
  keygen(join(home, '.ssh/id_rsa'), 'rsa')
  agent.add(join(home, 'other'))
  agent.add(join(home, '.ssh/id_ecdsa'), 'secret')
  const found = await gather(home, { agentSocket: agent.socket })
  const [ecdsa, other] = [fingerprint(join(home, '.ssh/id_ecdsa')), fingerprint(join(home, 'other'))]
  t.same(
    names(found),
    [`agent ${ecdsa}`, `agent ${other}`, '~/.ssh/id_rsa'],
    'a key that is configured before one that is not',
  )
  t.same(found.skipped, [])
  const only = await gather(home, { agentSocket: agent.socket, identitiesOnly: true, files: [join(home, 'other')] })
  t.same(names(only), [`agent ${other}`])
})

t.test('a key whose private half only the agent has is named by its public file', async (t) => {
  const home = t.testdir({})
  await using agent = await startAgent()
  keygen(join(home, 'token'), 'ed25519')
  agent.add(join(home, 'token'))
  rmSync(join(home, 'token'))
  const options = { agentSocket: agent.socket, identitiesOnly: true }
  const wanted = [`agent ${fingerprint(join(home, 'token'))}`]
  t.same(names(await gather(home, { ...options, files: [join(home, 'token')] })), wanted)
  t.same(names(await gather(home, { ...options, files: [join(home, 'token.pub')] })), wanted)
})

t.test('an agent full of keys leaves room for the key in a file, and six tries are the limit', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  await using agent = await startAgent()
  for (let i = 0; i < 7; i++) {
    keygen(join(home, `k${i}`), 'ed25519')
    agent.add(join(home, `k${i}`))
  }
  keygen(join(home, '.ssh/id_rsa'), 'rsa')
  const found = await gather(home, { agentSocket: agent.socket })
  t.equal(found.usable.at(-1)?.name, '~/.ssh/id_rsa')
  t.equal(found.usable.length, 5, 'an RSA key may cost two tries')
  const all = await gather(home, {
    agentSocket: agent.socket,
    files: Array.from({ length: 7 }, (_, i) => join(home, `k${i}`)),
  })
  t.equal(all.usable.length, 6)
})

t.test('an agent that is gone, or does not speak, is one reason more and no failure', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  keygen(join(home, '.ssh/id_ed25519'), 'ed25519')
  const gone = await gather(home, { agentSocket: join(home, 'no.sock') })
  t.same(names(gone), ['~/.ssh/id_ed25519'])
  t.match(gone.skipped, [{ name: join(home, 'no.sock'), reason: /did not answer as an agent/ }])
  const dir = mkdtempSync(join(tmpdir(), 'mute-'))
  const mute = createServer(() => undefined)
  await new Promise<void>((resolve) => mute.listen(join(dir, 's'), resolve))
  const control = new AbortController()
  mute.on('connection', (socket) => {
    socket.resume()
    control.abort(new Error('enough'))
  })
  await t.rejects(gather(home, { agentSocket: join(dir, 's') }, control.signal), /enough/)
  await new Promise((resolve) => mute.close(resolve))
  rmSync(dir, { recursive: true })
})

t.test('a login with a key of the agent says which key it was', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  await using agent = await startAgent()
  for (const name of ['wrong', 'right']) {
    keygen(join(home, name), name === 'right' ? 'rsa' : 'ed25519', ['-N', 'secret'])
    agent.add(join(home, name), 'secret')
  }
  const identities = await gather(home, { agentSocket: agent.socket })
  const right = fingerprint(join(home, 'right'))
  const blob = identities.usable.find((identity) => identity.fingerprint === right)?.blob
  await using server = await startServer({ dir: home, accept: (offered) => blob?.equals(offered) === true })
  await using session = await SshSession.open(target({ port: server.port, home, identities }), never())
  t.equal(session.identity.fingerprint, right)
})

t.test('an agent that loses the key before it signs does not end the login', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  await using agent = await startAgent()
  keygen(join(home, 'lost'), 'ed25519')
  agent.add(join(home, 'lost'))
  keygen(join(home, '.ssh/id_ed25519'), 'ed25519')
  const identities = await gather(home, { agentSocket: agent.socket })
  agent.clear()
  await using server = await startServer({ dir: home })
  await using session = await SshSession.open(target({ port: server.port, home, identities }), never())
  t.equal(session.identity.name, '~/.ssh/id_ed25519')
})

t.test('what was tried reads as a sentence', async (t) => {
  const home = t.testdir({ '.ssh': {} })
  keygen(join(home, '.ssh/id_ed25519'), 'ed25519')
  keygen(join(home, '.ssh/id_rsa'), 'rsa')
  const { usable } = await gather(home)
  t.equal(describeTried(usable, []), 'tried 2 keys: ~/.ssh/id_ed25519, ~/.ssh/id_rsa')
  t.equal(describeTried([], [{ name: '~/k', reason: 'does not exist' }]), 'had no key to try; "~/k" does not exist')
})

async function gather(home: string, sources: Partial<IdentitySources> = {}, signal = never()): Promise<Identities> {
  return await gatherIdentities({ home, files: [], agentSocket: undefined, identitiesOnly: false, ...sources }, signal)
}

function names(found: Identities): string[] {
  return found.usable.map((identity) => identity.name)
}

function keygen(file: string, type: string, more: readonly string[] = []): void {
  const passphrase = more.includes('-N') ? [] : ['-N', '']
  const bits = type === 'rsa' ? ['-b', '2048'] : []
  execFileSync(
    'ssh-keygen',
    ['-q', '-t', type, ...bits, '-C', `${type} of a test`, ...passphrase, ...more, '-f', file],
    { stdio: 'ignore' },
  )
}

function fingerprint(file: string): string {
  return execFileSync('ssh-keygen', ['-lf', `${file}.pub`], { encoding: 'utf8' }).split(' ')[1] ?? ''
}

interface Agent extends AsyncDisposable {
  readonly socket: string
  readonly add: (file: string, passphrase?: string) => void
  readonly clear: () => void
}

async function startAgent(): Promise<Agent> {
  const dir = mkdtempSync(join(tmpdir(), 'agent-'))
  const socket = join(dir, 's')
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
  await new Promise((resolve) => agent.stdout.once('data', resolve))
  const exited = new Promise((resolve) => agent.once('exit', resolve))
  const askpass = join(dir, 'askpass')
  return {
    socket,
    add: (file, passphrase = '') => {
      writeFileSync(askpass, `#!/bin/sh\necho '${passphrase}'\n`)
      chmodSync(askpass, 0o700)
      const env = {
        ...process.env,
        SSH_AUTH_SOCK: socket,
        SSH_ASKPASS: askpass,
        SSH_ASKPASS_REQUIRE: 'force',
        DISPLAY: ':0',
      }
      const copy = join(dir, 'key')
      copyFileSync(file, copy)
      chmodSync(copy, 0o600)
      execFileSync('ssh-add', ['-q', copy], { env, stdio: 'ignore' })
    },
    clear: () => {
      execFileSync('ssh-add', ['-q', '-D'], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' })
    },
    [Symbol.asyncDispose]: async () => {
      agent.kill()
      await exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
