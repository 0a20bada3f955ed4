import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig, parseConfig } from '../../lib/config/parse-config.ts'
import { ConfigError } from '../../lib/errors.ts'

const SERVER = '[systemsync.server]\nserver = vinayak, 10.0.0.1, 1397\n'
const CLIENTS = '[systemsync.clients]\na = shailesh, 10.0.0.2, 1398\nb = dushyant, 10.0.0.3, 1398\n'
const DIRS = '[systemsync.dirs]\ndocs = ~/docs\n'
/** Lines 1 to 7; what a test adds starts in line 8. */
const GOOD = SERVER + CLIENTS + DIRS

function fault(text: string): string {
  try {
    parseConfig(text, 'f.cfg')
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return 'no fault'
}

t.test('a small file has every default', async (t) => {
  const config = parseConfig(GOOD, 'f.cfg')
  t.match(config, {
    file: 'f.cfg',
    server: { user: 'vinayak', ip: '10.0.0.1', port: 1397, line: 2 },
    clients: [
      { name: 'a', user: 'shailesh', ip: '10.0.0.2', port: 1398, line: 4 },
      { name: 'b', user: 'dushyant', ip: '10.0.0.3', port: 1398, line: 5 },
    ],
    warnings: [],
  })
  t.same(config.folders, [
    {
      name: 'docs',
      path: '~/docs',
      line: 7,
      paths: new Map(),
      mode: 'two-way',
      clients: ['a', 'b'],
      receiveOnly: [],
      ignore: [],
      versions: { kind: 'days', days: 30 },
      maxDelete: { kind: 'share', share: 0.5 },
      settleMs: 50,
      rescanMs: 3_600_000,
      conflict: 'latest',
    },
  ])
  t.same(config.ssh, {
    transport: 'embedded',
    sshPort: 22,
    identity: undefined,
    knownHosts: '~/.ssh/known_hosts',
    rpcSocket: undefined,
    authorizedKeys: '~/.ssh/authorized_keys',
    hostKeyChecking: 'accept-new',
  })
  t.same(config.log, { level: 'info', messages: 'messages.log' })
  t.same(config.limits, { upload: 0, download: 0 })
})

t.test('every option is read', async (t) => {
  const config = parseConfig(
    `${GOOD}
[SystemSync.Dir.DOCS]
Mode: mirror
receive-only = B
path.A = /data/docs ; where it is
path.server = "/srv/a;b" # quoted
clients = B, a
ignore = *.tmp, build/, \\#x
versions = 10
max-delete = off
settle = 2s
rescan = 7d
conflict = keep-both
[systemsync.ssh]
transport = openssh
ssh-port = 2222
identity = ~/.ssh/key
known-hosts = /etc/known
rpc-socket = /run/s.sock
authorized-keys = /etc/keys
host-key-checking = yes
[systemsync.log]
level = DEBUG
messages = /var/log/m.log
[systemsync.limits]
upload = 1.5M
download = 64K
`,
    'f.cfg',
  )
  t.match(config.folders[0], {
    mode: 'mirror',
    receiveOnly: ['b'],
    clients: ['b', 'a'],
    ignore: ['*.tmp', 'build/', '#x'],
    versions: { kind: 'count', count: 10 },
    maxDelete: { kind: 'off' },
    settleMs: 2000,
    rescanMs: 7 * 86_400_000,
    conflict: 'keep-both',
  })
  t.same(
    [...(config.folders[0]?.paths ?? [])].map(([node, { path }]) => [node, path]),
    [
      ['a', '/data/docs'],
      ['server', '/srv/a;b'],
    ],
  )
  t.match(config.ssh, {
    transport: 'openssh',
    sshPort: 2222,
    identity: '~/.ssh/key',
    rpcSocket: '/run/s.sock',
    hostKeyChecking: 'yes',
  })
  t.same(config.log, { level: 'debug', messages: '/var/log/m.log' })
  t.same(config.limits, { upload: 1.5 * 1024 * 1024, download: 65536 })
  t.match(config.warnings, [/not built yet/])
})

t.test('every fault names file, line, section and key, and what would be right', async (t) => {
  const option = (line: string) => `${GOOD}[systemsync.dir.docs]\n${line}\n`
  const at9 = (key: string) => `f.cfg:9: [systemsync.dir.docs] ${key}: `
  const cases: [string, string, string][] = [
    ['no server', CLIENTS + DIRS, 'f.cfg: [systemsync.server] server: it is missing'],
    ['no folder', SERVER + CLIENTS, 'f.cfg: [systemsync.dirs]: no folder is named'],
    [
      'too few fields',
      `[systemsync.server]\nserver = x, 1.2.3.4\n${DIRS}`,
      'f.cfg:2: [systemsync.server] server: "x, 1.2.3.4" has 2 fields',
    ],
    [
      'too many fields',
      `[systemsync.server]\nserver = x, 1.2.3.4, 5, 6\n${DIRS}`,
      'has 4 fields: give "user, ip, port"',
    ],
    [
      'a bad port',
      `[systemsync.server]\nserver = x, 1.2.3.4, 70000\n${DIRS}`,
      '"70000" is not right: give a port from 1 to 65535',
    ],
    ['port 0', `[systemsync.server]\nserver = x, 1.2.3.4, 0\n${DIRS}`, 'give a port'],
    ['a port that is none', `[systemsync.server]\nserver = x, 1.2.3.4, 12x\n${DIRS}`, 'give a port'],
    [
      'a bad ip',
      `[systemsync.server]\nserver = x, 1.2.3.400, 1\n${DIRS}`,
      '"1.2.3.400" is not right: give an IP address',
    ],
    ['a bad user', `[systemsync.server]\nserver = a b, 1.2.3.4, 1\n${DIRS}`, '"a b" is not right: give a user name'],
    [
      'a client called server',
      `${GOOD}[systemsync.clients]\nServer = x, 1.1.1.1, 1\n`,
      'f.cfg:9: [systemsync.clients] Server: "server" is the name of the coordinator',
    ],
    [
      'a client name with a slash',
      `${GOOD}[systemsync.clients]\na/b = x, 1.1.1.1, 1\n`,
      'f.cfg:9: [systemsync.clients] a/b: "a/b" is not right',
    ],
    [
      'two equal clients',
      `${GOOD}[systemsync.clients]\nc = shailesh, 10.0.0.2, 1398\n`,
      'f.cfg:9: [systemsync.clients] c: it has the user, ip and port of "a" in line 4',
    ],
    ['a folder name that is a path', `${GOOD}[systemsync.dirs]\n../x = /x\n`, 'f.cfg:9: [systemsync.dirs] ../x'],
    [
      'a folder name with a dot first',
      `${GOOD}[systemsync.dirs]\n.systemsync = /x\n`,
      'f.cfg:9: [systemsync.dirs] .systemsync',
    ],
    [
      'a relative path',
      `${GOOD}[systemsync.dirs]\nx = docs\n`,
      'f.cfg:9: [systemsync.dirs] x: "docs" is not right: give an absolute path',
    ],
    ['another user’s home', `${GOOD}[systemsync.dirs]\nx = ~bob/docs\n`, 'give an absolute path'],
    [
      'a duplicate key',
      `${GOOD}[systemsync.dirs]\nDOCS = /x\n`,
      'f.cfg:9: [systemsync.dirs] DOCS: duplicate key: it is in line 7 already',
    ],
    ['an unknown section', `${GOOD}[systemsync.foo]\n`, 'f.cfg:8: [systemsync.foo]: unknown section'],
    ['a foreign section', `${GOOD}[other]\nx = 1\n`, 'f.cfg:8: [other]: unknown section'],
    [
      'options of no folder',
      `${GOOD}[systemsync.dir.photos]\n`,
      'f.cfg:8: [systemsync.dir.photos]: unknown folder "photos"',
    ],
    ['an unknown key', option('colour = red'), `${at9('colour')}unknown key: known are mode`],
    ['an unknown key of ssh', `${GOOD}[systemsync.ssh]\nx = 1\n`, 'f.cfg:9: [systemsync.ssh] x: unknown key'],
    ['an unknown key of the log', `${GOOD}[systemsync.log]\nx = 1\n`, 'f.cfg:9: [systemsync.log] x: unknown key'],
    [
      'an unknown key of the limits',
      `${GOOD}[systemsync.limits]\nx = 1\n`,
      'f.cfg:9: [systemsync.limits] x: unknown key',
    ],
    [
      'an unknown key of the server',
      `${GOOD}[systemsync.server]\nx = 1\n`,
      'f.cfg:9: [systemsync.server] x: unknown key',
    ],
    [
      'a bad mode',
      option('mode = both'),
      `${at9('mode')}"both" is not right: give one of two-way, mirror, append-only`,
    ],
    ['an unknown client', option('clients = a, z'), `${at9('clients')}"a, z" is not right: give clients out of a, b`],
    ['no client', option('clients ='), `${at9('clients')}"" is not right: give at least one client`],
    ['an empty name', option('clients = a,,b'), 'give a list'],
    ['an unknown receiver', option('receive-only = z'), 'give clients out of a, b'],
    ['a receiver that does not share', option('clients = a\nreceive-only = b'), 'give clients out of a'],
    ['a path of nobody', option('path.z = /x'), `${at9('path.z')}no node is called "z": give server, a, b`],
    ['a relative path of a node', option('path.a = x'), `${at9('path.a')}"x" is not right`],
    ['a bad share', option('max-delete = 120%'), 'give a share from 0% to 100%, or off'],
    ['a share without sign', option('max-delete = 50'), 'give a share'],
    ['a time without unit', option('settle = 50'), 'give a time with its unit'],
    ['a bad time', option('settle = fast'), 'give a time with its unit'],
    ['a rescan without pause', option('rescan = 1ms'), 'give at least 1s'],
    ['bad versions', option('versions = 3w'), 'give days such as 30d'],
    ['no versions', option('versions = 0'), 'give days such as 30d'],
    ['a bad conflict', option('conflict = mine'), 'give one of latest, keep-both'],
    [
      'a bad size',
      `${GOOD}[systemsync.limits]\nupload = 5X\n`,
      'f.cfg:9: [systemsync.limits] upload: "5X" is not right: give bytes per second',
    ],
    ['a bad level', `${GOOD}[systemsync.log]\nlevel = loud\n`, 'give one of error, warn, info, debug'],
    [
      'messages outside',
      `${GOOD}[systemsync.log]\nmessages = ../x\n`,
      'give the name of a file in the state directory',
    ],
    ['a bad host-key-checking', `${GOOD}[systemsync.ssh]\nhost-key-checking = no\n`, 'give one of yes, accept-new'],
    [
      'a line that is nothing',
      `${GOOD}hello\n`,
      'f.cfg:8: [systemsync.dirs]: "hello" is not a setting: write "key = value"',
    ],
    ['a line without key', `${GOOD}= x\n`, 'is not a setting'],
    ['a broken section', `${GOOD}[systemsync.ssh\n`, 'f.cfg:8: [systemsync.dirs]: "[systemsync.ssh" is not a section'],
    ['something after a section', `${GOOD}[systemsync.ssh] x\n`, 'is not a section'],
    ['a setting before any section', `x = 1\n${GOOD}`, 'f.cfg:1: x: it stands before the first section'],
  ]
  for (const [what, text, wanted] of cases) t.match(fault(text), wanted, what)
})

t.test('all faults are told at once, in the order of the file', async (t) => {
  const lines = fault(`${GOOD}[systemsync.log]\nlevel = x\n[systemsync.dirs]\ny = z\n`).split('\n')
  t.equal(lines.length, 2)
  t.match(lines, [/^f\.cfg:9: /, /^f\.cfg:11: /])
})

t.test('older section names are read, with a warning; the new one wins', async (t) => {
  const old = parseConfig(GOOD.replaceAll('systemsync.', 'syncit.'), 'f.cfg')
  t.equal(old.folders[0]?.path, '~/docs')
  t.match(old.warnings, [
    /line 1: \[syncit\.server\] is an older name: write \[systemsync\.server\]/,
    /line 3/,
    /line 6/,
  ])
  const both = parseConfig(`${GOOD}[syncit.dirs]\ndocs = /old\nother = /other\n`, 'f.cfg')
  t.same(
    both.folders.map(({ path }) => path),
    ['~/docs'],
  )
  t.match(both.warnings, [/line 8: \[syncit\.dirs\] is not read: \[systemsync\.dirs\] is there too/])
})

t.test('what is odd but possible is a warning', async (t) => {
  t.match(parseConfig(`${GOOD}[systemsync.clients]\nc = Shailesh, 10.0.0.9, 1398\n`, 'f').warnings, [
    /differ only in case/,
  ])
  t.match(parseConfig(`${GOOD}[systemsync.clients]\nc = bob, 10.0.0.2, 1398\n`, 'f').warnings, [
    /-uname tells them apart/,
  ])
})

t.test('line ends of any kind, a byte order mark, comments and IPv6 are read', async (t) => {
  const config = parseConfig(
    `\uFEFF; hello\r\n# there\r\n[systemsync.server] ; here\r\nserver: root, [::1], 22 # x\r\n${DIRS.replaceAll('\n', '\r\n')}`,
    'f',
  )
  t.match(config.server, { user: 'root', ip: '::1', port: 22, line: 4 })
  t.same(config.clients, [])
})

t.test('a file that cannot be read says why', async (t) => {
  const dir = t.testdir({ big: 'x'.repeat(1024 * 1024 + 1), good: GOOD })
  t.throws(() => loadConfig(join(dir, 'none')), { exitStatus: 78, message: /there is no such file/ })
  t.throws(() => loadConfig(dir), { exitStatus: 78, message: /Cannot read the configuration/ })
  t.throws(() => loadConfig(join(dir, 'big')), { exitStatus: 78, message: /larger than 1 MiB/ })
  t.equal(loadConfig(join(dir, 'good')).server.port, 1397)
})

t.test('the example file is right, and the defaults that it shows are the defaults', async (t) => {
  const example = exampleFile()
  const plain = parseConfig(example, 'example')
  const shown = parseConfig(example.replace(/^#(?=[a-z-]+ = )/gm, '').replace(/^#([a-z-]+ =) /gm, '$1 '), 'example')
  const { file: _file, ...rest } = plain
  const options = (config: typeof plain) => ({
    ...rest,
    folders: config.folders.map((folder) => ({ ...folder, line: 0 })),
    ssh: config.ssh,
    log: config.log,
    limits: config.limits,
  })
  t.same(options(shown), options(plain))
  for (const key of [
    'mode',
    'receive-only',
    'clients',
    'ignore',
    'versions',
    'max-delete',
    'settle',
    'rescan',
    'conflict',
    'path.client2',
    'transport',
    'ssh-port',
    'identity',
    'known-hosts',
    'rpc-socket',
    'authorized-keys',
    'host-key-checking',
    'level',
    'messages',
    'upload',
    'download',
  ]) {
    t.match(example, new RegExp(`^[#;]?${key.replace('.', '\\.')} =`, 'm'), key)
  }
})

function exampleFile(): string {
  for (const place of ['../../systemsync.cfg.example', '../../../systemsync.cfg.example']) {
    try {
      return readFileSync(new URL(place, import.meta.url), 'utf8')
    } catch {
      continue // the compiled test lies one directory deeper than its source
    }
  }
  throw new Error('systemsync.cfg.example is not there')
}
