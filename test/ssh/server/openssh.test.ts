// The tools of OpenSSH, and ssh2's client, against the embedded server: what people will use beside our own client.

import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Client, SFTPWrapper } from 'ssh2'
import t, { type Test } from 'tap'
import { hostPath } from '../../../lib/model/path.ts'
import { jail } from '../../../lib/ssh/server/jail.ts'
import type { ServerConnection } from '../../../lib/ssh/server/server-connection.ts'
import { serveSftp } from '../../../lib/ssh/server/sftp-server.ts'
import { connect, openServer, skipWithout, type Fixture } from './ssh-fixture.ts'

const SHA = 'ab' + '0'.repeat(62)

interface Place extends Fixture {
  readonly dir: string
  readonly own: string
}

async function setUp(t: Test): Promise<Place> {
  const dir = t.testdir({
    docs: { '.systemsync': { objects: { ab: { [SHA]: 'object' } }, packs: {}, staging: {} } },
  })
  const folders = () => [{ name: 'docs', root: hostPath(`${dir}/docs`) }]
  const signal = new AbortController().signal
  const onConnection = (connection: ServerConnection) => {
    connection.onSubsystem('sftp', (channel) => void serveSftp(channel, jail({ folders, client: 'ann' }), {}, signal))
    connection.onSubsystem('systemsync-rpc', (channel) => channel.pipe(channel))
  }
  const fixture = await openServer(t, { onConnection })
  writeFileSync(`${dir}/id`, fixture.key.privateText, { mode: 0o600 })
  writeFileSync(`${dir}/known_hosts`, `[127.0.0.1]:${fixture.port} ${fixture.hostKey.publicText}\n`)
  return { ...fixture, dir, own: `${dir}/docs/.systemsync` }
}

/** Runs one of OpenSSH's programs with nothing of this machine's own configuration. */
function run(program: string, { dir }: Place, args: readonly string[], input = '') {
  const options = ['IdentitiesOnly=yes', 'IdentityAgent=none', 'BatchMode=yes', `UserKnownHostsFile=${dir}/known_hosts`]
  const all = ['-F', '/dev/null', '-i', `${dir}/id`, ...options.flatMap((option) => ['-o', option]), ...args]
  const child = spawn(program, all, { stdio: 'pipe' })
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  let out = ''
  child.stdout.on('data', (chunk) => (out += String(chunk)))
  child.stderr.on('data', (chunk) => (out += String(chunk)))
  return new Promise<{ status: number | null; out: string }>((resolve) => {
    child.on('close', (status) => {
      resolve({ status, out })
    })
  })
}

t.test('OpenSSH sftp puts, lists, gets, renames and removes', skipWithout('sftp'), async (t) => {
  const place = await setUp(t)
  const { dir, own, port } = place
  const bytes = randomBytes(1_000_000)
  writeFileSync(`${dir}/local`, bytes)
  const batch = [
    'cd docs/staging/ann',
    `put ${dir}/local one`,
    'rename one two',
    'ls -l',
    `put ${dir}/local three`,
    'chmod 644 three',
    'rm three',
    `get two ${dir}/back`,
    `get /docs/objects/${SHA} ${dir}/object`,
    '-mkdir sub',
    '-ls ../../../..',
  ]
  const { status, out } = await run(
    'sftp',
    place,
    ['-P', String(port), '-b', '-', 'ann@127.0.0.1'],
    `${batch.join('\n')}\n`,
  )
  t.equal(status, 0, out)
  t.match(out, /-rw------- .* 1000000 .* two/)
  t.ok(readFileSync(`${dir}/back`).equals(bytes))
  t.ok(readFileSync(`${own}/staging/ann/two`).equals(bytes))
  t.equal(readFileSync(`${dir}/object`, 'utf8'), 'object')
})

t.test('OpenSSH ssh -s reaches the RPC subsystem and exits with 0', skipWithout('ssh'), async (t) => {
  const place = await setUp(t)
  const target = ['-p', String(place.port), '-s', 'ann@127.0.0.1']
  t.same(await run('ssh', place, [...target, 'systemsync-rpc'], 'hello\n'), { status: 0, out: 'hello\n' })
  t.match(await run('ssh', place, [...target, 'unheard-of']), { status: 255 })
})

t.test('OpenSSH ssh gets no shell, no command and no forwarding', skipWithout('ssh'), async (t) => {
  const place = await setUp(t)
  const target = ['-p', String(place.port), 'ann@127.0.0.1']
  t.match(await run('ssh', place, [...target, 'id']), { status: 255 })
  t.match(await run('ssh', place, ['-tt', ...target]), { status: 255 })
  t.match(await run('ssh', place, ['-o', 'ExitOnForwardFailure=yes', '-N', '-R', '0:127.0.0.1:1', ...target]), {
    status: 255,
  })
  t.match(await run('ssh', place, ['-W', `127.0.0.1:${place.port}`, ...target]), { status: 255 })
})

t.test('OpenSSH renews the keys under a transfer', skipWithout('sftp'), async (t) => {
  const place = await setUp(t)
  const bytes = randomBytes(4_000_000)
  writeFileSync(`${place.dir}/local`, bytes)
  const args = ['-o', 'RekeyLimit=500K', '-P', String(place.port), '-b', '-', 'ann@127.0.0.1']
  const batch = `put ${place.dir}/local docs/staging/ann/x\nget docs/staging/ann/x ${place.dir}/back\n`
  t.match(await run('sftp', place, args, batch), { status: 0 })
  t.ok(readFileSync(`${place.dir}/back`).equals(bytes))
})

t.test("ssh2's client puts and gets 8 MiB, and finds the extensions", async (t) => {
  const place = await setUp(t)
  const client = await connect(t, place)
  const sftp = await openSftp(client)
  const bytes = randomBytes(8 * 1024 * 1024)
  writeFileSync(`${place.dir}/local`, bytes)
  const remote = '/docs/staging/ann/big'
  await done((call) => sftp.fastPut(`${place.dir}/local`, remote, { chunkSize: 131_043, concurrency: 16 }, call))
  t.equal(sha(readFileSync(`${place.own}/staging/ann/big`)), sha(bytes))
  await done((call) => sftp.ext_openssh_rename(remote, `${remote}.done`, call))
  await done((call) =>
    sftp.fastGet(`${remote}.done`, `${place.dir}/back`, { chunkSize: 131_072, concurrency: 16 }, call),
  )
  t.equal(sha(readFileSync(`${place.dir}/back`)), sha(bytes))
  const handle = await new Promise<Buffer>((resolve, reject) => {
    sftp.open(`${remote}.done`, 'r+', (cause, opened) => {
      if (cause === undefined) resolve(opened)
      else reject(cause)
    })
  })
  t.equal(handle.length, 4)
  await done((call) => sftp.ext_openssh_fsync(handle, call))
  await done((call) => sftp.close(handle, call))
  await t.rejects(
    done((call) => sftp.unlink(`/docs/objects/${SHA}`, call)),
    /Permission denied/,
  )
})

function openSftp(client: Client): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    client.sftp((cause, sftp) => {
      if (cause === undefined) resolve(sftp)
      else reject(cause)
    })
  })
}

function done(start: (call: (cause?: Error | null) => void) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    start((cause) => {
      if (cause) reject(cause)
      else resolve()
    })
  })
}

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
