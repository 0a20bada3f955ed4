// Journeys along the command line: exit statuses, the ready line, signals, `-once`, and one daemon a state directory.
import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Status, pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'

const j = await Journey.open(t, { clients: ['a', 'b'] })
const [server, a, b] = [j.server, j.client('a'), j.client('b')]
const flags = (node: string, port: string) => ['-role', 'client', '-uname', node, '-ip', '127.0.0.1', '-port', port]

t.test('usage errors end with 64 and one sentence on stderr', async (t) => {
  for (const args of [
    [],
    ['-role', 'boss'],
    ['-role', 'client', '-wrong'],
    ['nonsense'],
    ['status', '-rol', 'client'],
    ['get'],
    ['-role', 'client', '-port', 'abc'],
  ]) {
    const ran = await a.monitor(...args, ...(args.length === 0 ? [] : a.common()))
    t.equal(ran.status, 64, args.join(' '))
    t.equal(ran.stdout, '')
    t.notMatch(ran.stderr, /\n\s+at /)
  }
})

t.test('config errors end with 78 and name file, line and section', async (t) => {
  const missing = await a.monitor('check', '-config', join(j.dir, 'no-such.cfg'))
  t.equal(missing.status, 78)
  t.match(missing.stderr, /no-such\.cfg/)
  const bad = join(j.dir, 'bad.cfg')
  writeFileSync(bad, `${readFileSync(j.config, 'utf8')}\n[systemsync.limits]\nupload = lots\n`)
  const line = readFileSync(bad, 'utf8').split('\n').indexOf('upload = lots') + 1
  const ran = await a.monitor('check', '-config', bad, '-state', a.state, ...nodeFlags('a'))
  t.equal(ran.status, 78)
  t.match(ran.stderr, new RegExp(`bad\\.cfg:${line}\\b`))
  t.match(ran.stderr, /limits/)
})

t.test('a node that the config does not name is refused with what to do', async (t) => {
  const ran = await a.monitor(...flags('somebody', '1'), ...a.common())
  t.ok(ran.status === 64 || ran.status === 78, `exit ${ran.status}`)
  t.ok(ran.stderr.length > 20)
})

t.test(
  'an option whose feature is not built is refused with 78 where leaving it out would change meaning',
  async (t) => {
    const config = readFileSync(j.config, 'utf8')
    for (const [name, text] of [
      ['transport', `${config}\n[systemsync.ssh]\ntransport = openssh\n`],
      ['mode', config.replace('[systemsync.dir.docs]', '[systemsync.dir.docs]\nmode = mirror')],
      ['receive-only', config.replace('[systemsync.dir.docs]', '[systemsync.dir.docs]\nreceive-only = b')],
    ] as const) {
      const file = join(j.dir, `${name}.cfg`)
      writeFileSync(file, text)
      const ran = await a.monitor('-role', 'client', ...nodeFlags('a'), '-config', file, '-state', a.state)
      t.equal(ran.status, 78, name)
      t.match(ran.stderr, /not built yet/, name)
    }
  },
)

t.test('check tells how this node understands the config, and needs no daemon', async (t) => {
  const ran = await a.monitor('check', '-role', 'client', ...nodeFlags('a'), ...a.common(), '-json')
  t.equal(ran.status, 0)
  t.match(JSON.parse(ran.stdout), {
    node: 'a',
    role: 'client',
    config: j.config,
    folders: [{ name: 'docs', path: a.at(), mode: 'two-way', clients: ['a', 'b'] }],
    server: { ip: '127.0.0.1', port: j.port },
    warnings: [],
  })
})

t.test('a sub-command without its daemon ends with 75 and says how to start it', async (t) => {
  for (const name of ['status', 'log', 'conflicts', 'clients']) {
    const ran = await a.command(name)
    t.equal(ran.status, 75, name)
    t.ok(ran.stderr.length > 20)
  }
})

t.test('-once without a coordinator ends with 75', async (t) => {
  t.equal((await a.launch('-once')).status, 75)
})

t.test('ready is one line on stdout, and a log and a private state directory are made', async (t) => {
  t.match(await server.start(), /^ready role=server node=server( |$)/)
  t.match(await a.start(), /^ready role=client node=a( |$)/)
  t.equal(a.printed.stdout.trim().split('\n').length, 1, 'stdout has nothing else')
  t.ok(readdirSync(a.state).some((name) => /^systemsync\.log\.127\.0\.0\.1-\d+$/.test(name)))
  t.ok(existsSync(join(a.state, 'messages.log')))
  t.equal(lstatSync(a.state).mode & 0o077, 0)
})

t.test('flags are taken in all four forms', async (t) => {
  await j.settled([server, a]) // ready is not yet in step
  for (const form of [['-level', 'warn'], ['-level=warn'], ['--level', 'warn'], ['--level=warn']]) {
    t.equal((await a.command('status', ...form)).status, 0, form.join(' '))
  }
})

t.test('a second daemon on one state directory says so and ends with 75', async (t) => {
  const ran = await a.monitor('-role', 'client', ...nodeFlags('a'), ...a.common())
  t.equal(ran.status, 75)
  t.ok(ran.stderr.length > 20)
  t.ok(a.isRunning)
})

t.test('a folder that another daemon of this machine keeps is not opened a second time', async (t) => {
  const config = join(j.dir, 'same.cfg')
  // Another address and another state directory: only the directory itself shows that it is the same.
  const text = readFileSync(j.config, 'utf8').replaceAll('127.0.0.1', '198.51.100.7')
  writeFileSync(config, text.replace(/^path\.b = .*$/m, `path.b = ${a.at()}`))
  const flagsOfB = nodeFlags('b').map((flag) => flag.replace('127.0.0.1', '198.51.100.7'))
  const ran = await b.monitor('-role', 'client', ...flagsOfB, '-config', config, '-state', join(j.dir, 'other-state'))
  t.equal(ran.status, 78)
  t.match(ran.stderr, /another daemon of this machine keeps/)
  t.match(ran.stderr, /path\./)
  t.equal((await a.folder()).state, 'in step')
})

t.test('-once brings all folders in step, prints one status with -json, and ends with 0', async (t) => {
  a.put('for-b', 'x')
  b.put('for-a', 'y')
  const ran = await b.launch('-once', '-json')
  t.equal(ran.status, 0)
  t.match(JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '') as Status, {
    node: 'b',
    folders: [{ name: 'docs', state: 'in step' }],
  })
  await j.inStep()
  t.equal(b.read('for-b'), 'x')
  t.equal(a.read('for-a'), 'y')
})

t.test('-once ends with 1 when something could not be synced, and says what', async (t) => {
  const odd = Buffer.concat([Buffer.from(`${b.at()}/`), Buffer.from([0xff, 0xfe])])
  writeFileSync(odd, 'x')
  const ran = await b.launch('-once')
  t.equal(ran.status, 1)
  t.match(ran.stdout + ran.stderr, /\\xff\\xfe/)
  rmSync(odd)
})

t.test('SIGTERM and SIGINT end a daemon with 0 within 5 s, in the middle of a transfer too', async (t) => {
  await b.start()
  for (const [victim, signal] of [
    [a, 'SIGINT'],
    [b, 'SIGTERM'],
    [server, 'SIGTERM'],
  ] as const) {
    a.put(`large-${victim.name}`, randomBytes(48 * 1024 * 1024))
    await j.eventually('it is under way', () => [server, b].some((node) => node.staged().length > 0))
    const started = performance.now()
    const ran = await victim.stop(signal)
    const took = performance.now() - started
    t.equal(ran?.status, 0, `${victim.name} ${signal}`)
    t.ok(took < 5000, `${Math.round(took)} ms`)
    await victim.start()
    await j.inStep({ limitMs: 40_000 })
  }
})

t.test('a daemon outlives its coordinator and comes back by itself', async (t) => {
  await server.stop()
  await j.eventually('A is offline', async () => (await a.folder()).state === 'offline')
  for (const args of [['log'], ['history', 'docs/for-b'], ['get', 'docs/for-b'], ['clients'], ['conflicts']]) {
    const ran = await a.command(...args)
    t.equal(ran.status, 75, `${args.join(' ')} needs the coordinator`)
    t.match(ran.stderr, /coordinator/)
  }
  a.put('meanwhile', 'x')
  await pause(300)
  await server.start()
  await j.settled()
  t.equal(server.read('meanwhile'), 'x')
})

t.test('what is for later is said to be so', async (t) => {
  for (const args of [['invite', 'x'], ['locks'], ['lock', 'docs/x']]) {
    const ran = await server.command(...args)
    t.equal(ran.status, 78, args.join(' '))
    t.match(ran.stderr, /not built yet/)
  }
})

t.test('the logs hold no content and no private key', async (t) => {
  a.put('diary', 'purple-elephant-secret')
  await j.inStep()
  for (const node of j.nodes) {
    const key = readFileSync(join(node.home, '.ssh/id_ed25519'), 'utf8').split('\n')[2] ?? 'none'
    for (const name of readdirSync(node.state).filter((found) => found.includes('log'))) {
      const text = readFileSync(join(node.state, name), 'latin1')
      t.notOk(text.includes('purple-elephant-secret'), `${node.name} ${name}`)
      t.notOk(text.includes(key), `${node.name} ${name}`)
    }
  }
})

/** The flags that identify a client of this journey, as its config line has them. */
function nodeFlags(name: string): string[] {
  const [uname = '', ip = '', port = ''] =
    new RegExp(`^${name} = (.*), (.*), (.*)$`, 'm').exec(readFileSync(j.config, 'utf8'))?.slice(1) ?? []
  return ['-uname', uname, '-ip', ip, '-port', port]
}
