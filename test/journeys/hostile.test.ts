// Journeys with strangers and liars: a clear refusal, the coordinator lives, nothing outside the folders changes.
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type JourneyNode, type Ran, collect, environment, pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import { RpcClient, sshOptions } from '../support/rpc-client.ts'
import { sha256, treeOf } from '../support/trees.ts'

const j = await Journey.open(t, {
  clients: ['a', 'b', 'stranger'],
  folders: ['docs', 'private'],
  options: { docs: ['clients = a, b'], private: ['clients = a'] },
  strangers: ['stranger'],
})
const [server, a, b, stranger] = [j.server, j.client('a'), j.client('b'), j.client('stranger')]
const trio = [server, a, b]
writeFileSync(join(j.dir, 'outside'), 'untouched')
a.put('public.txt', 'for all')
const hidden = 'for a alone '.repeat(10_000)
a.put('hidden.txt', hidden, 'private')
for (const node of trio) await node.start()
await j.inStep({ nodes: trio })
await j.inStep({ nodes: [server, a], folder: 'private' })

const noSsh = spawnSync('sftp', ['-h']).error !== undefined && 'OpenSSH is not here'
const wireDigest = Buffer.from(sha256(hidden), 'hex').toString('base64url')
/** One logs in as the user of the server entry. */
const LOGIN = `${userInfo().username}@127.0.0.1`
const hello = (node: string) => ({ protocol: 1, node, version: '0.0.0', folders: [] })

t.test('a key that nobody authorised is refused with 77', async (t) => {
  const ran = await stranger.launch('-once')
  t.equal(ran.status, 77, ran.stderr)
  t.match(ran.stderr, /authori[sz]ed/i, 'and says what to do')
  t.same([...stranger.tree().keys()], [])
})

t.test('another authorised key that claims a bound name is refused', async (t) => {
  const known = b.printed.stdout
  await b.stop()
  const keys = ['id_ed25519', 'id_ed25519.pub'].map((name) => join(b.home, '.ssh', name))
  for (const key of keys) copyFileSync(key, `${key}.kept`)
  for (const key of keys) copyFileSync(key.replace(b.home, stranger.home), key)
  j.authorise(stranger)
  const before = server.tree()
  b.put('intruder', 'x')
  const ran = await b.launch('-once')
  t.equal(ran.status, 77, ran.stderr + known)
  t.same(server.tree(), before)
  for (const key of keys) copyFileSync(`${key}.kept`, key)
  b.remove('intruder')
  await b.start()
  await j.inStep({ nodes: trio })
})

t.test('a coordinator with another host key is not trusted, and the line to remove is named', async (t) => {
  await b.stop()
  const file = join(b.home, '.ssh/known_hosts')
  const kept = readFileSync(file, 'utf8')
  t.match(kept, new RegExp(`^\\[127\\.0\\.0\\.1\\]:${j.port} ssh-ed25519 `), 'the key was noted at first contact')
  const other = readFileSync(join(stranger.home, '.ssh/id_ed25519.pub'), 'utf8').split(' ').slice(0, 2).join(' ')
  writeFileSync(file, `# a comment\n[127.0.0.1]:${j.port} ${other}\n`)
  const ran = await b.launch('-once')
  t.equal(ran.status, 77, ran.stderr)
  t.match(ran.stderr, /known_hosts/)
  t.match(ran.stderr, /\b2\b/, 'the number of the line')
  writeFileSync(file, kept)
  if (noSsh === false) {
    spawnSync('ssh-keygen', ['-H', '-f', file])
    t.match(readFileSync(file, 'utf8'), /^\|1\|/)
  }
  await b.start()
  await j.inStep({ nodes: trio })
})

t.test('OpenSSH sftp sees the jail and nothing else', { skip: noSsh }, async (t) => {
  const loot = join(j.dir, 'loot')
  const batch = [
    ...[
      '-pwd',
      '-ls -la /',
      '-ls -la /docs',
      '-ls -la /docs/objects',
      '-ls -la ..',
      '-cd ../../..',
      '-ls -la',
      '-ls /etc',
      '-ls /private',
    ],
    ...[`-get /etc/passwd ${loot}`, `-get /docs/../../outside ${loot}`, `-get /docs/public.txt ${loot}`],
    ...[
      `-put ${j.config} /docs/evil`,
      `-put ${j.config} /evil`,
      `-put ${j.config} ../outside`,
      '-rm /docs/public.txt',
      '-mkdir /docs/made',
    ],
    ...[
      '-symlink /etc/passwd /docs/link',
      '-ln -s /etc/passwd /link',
      '-rename /docs /gone',
      '-chmod 777 /docs',
      '-ls -la /docs/.systemsync',
    ],
  ]
  const before = server.tree()
  const ran = await sftp(b, batch)
  t.equal(ran.status, 0, ran.stderr)
  const seen = ran.stdout.replace(/^sftp> .*$/gm, '')
  t.notMatch(seen, /public\.txt|passwd|hostname|private|hidden|systemsync\.cfg/)
  t.notOk(existsSync(loot), 'nothing was fetched')
  t.same(server.tree(), before)
  t.equal(readFileSync(join(j.dir, 'outside'), 'utf8'), 'untouched')
})

t.test('a client reads contents of its own folders by name, and of no other', { skip: noSsh }, async (t) => {
  const loot = join(j.dir, 'loot2')
  const digest = sha256(hidden)
  const ran = await sftp(b, [`-get /private/objects/${digest} ${loot}`, `-get /docs/objects/${digest} ${loot}`])
  t.equal(ran.status, 0)
  t.notOk(existsSync(loot))
})

t.test('an authorised key under another login name is refused', { skip: noSsh }, async (t) => {
  const ran = await ssh(b, ['-s', 'somebody-else@127.0.0.1', 'systemsync-rpc'])
  t.equal(ran.status, 255)
  t.equal(ran.stdout, '')
})

t.test('no shell, no command, no forwarding', { skip: noSsh }, async (t) => {
  for (const args of [[LOGIN, 'id'], [LOGIN], ['-W', '127.0.0.1:22', LOGIN]]) {
    const ran = await ssh(b, args)
    t.not(ran.status, 0, args.join(' '))
    t.notMatch(ran.stdout, /uid=|SSH-2/)
  }
  const remote = await ssh(b, ['-o', 'ExitOnForwardFailure=yes', '-N', '-R', '0:127.0.0.1:22', LOGIN])
  t.not(remote.status, 0)
})

t.test('lines that are no messages are answered or end the connection', { skip: noSsh }, async (t) => {
  const rpc = RpcClient.open(b, j.port)
  rpc.raw('this is not JSON\n')
  t.equal((await rpc.reply(({ error }) => error !== undefined))?.error?.code, -32700)
  await rpc.close()
  for (const hostile of [
    '[]\n',
    '[[[[',
    '{"jsonrpc":"2.0"}\n',
    '\0\0\0\n',
    `${'['.repeat(100_000)}\n`,
    'null\n',
    '{"jsonrpc":"2.0","id":{},"method":[]}\n',
  ]) {
    const other = RpcClient.open(b, j.port)
    other.raw(hostile)
    await other.reply(({ error }) => error !== undefined)
    await other.close()
  }
  await stillServing(t)
})

t.test('a line longer than a message may be ends the connection, not the coordinator', { skip: noSsh }, async (t) => {
  const rpc = RpcClient.open(b, j.port)
  const part = Buffer.alloc(1 << 20, 'x')
  for (let i = 0; i < 8; i++) rpc.raw(part)
  rpc.raw('\n')
  const reply = await rpc.call('clock', {})
  t.equal(reply?.result, undefined)
  await rpc.close()
  await stillServing(t)
})

t.test('unknown methods, bad parameters, false names and foreign folders are refused', { skip: noSsh }, async (t) => {
  await b.stop()
  const rpc = RpcClient.open(b, j.port)
  t.ok((await rpc.call('changes', { folder: 'docs', since: 0, limit: 10 }))?.error, 'nothing before the hello')
  t.equal((await rpc.call('mark_presence', hello('a')))?.error?.data?.status, 403, 'the name of another key')
  t.ok((await rpc.call('mark_presence', hello('nobody-knows-me')))?.error, 'a name that is not in the config')
  t.ok((await rpc.call('mark_presence', { ...hello('b'), protocol: 999 }))?.error, 'another protocol')
  t.ok((await rpc.call('mark_presence', hello('b')))?.result)
  t.equal((await rpc.call('no_such_method', {}))?.error?.code, -32601)
  t.equal((await rpc.call('changes', { folder: 'docs', since: 'zero', limit: 1 }))?.error?.code, -32602)
  t.equal(
    (await rpc.call('changes', { folder: 'docs', since: 0, limit: 1, more: 1 }))?.error?.code,
    -32602,
    'a field too many',
  )
  for (const method of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.equal((await rpc.call(method, {}))?.error?.code, -32601, method)
  }
  for (const [method, more] of [
    ['changes', { since: 0, limit: 10 }],
    ['req_push_file', { files: [[wireDigest, hidden.length]] }],
    ['pack', { wanted: [wireDigest] }],
    ['history', { path: 'hidden.txt' }],
    ['locate', { path: 'hidden.txt', rev: null }],
    ['restore', { path: 'hidden.txt', rev: null }],
    ['log', { path: null, limit: 10 }],
  ] as const) {
    const reply = await rpc.call(method, { folder: 'private', ...more })
    t.ok([403, 404].includes(reply?.error?.data?.status ?? 0), `${method}: ${JSON.stringify(reply)}`)
  }
  await rpc.close()
  await b.start()
  await stillServing(t)
})

t.test('a path that leads out of the folder is refused wherever it is said', { skip: noSsh }, async (t) => {
  await b.stop()
  const before = treeOf(j.dir)
  const rpc = RpcClient.open(b, j.port)
  await rpc.call('mark_presence', hello('b'))
  for (const path of [
    '../outside',
    '/etc/passwd',
    'a/../../outside',
    '.',
    '..',
    '',
    'a//b',
    'nul\0byte',
    '.systemsync/marker',
    'a/./b',
    'x'.repeat(256),
    '\ud800',
  ]) {
    for (const [method, params] of [
      ['history', { folder: 'docs', path }],
      ['locate', { folder: 'docs', path, rev: null }],
      ['ack_push_file', { folder: 'docs', proposals: [[path, 0, ['d', 0o755], 1]] }],
      ['ack_push_file', { folder: 'docs', proposals: [[path, 0, null, 1]] }],
    ] as const) {
      const reply = await rpc.call(method, params)
      t.ok(reply?.error !== undefined, `${method} ${JSON.stringify(path)}: ${JSON.stringify(reply)}`)
    }
  }
  await rpc.close()
  const after = treeOf(j.dir)
  for (const path of [...before.keys()].filter((found) => /^(outside|server\/docs)/.test(found))) {
    t.equal(after.get(path), before.get(path), path)
  }
  await b.start()
  await stillServing(t)
})

t.test('silent connections hold nobody up', async (t) => {
  const sockets = Array.from({ length: 40 }, () => connect(j.port, '127.0.0.1').on('error', () => undefined))
  await pause(200)
  for (const socket of sockets.slice(0, 10)) socket.write('GET / HTTP/1.0\r\n\r\n')
  await stillServing(t)
  for (const socket of sockets) socket.destroy()
})

t.test('after all this the coordinator is the same process, and nobody lost anything', async (t) => {
  t.ok(server.isRunning)
  await j.settled(trio)
  t.equal(b.read('public.txt'), 'for all')
  t.same(readdirSync(b.at('', 'private')), [])
})

let rounds = 0

async function stillServing(t: { ok: (value: unknown, message: string) => unknown }): Promise<void> {
  t.ok(server.isRunning, 'the coordinator lives')
  a.put('alive', String(rounds++))
  await j.inStep({ nodes: trio })
}

/** Runs `sftp` with commands, of which those that begin with `-` may fail. */
function sftp(node: JourneyNode, commands: readonly string[]): Promise<Ran> {
  const args = ['-b', '-', ...sshOptions(node), '-P', String(j.port), LOGIN]
  const child = spawn('sftp', args, { env: environment(node.home), stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(`${commands.join('\n')}\n`)
  return collect(child)
}

function ssh(node: JourneyNode, args: readonly string[]): Promise<Ran> {
  const all = [...sshOptions(node), '-p', String(j.port), ...args]
  return collect(spawn('ssh', all, { env: environment(node.home), stdio: ['ignore', 'pipe', 'pipe'] }))
}
