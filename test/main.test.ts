import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fakeMethods, folderStatus } from './commands/fake-methods.ts'
import { serveControl } from '../lib/commands/control-socket.ts'
import type { ControlMethods, Status } from '../lib/commands/control-contract.ts'
import { silentLog } from '../lib/daemon/log.ts'
import { runMonitor } from '../lib/main.ts'
import { hostPath } from '../lib/model/path.ts'

const CONFIG = `[systemsync.server]
server = me, 127.0.0.1, 1397
[systemsync.clients]
client1 = me, 127.0.0.1, 1398
client2 = other, 10.9.9.9, 1398
[systemsync.dirs]
docs = ~/docs
[systemsync.dir.docs]
path.client1 = ~/copy
`

interface Ran {
  readonly status: number
  readonly out: string
  readonly err: string
}

function monitor(t: Test, { config = CONFIG, home = t.testdir({}) }: { config?: string; home?: string } = {}) {
  const file = join(home, 'systemsync.cfg')
  writeFileSync(file, config)
  const state = (node: string) => hostPath(join(home, '.local/state/systemsync', node))
  const run = async (line: string, signal = new AbortController().signal): Promise<Ran> => {
    let out = ''
    let err = ''
    const machine = {
      users: { running: 'me', home, passwdHome: () => undefined },
      cwd: home,
      xdgStateHome: undefined,
      addresses: ['127.0.0.1'],
    }
    const print = (text: string | Uint8Array) => {
      out += typeof text === 'string' ? text : Buffer.from(text).toString()
      return Promise.resolve()
    }
    const complain = (text: string) => {
      err += text
    }
    const status = await runMonitor(line === '' ? [] : line.split(' '), { machine, print, complain }, signal)
    return { status, out, err }
  }
  const serve = (node: string, methods: Partial<ControlMethods> = {}) => {
    mkdirSync(state(node), { recursive: true })
    return serveControl(state(node), fakeMethods(methods), silentLog)
  }
  return { run, serve, state, home, file }
}

t.test('help and version go to standard output with status 0', async (t) => {
  const { run } = monitor(t)
  t.match(await run('--help'), { status: 0, out: /monitor -role server/, err: '' })
  t.match(await run('status -h'), { status: 0, out: /exit status/ })
  t.match(await run('--version'), { status: 0, out: /^monitor \d+\.\d+\.\d+\n$/ })
})

t.test('what cannot be understood is a usage error: 64, one sentence, one hint', async (t) => {
  const { run } = monitor(t)
  for (const line of [
    '',
    '-json',
    'foo',
    'constructor',
    'status -bogus',
    '-role boss',
    '-role client -port x',
    'status -once',
    'status x',
    'log a b',
    'get docs/a -json',
    'history docs',
    'confirm',
    '-role client',
  ]) {
    const { status, out, err } = await run(line)
    t.equal(status, 64, line)
    t.equal(out, '')
    t.match(err, /^monitor: [^\n]+\n([^\n]+\n)?$/, line)
  }
})

t.test('what is not built yet says so: 78', async (t) => {
  const { run } = monitor(t)
  for (const line of ['invite x', 'join y', 'lock docs/a', 'unlock docs/a', 'locks -json']) {
    t.match(await run(line), { status: 78, err: /not built yet/ }, line)
  }
  const mirror = monitor(t, { config: `${CONFIG}mode = mirror\n` })
  t.match(await mirror.run('-role server'), { status: 78, err: /mode = mirror: not built yet/ })
  t.notOk(existsSync(mirror.state('server')), 'before anything is touched')
  t.match(await mirror.run('check -role server'), { status: 0, out: /not built yet/ })
})

t.test('a configuration that is wrong or missing: 78', async (t) => {
  const { run } = monitor(t, { config: `${CONFIG}colour = red\n` })
  t.match(await run('check'), { status: 78, err: /systemsync\.cfg:10: \[systemsync\.dir\.docs\] colour: unknown key/ })
  t.match(await run('-role server'), { status: 78 })
  t.match(await run('status -config none.cfg'), { status: 78, err: /there is no such file/ })
})

t.test('a place that cannot be written: 78', async (t) => {
  const { run, home } = monitor(t)
  writeFileSync(join(home, 'file'), '')
  t.match(await run('-role server -state file'), { status: 78, err: /Cannot start in/ })
})

t.test('check prints how this node understands the file', async (t) => {
  const { run, file, home } = monitor(t)
  const { status, out } = await run('check -role client -uname me -ip 127.0.0.1 -json')
  t.equal(status, 0)
  t.match(JSON.parse(out), {
    node: 'client1',
    role: 'client',
    config: file,
    folders: [{ name: 'docs', path: join(home, 'copy'), mode: 'two-way', clients: ['client1', 'client2'] }],
    server: { ip: '127.0.0.1', port: 1397 },
    warnings: [],
  })
  t.match(await run('check -role server'), { status: 0, out: /node +server \(server\)/ })
  t.match(
    JSON.parse((await run('check -json')).out),
    { node: null, role: null, server: { port: 1397 } },
    'it may be two nodes',
  )
  const far = monitor(t, { config: CONFIG.replace('server = me, 127.0.0.1', 'server = me, 10.1.1.1') })
  t.match(await far.run('check'), { status: 0, out: /client1 \(client\)/ }, 'the only one here')
  const own = monitor(t, { config: CONFIG.replace(/client1 = me/, 'client1 = you') })
  t.match(await own.run('check'), { status: 0, out: /server \(server\)/ })
})

t.test('without a daemon the facts cannot be had: 75, and how to start it', async (t) => {
  const { run } = monitor(t)
  t.match(await run('status -role server'), { status: 75, out: '', err: /none is running\nStart it: monitor -role/ })
  t.match(await run('status'), { status: 75, err: /none of this configuration is running here/ })
  t.match(await run('clients -state x'), { status: 75 })
  t.match(await run('status -uname nobody'), { status: 64, err: /no node of .* fits/ })
})

t.test('the daemon is found by its state directory, by flags, or because it is the one that runs', async (t) => {
  const { run, serve, state } = monitor(t)
  await using _one = await serve('client1')
  for (const line of [
    'status',
    'status -role client',
    'status -port 1398',
    'status -uname me',
    `status -state ${state('client1')} -config none`,
  ]) {
    t.match(
      await run(line),
      { status: 0, out: /^client1 \(client, version 0\.1\.0\) connected to 10\.0\.0\.1:1397\n/ },
      line,
    )
  }
  await using _two = await serve('server')
  t.match(await run('status'), {
    status: 64,
    err: /2 of this configuration are running\nGive one of: -role server; -role client -uname me/,
  })
  t.match(
    await run('status -role client -ip 127.0.0.1 -port 1397 -uname me'),
    { status: 0 },
    'the coordinator’s address',
  )
})

t.test('status is 0 only when every folder is in step, and says what is the matter', async (t) => {
  const { run, serve } = monitor(t)
  const status = (folders: Status['folders']) => fakeStatus(folders)
  const cases: [Status['folders'], number, RegExp][] = [
    [[folderStatus()], 0, /docs {2}in step {2}seq 7 {2}\/home\/a\/docs\n$/],
    [[], 0, /10\.0\.0\.1:1397\n$/],
    [[folderStatus(), folderStatus({ state: 'scanning' })], 1, /scanning/],
    [
      [folderStatus({ state: 'syncing', progress: { files: 12, filesTotal: 340, bytes: 1.2e9, bytesTotal: 3.4e9 } })],
      1,
      /syncing 12\/340 files 1\.2\/3\.4 GB/,
    ],
    [[folderStatus({ state: 'waiting', pending: 3, bytesPending: 2000 })], 1, /waiting, 3 changes pending \(2 KB\)/],
    [[folderStatus({ state: 'held', reason: '40 deletes' })], 1, /docs: 40 deletes\n {2}docs: monitor confirm docs/],
    [
      [folderStatus({ state: 'halted', problems: [{ path: 'a\u001b', reason: 'cannot be read', todo: 'Do it' }] })],
      1,
      /docs\/a\\x1b: cannot be read\. Do it/,
    ],
  ]
  for (const [folders, wanted, text] of cases) {
    await using _daemon = await serve('client1', { status: () => status(folders) })
    const ran = await run('status -role client -ip 127.0.0.1')
    t.equal(ran.status, wanted)
    t.match(ran.out, text)
    t.match(JSON.parse((await run('status -role client -ip 127.0.0.1 -json')).out), status(folders))
  }
})

function fakeStatus(folders: Status['folders']): Status {
  return {
    role: 'client',
    node: 'client1',
    version: '1',
    coordinator: { connected: false, address: '10.0.0.1:1397' },
    folders,
  }
}

t.test('facts are printed for people, or as JSON to the letter', async (t) => {
  const { run, serve } = monitor(t)
  await using _daemon = await serve('client1')
  const cases: [string, RegExp][] = [
    [
      'log',
      /^1 {2}2026-11-20 \d\d:11:12 {2}client1 {2}create {2}1\.2 KB {2}docs\/a\.txt\n2 .*server {3}delete +docs\/a\.txt\n$/,
    ],
    ['log docs/b', /docs\/b/],
    ['history docs/a.txt', /^@1 .*abababababab\n@2 .*lost a conflict\n@3 .*live\n$/],
    ['conflicts', /client1 won @5 {2}client2 lost, kept: monitor restore 'docs\/a\.txt@4'/],
    [
      'clients',
      /client1 {2}online +up to date .*SHA256:abc\nclient2 {2}offline +never seen +no key yet\nclient3 .*3 behind/,
    ],
    ['restore docs/a.txt@3', /^restored docs\/a\.txt as @4\n$/],
    ['confirm docs', /^confirmed/],
    ['reject docs', /^rejected/],
  ]
  for (const [line, text] of cases) t.match(await run(line), { status: 0, out: text, err: '' }, line)
  const fake = fakeMethods()
  const never = new AbortController().signal
  t.same(JSON.parse((await run('log -json')).out), fake.log({}, never))
  t.same(JSON.parse((await run('history docs/a -json')).out), fake.history({ folder: 'docs', path: 'a' }, never))
  t.same(JSON.parse((await run('conflicts -json')).out), fake.conflicts({}, never))
  t.same(JSON.parse((await run('clients -json')).out), fake.clients({}, never))
  t.same(JSON.parse((await run('restore docs/a@3 -json')).out), { rev: 4 })
  t.match(await run('confirm nope'), { status: 1, err: /There is no folder "nope"/ })
  t.match(await run('get docs/a'), { status: 1, err: /There is no such revision/ })
})

t.test('get writes exactly the bytes of the version, and removes what was made for it', async (t) => {
  const { run, serve, home: dir } = monitor(t, { home: t.testdir({ pack: 'xxxhelloyyy', made: 'made', short: 'abc' }) })
  const place =
    (file: string, offset: number, size: number, temporary = false) =>
    () => ({ file: join(dir, file), offset, size, temporary })
  const cases: [ReturnType<typeof place>, Partial<Ran>][] = [
    [place('pack', 3, 5), { status: 0, out: 'hello' }],
    [place('pack', 3, 0), { status: 0, out: '' }],
    [place('made', 0, 4, true), { status: 0, out: 'made' }],
  ]
  for (const [get, wanted] of cases) {
    await using _daemon = await serve('client1', { get })
    t.match(await run('get docs/a'), wanted)
  }
  t.notOk(existsSync(join(dir, 'made')))
  t.ok(existsSync(join(dir, 'pack')))
  await using _daemon = await serve('client1', { get: place('short', 0, 9) })
  t.match(await run('get docs/a'), { status: 1, err: /6 of 9 bytes are missing/ })
})

t.test('a command that is interrupted ends with 130 and says nothing', async (t) => {
  const { run, serve } = monitor(t)
  const abort = new AbortController()
  await using _daemon = await serve('client1', {
    clients: () => {
      abort.abort(new Error('stopped'))
      return new Promise(() => undefined)
    },
  })
  t.match(await run('clients', abort.signal), { status: 130, out: '', err: '' })
})

t.test('a bug is told with its stack: 70', async (t) => {
  const { run, serve, home: dir } = monitor(t)
  await using _daemon = await serve('client1', { get: () => ({ file: dir, offset: 0, size: 5, temporary: false }) })
  t.match(await run('get docs/a'), { status: 70, err: /^monitor: Error: EISDIR/ })
})
