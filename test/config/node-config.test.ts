import { mkdirSync, symlinkSync } from 'node:fs'
import t from 'tap'
import { refuseUnbuilt, resolveNode, type Flags, type Machinery } from '../../lib/config/node-config.ts'
import { parseConfig } from '../../lib/config/parse-config.ts'
import { ConfigError, UsageError } from '../../lib/errors.ts'

const GOOD = `[systemsync.server]
server = vinayak, 188.166.209.132, 1397
[systemsync.clients]
client1 = shailesh, 188.166.209.133, 1398
client2 = dushyant, 188.166.209.134, 1398
[systemsync.dirs]
docs = ~/docs
photos = /srv/photos
homes = /home/vinayak/pictures
`

function machine(more: Partial<Machinery> = {}): Machinery {
  return {
    users: { running: 'me', home: '/home/me', passwdHome: (user) => (user === 'dushyant' ? '/users/du' : undefined) },
    cwd: '/srv/node',
    xdgStateHome: undefined,
    addresses: ['127.0.0.1', '10.0.0.5', '::1'],
    ...more,
  }
}

function node(flags: Flags, { text = GOOD, ...more }: Partial<Machinery> & { text?: string } = {}) {
  return resolveNode(parseConfig(text, 'f.cfg'), flags, machine(more))
}

t.test('the server is its entry, with flags instead of what they name', async (t) => {
  t.match(node({ role: 'server' }), {
    node: 'server',
    user: 'vinayak',
    ip: '188.166.209.132',
    port: 1397,
    stateDir: '/home/me/.local/state/systemsync/server',
    logFile: '/home/me/.local/state/systemsync/server/systemsync.log.188.166.209.132-1397',
    log: { level: 'info', messagesFile: '/home/me/.local/state/systemsync/server/messages.log' },
  })
  const { coordinator } = node({ role: 'server', ip: '10.0.0.5', port: 99, uname: 'root' })
  t.same(coordinator, { user: 'root', address: '10.0.0.5', port: 99, bind: '10.0.0.5' })
})

t.test('the server binds what it can: its own address, or every one with a warning', async (t) => {
  const far = node({ role: 'server' })
  t.match(far.coordinator, { bind: '0.0.0.0', address: '188.166.209.132' })
  t.match(far.warnings, [/188\.166\.209\.132 is not an address of this machine/])
  for (const ip of ['127.0.0.1', '127.0.0.2', '10.0.0.5', '::1', 'localhost']) {
    t.match(node({ role: 'server', ip }), { coordinator: { bind: ip, address: ip }, warnings: [] }, ip)
  }
  for (const ip of ['0.0.0.0', '::']) {
    t.match(node({ role: 'server', ip }), { coordinator: { bind: ip, address: '188.166.209.132' }, warnings: [] }, ip)
  }
})

t.test('a client is found by the flags given, one way or the other', async (t) => {
  const cases: [Partial<Flags>, string, RegExp][] = [
    [{ uname: 'shailesh' }, 'client1', /agree with the flags/],
    [{ ip: '188.166.209.134' }, 'client2', /agree with the flags/],
    [{ ip: '188.166.209.133', port: 1398, uname: 'shailesh' }, 'client1', /agree with the flags/],
    [{ ip: '188.166.209.132', uname: 'dushyant' }, 'client2', /coordinator's/],
    [{ ip: '188.166.209.132', port: 1397, uname: 'dushyant' }, 'client2', /coordinator's/],
    [{ port: 1397, uname: 'shailesh' }, 'client1', /coordinator's/],
  ]
  for (const [flags, name, reading] of cases) {
    const found = node({ role: 'client', ...flags })
    t.equal(found.node, name, JSON.stringify(flags))
    t.match(found.reading, reading)
    t.same(found.coordinator, { user: 'vinayak', address: '188.166.209.132', port: 1397, bind: '' })
  }
  const lone = GOOD.replace(/^client2.*\n/m, '')
  t.equal(node({ role: 'client' }, { text: lone }).node, 'client1', 'the only one')
  t.equal(
    node({ role: 'client', port: 1397 }, { text: lone }).node,
    'client1',
    'the only one at the coordinator’s address',
  )
})

t.test('a client that cannot be told is refused, with the flag or the line that is missing', async (t) => {
  const cases: [Partial<Flags>, RegExp, RegExp][] = [
    [{}, /2 fit/, /Give -uname or -ip/],
    [{ port: 1398 }, /2 fit/, /Give -uname or -ip/],
    [{ ip: '188.166.209.132' }, /2 fit/, /Give -uname/],
    [{ uname: 'nobody' }, /no client of "f\.cfg" fits -uname nobody/, /NAME = nobody, IP, PORT/],
    [{ uname: 'Shailesh' }, /fits/, /case-sensitive: did you mean -uname shailesh/],
    [{ ip: '1.2.3.4', port: 5, uname: 'x' }, /fits -uname x -ip 1\.2\.3\.4 -port 5/, /NAME = x, 1\.2\.3\.4, 5/],
    [{ ip: '188.166.209.132', port: 1397, uname: 'x' }, /fits/, /Add to/],
  ]
  for (const [flags, message, hint] of cases) {
    const error = t.throws(() => node({ role: 'client', ...flags }), UsageError) as UsageError
    t.match(error, { message, hint, exitStatus: 64 }, JSON.stringify(flags))
  }
  t.throws(() => node({ role: 'client' }, { text: GOOD.replace(/^client\d.*\n/gm, '') }), UsageError)
})

t.test('paths are places of this node’s user', async (t) => {
  const roots = (flags: Flags) => node(flags).folders.map(({ root }) => root)
  const client1 = { role: 'client', uname: 'shailesh' } as const
  t.same(roots(client1), ['/home/me/docs', '/srv/photos', '/home/me/pictures'], 'no account here: $HOME')
  t.same(
    roots({ role: 'client', uname: 'dushyant' }),
    ['/users/du/docs', '/srv/photos', '/users/du/pictures'],
    'passwd',
  )
  t.same(roots({ role: 'server' }), ['/home/me/docs', '/srv/photos', '/home/vinayak/pictures'], 'his own home stands')
  const own = `${GOOD}[systemsync.dir.docs]\npath.client1 = /data/docs/\npath.server = ~/x/../y\n`
  t.equal(node(client1, { text: own }).folders[0]?.root, '/data/docs')
  t.equal(node({ role: 'server' }, { text: own }).folders[0]?.root, '/home/me/y')
  t.equal(node(client1).ssh.knownHosts, '/home/me/.ssh/known_hosts')
  t.equal(node({ role: 'client', uname: 'dushyant' }).ssh.home, '/users/du')
})

t.test('a client has the folders that it shares, the coordinator all', async (t) => {
  const text = `${GOOD}[systemsync.dir.docs]\nclients = client2\n`
  t.same(
    node({ role: 'client', uname: 'shailesh' }, { text }).folders.map(({ name }) => name),
    ['photos', 'homes'],
  )
  t.equal(node({ role: 'server' }, { text }).folders.length, 3)
})

t.test('state, log and messages lie where the flags and the environment say', async (t) => {
  t.equal(node({ role: 'server' }, { xdgStateHome: '/xdg' }).stateDir, '/xdg/systemsync/server')
  t.equal(node({ role: 'server' }, { xdgStateHome: 'rel' }).stateDir, '/home/me/.local/state/systemsync/server')
  const given = node({ role: 'server', state: 's', log: 'l.log', level: 'debug' })
  t.match(given, {
    stateDir: '/srv/node/s',
    logFile: '/srv/node/l.log',
    log: { level: 'debug', messagesFile: '/srv/node/s/messages.log' },
  })
  const text = `${GOOD}[systemsync.log]\nmessages = ~/m.log\n`
  t.equal(node({ role: 'server' }, { text }).log.messagesFile, '/home/me/m.log')
  const client = node({ role: 'client', ip: '188.166.209.132', port: 1397, uname: 'dushyant' })
  t.match(client.logFile, /client2\/systemsync\.log\.188\.166\.209\.132-1397$/, 'named after the flags')
})

t.test('folders may not overlap, nor hold the state directory', async (t) => {
  const dir = t.testdir({ a: { b: {} } })
  symlinkSync(`${dir}/a/b`, `${dir}/link`)
  const text = (one: string, two: string) =>
    `[systemsync.server]\nserver = v, 10.0.0.5, 1\n[systemsync.dirs]\none = ${one}\ntwo = ${two}\n`
  const server: Flags = { role: 'server', state: '/state' }
  t.throws(() => node(server, { text: text(`${dir}/a`, `${dir}/a`) }), {
    exitStatus: 78,
    message: /f\.cfg:5: \[systemsync\.dirs\] two: .* overlap/,
  })
  t.throws(() => node(server, { text: text(`${dir}/a`, `${dir}/a/b/c`) }), ConfigError)
  t.throws(() => node(server, { text: text(`${dir}/a`, `${dir}/link`) }), ConfigError, 'through a link')
  t.throws(() => node({ role: 'server', state: `${dir}/a/s` }, { text: text(`${dir}/a`, '/x') }), {
    message: /holds the state directory/,
  })
  t.doesNotThrow(() => node(server, { text: text(`${dir}/a`, `${dir}/ab`) }), 'a common beginning is no overlap')
})

t.test('two nodes of one machine may not share a folder', async (t) => {
  const dir = t.testdir({})
  mkdirSync(`${dir}/docs`)
  const text = (ip: string, more: string) =>
    `[systemsync.server]\nserver = v, ${ip}, 1\n[systemsync.clients]\na = w, ${ip}, 2\n[systemsync.dirs]\ndocs = ${dir}/docs\n${more}`
  const client: Flags = { role: 'client', state: '/state' }
  const shared = { exitStatus: 78, message: /also where "server" keeps folder "docs"/, hint: /path\.a/ }
  t.throws(() => node(client, { text: text('127.0.0.1', '') }), shared)
  t.throws(() => node({ ...client, role: 'server' }, { text: text('10.0.0.5', '') }), { message: /"a" keeps/ })
  t.doesNotThrow(() => node(client, { text: text('127.0.0.1', `[systemsync.dir.docs]\npath.a = ${dir}/other\n`) }))
  const apart = text('127.0.0.2', '').replace('server = v, 127.0.0.2', 'server = v, 127.0.0.3')
  t.throws(() => node(client, { text: apart }), shared, 'by other addresses of the same machine')
  const nested = `[systemsync.dir.docs]\npath.a = ${dir}/docs/deep\n`
  t.throws(() => node(client, { text: text('127.0.0.1', nested) }), shared, 'one in the other')
  t.doesNotThrow(() => node(client, { text: text('8.8.8.8', '') }), 'behind one router these are two machines')
  const homes = text('127.0.0.1', '').replace(`${dir}/docs`, '~/docs')
  t.doesNotThrow(() => node(client, { text: homes }), 'each process may have a home of its own')
})

t.test('what is not built yet is told by check and refused by daemons', async (t) => {
  const text = `${GOOD}[systemsync.ssh]\ntransport = openssh\n[systemsync.dir.docs]\nmode = mirror\nreceive-only = client1\n`
  const found = node({ role: 'client', uname: 'shailesh' }, { text })
  t.match(found.warnings, [
    /transport = openssh: not built yet/,
    /mode = mirror: not built yet/,
    /receive-only: not built yet/,
  ])
  t.throws(
    () => {
      refuseUnbuilt(found)
    },
    { exitStatus: 78, message: /not built yet/ },
  )
  t.doesNotThrow(() => {
    refuseUnbuilt(node({ role: 'server' }))
  })
})
