import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KnownHosts, knownHostsLine, knownHostsName } from '../../../lib/ssh/client/known-hosts.ts'
import { makeKey } from './support.ts'

const a = makeKey()
const b = makeKey()
const line = (hosts: string, key = a) => `${hosts} ${key.type} ${key.blob.toString('base64')}`

t.test('a line names hosts as OpenSSH reads it', async (t) => {
  const cases: readonly (readonly [hosts: string, host: string, port: number, found: boolean])[] = [
    ['example.com', 'example.com', 22, true],
    ['Example.COM', 'eXample.com', 22, true],
    ['example.com', 'example.com', 1397, false],
    ['example.com', 'example.org', 22, false],
    ['[example.com]:1397', 'example.com', 1397, true],
    ['[example.com]:1397', 'example.com', 1398, false],
    ['[::1]:1397', '::1', 1397, true],
    ['10.0.0.1,example.com', 'example.com', 22, true],
    ['*.example.com', 'a.b.example.com', 22, true],
    ['*.example.com', 'example.com', 22, false],
    ['10.0.0.?', '10.0.0.7', 22, true],
    ['10.0.0.?', '10.0.0.77', 22, false],
    ['*', 'anything', 1397, true],
    ['*.example.com,!bad.example.com', 'bad.example.com', 22, false],
    ['*.example.com,!bad.example.com', 'good.example.com', 22, true],
    ['!bad.example.com', 'good.example.com', 22, false],
    ['a*b*c', 'aXbbYc', 22, true],
    ['a*b*c', 'aXcYb', 22, false],
    ['|1|broken', 'example.com', 22, false],
    ['|2|AAAA|AAAA', 'example.com', 22, false],
  ]
  for (const [hosts, host, port, found] of cases) {
    const known = await knownFrom(t, `${line(hosts)}\n`)
    t.equal(known.check(host, port, a.type, a.blob), found ? 'known' : 'unknown', `${hosts} and ${host}:${port}`)
  }
})

t.test('hashed names mean what ssh-keygen -F finds', async (t) => {
  const dir = t.testdir({ known_hosts: [line('example.com'), line('[10.0.0.1]:1397', b), ''].join('\n') })
  const file = join(dir, 'known_hosts')
  execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'ignore' })
  t.notMatch(readFileSync(file, 'utf8'), /example/)
  const known = await KnownHosts.load([file])
  t.equal(known.check('example.com', 22, a.type, a.blob), 'known')
  t.equal(known.check('10.0.0.1', 1397, b.type, b.blob), 'known')
  t.equal(known.check('10.0.0.2', 1397, b.type, b.blob), 'unknown')
  t.match(execFileSync('ssh-keygen', ['-F', '[10.0.0.1]:1397', '-f', file], { encoding: 'utf8' }), /line 2/)
  t.match(known.check('10.0.0.1', 1397, a.type, a.blob), { kind: 'changed', file, line: 2 })
})

t.test(
  'a changed key is told with the file and line of the old one, counted over comments and blank lines',
  async (t) => {
    const dir = t.testdir({ one: `# a comment\n`, two: `\n# more\n${line('host', b)} somebody@somewhere\r\n` })
    const known = await KnownHosts.load([join(dir, 'one'), join(dir, 'two')])
    t.same(known.check('host', 22, a.type, a.blob), { kind: 'changed', file: join(dir, 'two'), line: 3 })
    t.equal(known.check('host', 22, b.type, b.blob), 'known')
  },
)

t.test('a key of another type than the known one is a change, not a new key', async (t) => {
  const known = await knownFrom(t, line('host'))
  t.match(known.check('host', 22, 'ssh-rsa', b.blob), { kind: 'changed', line: 1 })
})

t.test('a revoked key is refused even where another line trusts it', async (t) => {
  const known = await knownFrom(t, `${line('host')}\n@revoked ${line('*')}\n`)
  t.equal(known.check('host', 22, a.type, a.blob), 'revoked')
  t.equal(
    known.check('elsewhere', 22, b.type, b.blob),
    'unknown',
    'another key of a host with a revoked one is just new',
  )
})

t.test('authorities, types that cannot be checked and broken lines say nothing', async (t) => {
  const text = [
    `@cert-authority ${line('host')}`,
    'host ssh-dss AAAA',
    'host',
    'host ssh-ed25519',
    `@odd ${line('host')}`,
  ]
  const known = await knownFrom(t, text.join('\n'))
  t.equal(known.check('host', 22, a.type, a.blob), 'unknown')
  t.same(known.keyTypes('host', 22), [])
})

t.test('the known types of a host come in the order of the lines, once each', async (t) => {
  const text = ['host ssh-rsa AAAA', line('host'), line('host', b), `@revoked host ecdsa-sha2-nistp256 AAAA`]
  const known = await knownFrom(t, text.join('\n'))
  t.same(known.keyTypes('host', 22), ['ssh-rsa', 'ssh-ed25519'])
})

t.test('a new key makes the file and its directory for this user alone, and is known from then on', async (t) => {
  const file = join(t.testdir(), 'made', '.ssh', 'known_hosts')
  const known = await KnownHosts.load([file])
  t.equal(await known.add('10.0.0.1', 1397, a.type, a.blob), file)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(statSync(join(file, '..')).mode & 0o777, 0o700)
  t.equal((await KnownHosts.load([file])).check('10.0.0.1', 1397, a.type, a.blob), 'known')
  t.match(execFileSync('ssh-keygen', ['-F', '[10.0.0.1]:1397', '-f', file], { encoding: 'utf8' }), /found: line 1/)
})

t.test('a new key starts a line of its own when the last line was left open', async (t) => {
  const dir = t.testdir({ known_hosts: line('host') })
  const file = join(dir, 'known_hosts')
  await (await KnownHosts.load([file])).add('other', 22, b.type, b.blob)
  await (await KnownHosts.load([file])).add('third', 22, b.type, b.blob)
  t.equal(readFileSync(file, 'utf8'), `${line('host')}\n${line('other', b)}\n${line('third', b)}\n`)
})

t.test('a file that is there but cannot be read is an error, not an empty file', async (t) => {
  await t.rejects(KnownHosts.load([t.testdir()]), { code: 'EISDIR' })
})

t.test('without a file nothing can be added', async (t) => {
  await t.rejects((await KnownHosts.load([])).add('host', 22, a.type, a.blob), /no known_hosts file/)
})

t.test('names and lines are spelled as OpenSSH spells them', async (t) => {
  t.equal(knownHostsName('Host', 22), 'host')
  t.equal(knownHostsName('::1', 2222), '[::1]:2222')
  t.equal(knownHostsLine('host', 22, a.type, a.blob), line('host'))
})

async function knownFrom(t: Test, text: string): Promise<KnownHosts> {
  const file = join(t.testdir(), 'known_hosts')
  writeFileSync(file, text)
  return await KnownHosts.load([file])
}
