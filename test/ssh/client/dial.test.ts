import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { prepareDial, type DialSettings } from '../../../lib/ssh/client/dial.ts'
import { SshSession } from '../../../lib/ssh/client/ssh-session.ts'
import { identityIn, makeKey, never, startServer } from './support.ts'

const SYSTEM = '/etc/ssh/ssh_known_hosts'

t.test('address, port and user of systemsync.cfg meet the rest of the ssh configuration', async (t) => {
  const home = t.testdir({})
  const key = makeKey()
  await identityIn(home, key)
  await using server = await startServer({ dir: home })
  writeFileSync(join(home, 'work'), makeKey().privateText, { mode: 0o600 })
  configure(home, [
    'Host coordinator',
    '  HostName 127.0.0.1',
    '  Port 1',
    '  User nobody',
    '  IdentityFile ~/work',
    '  UserKnownHostsFile ~/hosts',
  ])
  const options = await prepareDial({ ...settings(home), address: 'coordinator', port: server.port }, never())
  t.match(options, {
    address: '127.0.0.1',
    port: server.port,
    user: 'alice',
    knownHosts: [join(home, 'hosts'), SYSTEM],
    proxyJump: [],
  })
  t.same(names(options), ['~/work'])
  await using session = await SshSession.open(options, never())
  t.equal(session.identity.name, '~/work')
})

t.test('a key and a known_hosts file of systemsync.cfg go before those of the ssh configuration', async (t) => {
  const home = t.testdir({})
  await identityIn(home, makeKey())
  configure(home, ['Host *', '  IdentityFile ~/work', '  UserKnownHostsFile ~/hosts'])
  const own = { identity: join(home, '.ssh/id_ed25519'), knownHosts: join(home, 'mine') }
  const options = await prepareDial({ ...settings(home), ...own }, never())
  t.same(names(options), ['~/.ssh/id_ed25519'])
  t.same(options.knownHosts, [join(home, 'mine'), SYSTEM])
})

t.test('machines on the way have their own names, ports, users and keys', async (t) => {
  const home = t.testdir({})
  await identityIn(home, makeKey())
  writeFileSync(join(home, 'gate'), makeKey().privateText, { mode: 0o600 })
  configure(home, [
    'Host gate',
    '  HostName 192.0.2.1',
    '  Port 2200',
    '  User gatekeeper',
    '  IdentityFile ~/gate',
    'Host 10.*',
    '  ProxyJump gate,bob@other:23',
  ])
  const options = await prepareDial(settings(home), never())
  t.match(options.proxyJump, [
    { address: '192.0.2.1', port: 2200, user: 'gatekeeper' },
    { address: 'other', port: 23, user: 'bob' },
  ])
  t.same(options.proxyJump?.map(names), [['~/gate'], ['~/.ssh/id_ed25519']])
})

t.test('an agent is asked unless the configuration says none', async (t) => {
  const home = t.testdir({})
  const agentSocket = join(home, 'agent.sock')
  const asked = await prepareDial({ ...settings(home), agentSocket }, never())
  t.match(asked.identities.skipped, [{ name: agentSocket }])
  configure(home, ['Host *', '  IdentityAgent none'])
  const unasked = await prepareDial({ ...settings(home), agentSocket }, never())
  t.same(unasked.identities.skipped, [])
})

function settings(home: string): DialSettings {
  return {
    address: '10.0.0.1',
    port: 1397,
    user: 'alice',
    home,
    identity: undefined,
    knownHosts: join(home, '.ssh/known_hosts'),
    hostKeyChecking: 'accept-new',
    agentSocket: undefined,
  }
}

function configure(home: string, lines: readonly string[]): void {
  mkdirSync(join(home, '.ssh'), { recursive: true })
  writeFileSync(join(home, '.ssh/config'), `${lines.join('\n')}\n`, { mode: 0o600 })
}

function names(host: { identities: { usable: readonly { name: string }[] } }): string[] {
  return host.identities.usable.map(({ name }) => name)
}
