// The session against the machine's own sshd, where one is installed: a throw-away configuration, on the loopback.

import { execFileSync, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { gatherIdentities } from '../../../lib/ssh/client/identities.ts'
import { SshSession, type SessionOptions } from '../../../lib/ssh/client/ssh-session.ts'
import { never, pattern, textOf } from './support.ts'

const SSHD = '/usr/sbin/sshd'
const skip = whyNot()

t.test('files go out and come back through a real sshd', { skip }, async (t) => {
  await using sshd = await startSshd(t)
  await using session = await SshSession.open(sshd.options, never())
  await using sftp = await session.sftp()
  const bytes = pattern(3_000_001)
  writeFileSync(join(sshd.dir, 'local'), bytes)
  const fd = openSync(join(sshd.dir, 'local'), 'r')
  await sftp.putFile(`${sshd.dir}/remote`, fd, { from: 0, size: bytes.length }, never())
  closeSync(fd)
  await sftp.syncFile(`${sshd.dir}/remote`, never())
  t.ok(readFileSync(join(sshd.dir, 'remote')).equals(bytes))
  const [part] = await sftp.getRanges(`${sshd.dir}/remote`, [{ offset: 1_000_000, length: 500_000 }], never())
  t.ok(Buffer.from(part ?? []).equals(bytes.subarray(1_000_000, 1_500_000)))
  await sftp.putBytes(`${sshd.dir}/small`, Buffer.from('small'), never())
  t.equal(readFileSync(join(sshd.dir, 'small'), 'utf8'), 'small')
  t.equal(await sftp.size(`${sshd.dir}/absent`, never()), undefined)
  await t.rejects(sftp.putBytes(`${sshd.dir}/absent/x`, Buffer.from('x'), never()), { name: 'Refused', status: 404 })
  await sftp.remove(`${sshd.dir}/small`, never())
  t.notOk(existsSync(join(sshd.dir, 'small')))
})

t.test('the coordinator’s socket is reached through sshd', { skip }, async (t) => {
  await using sshd = await startSshd(t)
  const path = join(sshd.dir, 'rpc.sock')
  const server = createServer((socket) => socket.end('hello'))
  await new Promise<void>((resolve) => server.listen(path, resolve))
  await using session = await SshSession.open(sshd.options, never())
  t.equal(await textOf(await session.unixSocket(path), 5), 'hello')
  await t.rejects(session.unixSocket(join(sshd.dir, 'no.sock')), { name: 'Unreachable' })
  await new Promise((resolve) => server.close(resolve))
})

t.test('a host key of a type that is known is asked for, even when it is not the best one', { skip }, async (t) => {
  await using sshd = await startSshd(t)
  const known = readFileSync(join(sshd.dir, 'host_ecdsa.pub'), 'utf8').split(' ').slice(0, 2).join(' ')
  writeFileSync(join(sshd.dir, 'known_hosts'), `[127.0.0.1]:${sshd.options.port} ${known}\n`)
  await using session = await SshSession.open({ ...sshd.options, hostKeyChecking: 'yes' }, never())
  const print = execFileSync('ssh-keygen', ['-lf', join(sshd.dir, 'host_ecdsa.pub')], { encoding: 'utf8' })
  t.match(print, session.hostFingerprint)
})

t.test('a server behind a jump host is reached, and both host keys are checked', { skip }, async (t) => {
  await using gate = await startSshd(t)
  await using sshd = await startSshd(t)
  const session = await SshSession.open({ ...sshd.options, proxyJump: [gate.options] }, never())
  await using sftp = await session.sftp()
  await sftp.putBytes(`${sshd.dir}/far`, pattern(300_000), never())
  t.ok(readFileSync(join(sshd.dir, 'far')).equals(pattern(300_000)))
  for (const { dir, options } of [gate, sshd])
    t.match(readFileSync(join(dir, 'known_hosts'), 'utf8'), `:${options.port} `)
  await session[Symbol.asyncDispose]()
  t.equal(await session.closed, undefined)
  const wrong = { ...sshd.options, port: await freePort() }
  await t.rejects(SshSession.open({ ...wrong, proxyJump: [gate.options] }, never()), {
    name: 'Unreachable',
    message: /through 127\.0\.0\.1/,
  })
  writeFileSync(join(gate.dir, 'known_hosts'), '')
  const strict = { ...gate.options, hostKeyChecking: 'yes' as const }
  await t.rejects(SshSession.open({ ...sshd.options, proxyJump: [strict] }, never()), { code: 'HOST_KEY_UNKNOWN' })
})

t.test('sshd that refuses every key is said to have refused them', { skip }, async (t) => {
  await using sshd = await startSshd(t)
  writeFileSync(join(sshd.dir, 'authorized_keys'), '')
  await t.rejects(SshSession.open(sshd.options, never()), {
    name: 'Unauthorised',
    code: 'KEY_REFUSED',
    message: /tried 1 key/,
  })
})

t.test('sshd that hangs up after too many keys is said to have refused them', { skip }, async (t) => {
  await using sshd = await startSshd(t, ['MaxAuthTries 1'])
  writeFileSync(join(sshd.dir, 'authorized_keys'), '')
  const files = ['k1', 'k2'].map((name) => join(sshd.dir, name))
  for (const file of files) keygen(file)
  const identities = await gatherIdentities(
    { home: sshd.dir, files, agentSocket: undefined, identitiesOnly: false },
    never(),
  )
  await t.rejects(SshSession.open({ ...sshd.options, identities }, never()), {
    name: 'Unauthorised',
    code: 'KEY_REFUSED',
  })
})

t.test('sshd stopped in the middle fails what waits', { skip }, async (t) => {
  await using sshd = await startSshd(t)
  const session = await SshSession.open({ ...sshd.options, keepaliveMs: 20 }, never())
  await using sftp = await session.sftp()
  sshd.pause()
  await t.rejects(sftp.size(`${sshd.dir}/local`, never()), { name: 'Unreachable' })
  t.match(await session.closed, { name: 'Unreachable', message: /Keepalive/ })
})

interface Sshd extends AsyncDisposable {
  readonly dir: string
  readonly options: SessionOptions
  /** Stops every process of the server where it is. */
  readonly pause: () => void
}

async function startSshd(t: Test, more: readonly string[] = []): Promise<Sshd> {
  const dir = mkdtempSync(join(tmpdir(), 'sshd-'))
  const port = await freePort()
  for (const type of ['ed25519', 'ecdsa']) keygen(join(dir, `host_${type}`), type)
  keygen(join(dir, 'me'))
  writeFileSync(join(dir, 'authorized_keys'), readFileSync(join(dir, 'me.pub')), { mode: 0o600 })
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${dir}/host_ed25519`,
    `HostKey ${dir}/host_ecdsa`,
    `AuthorizedKeysFile ${dir}/authorized_keys`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    `PidFile ${dir}/pid`,
    'Subsystem sftp internal-sftp',
    ...more,
  ]
  writeFileSync(join(dir, 'config'), `${config.join('\n')}\n`)
  const daemon = spawn(SSHD, ['-D', '-e', '-f', join(dir, 'config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = new Promise((resolve) => daemon.once('exit', resolve))
  await new Promise<void>((resolve, reject) => {
    daemon.stderr.on('data', (text) => {
      if (String(text).includes('Server listening')) resolve()
    })
    daemon.once('exit', () => {
      reject(new Error('sshd did not start'))
    })
  })
  const identities = await gatherIdentities(
    { home: dir, files: [join(dir, 'me')], agentSocket: undefined, identitiesOnly: false },
    never(),
  )
  t.equal(identities.usable.length, 1)
  const pid = daemon.pid
  if (pid === undefined) throw new Error('sshd did not start')
  return {
    dir,
    options: {
      address: '127.0.0.1',
      port,
      user: userInfo().username,
      identities,
      knownHosts: [join(dir, 'known_hosts')],
      hostKeyChecking: 'accept-new',
    },
    pause: () => {
      for (const one of [pid, ...descendants(pid)]) process.kill(one, 'SIGSTOP')
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of [pid, ...descendants(pid)]) killQuietly(one)
      await exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return children.flatMap((child) => [child, ...descendants(child)])
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

function keygen(file: string, type = 'ed25519'): void {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', file], { stdio: 'ignore' })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function whyNot(): string | false {
  if (!existsSync(SSHD)) return 'sshd is not installed'
  if (userInfo().uid === 0 && !existsSync('/run/sshd')) {
    try {
      mkdirSync('/run/sshd', { mode: 0o755 })
    } catch {
      return 'sshd has no /run/sshd to run in'
    }
  }
  return false
}
