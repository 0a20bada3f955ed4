import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { parseProxyJump, readSshConfig, type HostQuery } from '../../../lib/ssh/client/ssh-config.ts'
import { never } from './support.ts'

const CONFIG = `
Host 10.0.*
  HostName box.example.com
  Port 2222
  User nobody
  IdentityFile ~/.ssh/%h_key
  IdentityFile "~/.ssh/my key"
  IdentitiesOnly yes
  IdentityAgent ~/agent.sock
  ProxyJump gate@jump.example.com:2200,inner
  UserKnownHostsFile ~/hosts /etc/other_hosts
Host jump
  HostName 192.0.2.1
  Port 2200
  User gate
Host bare
  IdentityAgent none
  ProxyJump none
Host one-usual
  IdentityFile ~/.ssh/id_ecdsa
`

for (const useSsh of hasSsh() ? [true, false] : [false]) {
  const reader = useSsh ? 'ssh itself' : 'our own reading'

  t.test(
    `${reader}: facts of a host are found by its address, and address, port and user of the question win`,
    async (t) => {
      const { home, ask } = setUp(t, useSsh)
      t.same(await ask({ address: '10.0.0.1', port: 1397, user: 'alice' }), {
        hostName: 'box.example.com',
        port: 1397,
        user: 'alice',
        identityFiles: [`${home}/.ssh/box.example.com_key`, `${home}/.ssh/my key`],
        identitiesOnly: true,
        identityAgent: `${home}/agent.sock`,
        proxyJump: [
          { address: 'jump.example.com', port: 2200, user: 'gate' },
          { address: 'inner', port: undefined, user: undefined },
        ],
        knownHostsFiles: [`${home}/hosts`, '/etc/other_hosts'],
      })
    },
  )

  t.test(`${reader}: a jump host has the port and user of its own section`, async (t) => {
    const { ask } = setUp(t, useSsh)
    t.match(await ask({ address: 'jump', port: undefined, user: undefined }), {
      hostName: '192.0.2.1',
      port: 2200,
      user: 'gate',
    })
  })

  t.test(`${reader}: a host of which nothing is said has the usual everything`, async (t) => {
    const { ask } = setUp(t, useSsh)
    t.match(await ask({ address: '198.51.100.7', port: 22, user: 'alice' }), {
      hostName: '198.51.100.7',
      identityFiles: [],
      identitiesOnly: false,
      identityAgent: undefined,
      proxyJump: [],
      knownHostsFiles: [],
    })
    t.match(await ask({ address: 'bare', port: 22, user: 'alice' }), { identityAgent: 'none', proxyJump: [] })
  })

  t.test(`${reader}: a usual file that is named is a named file`, async (t) => {
    const { home, ask } = setUp(t, useSsh)
    t.match(await ask({ address: 'one-usual', port: 22, user: 'alice' }), { identityFiles: [`${home}/.ssh/id_ecdsa`] })
  })

  t.test(`${reader}: no configuration is no trouble`, async (t) => {
    const query = { address: 'host', port: 22, user: 'alice', home: t.testdir({}), useSsh }
    t.match(await readSshConfig(query, never()), { hostName: 'host', identityFiles: [] })
  })
}

t.test(
  'a configuration that ssh refuses is an error with its line',
  { skip: !hasSsh() && 'ssh is not installed' },
  async (t) => {
    const { ask } = setUp(t, true, 'Host *\n  NoSuchOption yes\n')
    await t.rejects(ask({ address: 'host', port: 22, user: 'alice' }), { name: 'ConfigError', message: /host/i })
  },
)

t.test(
  'an address that looks like an option is still an address',
  { skip: !hasSsh() && 'ssh is not installed' },
  async (t) => {
    const { ask } = setUp(t, true)
    await t.rejects(ask({ address: '-oProxyCommand=true', port: 22, user: 'alice' }), { name: 'ConfigError' })
  },
)

t.test('a configuration that cannot be read is an error', async (t) => {
  const home = t.testdir({ '.ssh': { config: {} } })
  await t.rejects(readSshConfig({ address: 'h', port: 22, user: 'a', home, useSsh: false }, never()), {
    name: 'ConfigError',
    message: /EISDIR/,
  })
})

t.test('an abort ends the question', { skip: !hasSsh() && 'ssh is not installed' }, async (t) => {
  const why = new Error('enough')
  const { ask } = setUp(t, true)
  await t.rejects(ask({ address: 'host', port: 22, user: 'alice' }, AbortSignal.abort(why)), why)
})

t.test('jump hosts are read in every spelling', async (t) => {
  t.same(parseProxyJump('none'), [])
  t.same(parseProxyJump(''), [])
  t.same(parseProxyJump('a, b:2200'), [
    { address: 'a', port: undefined, user: undefined },
    { address: 'b', port: 2200, user: undefined },
  ])
  t.same(parseProxyJump('ssh://me@[2001:db8::1]:22'), [{ address: '2001:db8::1', port: 22, user: 'me' }])
  t.throws(() => parseProxyJump('a,,b'), { name: 'ConfigError' })
})

function setUp(t: Test, useSsh: boolean, text = CONFIG) {
  const home = t.testdir({})
  mkdirSync(join(home, '.ssh'))
  writeFileSync(join(home, '.ssh/config'), text, { mode: 0o600 })
  const ask = (query: Omit<HostQuery, 'home'>, signal = never()) => readSshConfig({ ...query, home, useSsh }, signal)
  return { home, ask }
}

function hasSsh(): boolean {
  try {
    execFileSync('ssh', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
