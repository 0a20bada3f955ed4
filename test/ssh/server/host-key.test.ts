// The host key: made once, private, never replaced.

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync, readdirSync } from 'node:fs'
import ssh2 from 'ssh2'
import t from 'tap'
import { skipWithout } from './ssh-fixture.ts'
import { loadHostKey, makeHostKey } from '../../../lib/ssh/server/host-key.ts'

function logged() {
  const said: string[] = []
  const say = (message: string) => void said.push(message)
  return { said, log: { info: say, warn: say } }
}

t.test('a key is made at first start, private, and is the same from then on', async (t) => {
  const file = `${t.testdir()}/host_key`
  const { said, log } = logged()
  const made = await loadHostKey(file, log)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.match(made.publicText, /^ssh-ed25519 AAAA/)
  t.same(await loadHostKey(file, log), made)
  t.equal(said.length, 1)
  t.same(readdirSync(t.testdirName), ['host_key'], 'nothing else is left')
})

t.test('two starts at once agree on one key', async (t) => {
  const file = `${t.testdir()}/host_key`
  const { log } = logged()
  const [one, other] = await Promise.all([loadHostKey(file, log), loadHostKey(file, log)])
  t.equal(one.fingerprint, other.fingerprint)
})

t.test('a key that others can read is made private, with a warning', async (t) => {
  const file = `${t.testdir()}/host_key`
  const { said, log } = logged()
  await loadHostKey(file, log)
  chmodSync(file, 0o644)
  await loadHostKey(file, log)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.match(said[1], /Made the host key .* private/)
})

t.test('a file that is no key is refused and kept', async (t) => {
  const file = `${t.testdir({ host_key: 'not a key' })}/host_key`
  const { log } = logged()
  await t.rejects(loadHostKey(file, log), { code: 'CONFIG', exitStatus: 78 })
  t.equal(readFileSync(file, 'utf8'), 'not a key')
})

t.test('a public key is refused', async (t) => {
  const file = `${t.testdir()}/host_key`
  writeFileSync(file, makeHostKey().publicText)
  await t.rejects(loadHostKey(file, logged().log), { code: 'CONFIG' })
})

t.test('a key with a passphrase is refused', async (t) => {
  const file = `${t.testdir()}/host_key`
  const pair = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256, passphrase: 'x', cipher: 'aes256-ctr', rounds: 1 })
  writeFileSync(file, pair.private)
  await t.rejects(loadHostKey(file, logged().log), { code: 'CONFIG' })
})

t.test('a link and a directory are refused', async (t) => {
  const dir = t.testdir()
  const { log } = logged()
  await loadHostKey(`${dir}/real`, log)
  symlinkSync('real', `${dir}/link`)
  mkdirSync(`${dir}/dir`)
  await t.rejects(loadHostKey(`${dir}/link`, log), { code: 'CONFIG' })
  await t.rejects(loadHostKey(`${dir}/dir`, log), { code: 'CONFIG' })
})

t.test('a place that cannot be written is said', async (t) => {
  await t.rejects(loadHostKey(`${t.testdir()}/missing/host_key`, logged().log), { code: 'CONFIG' })
  await t.rejects(loadHostKey(`${t.testdir({ file: '' })}/file/host_key`, logged().log), { code: 'CONFIG' })
})

t.test('every key that is made can be read and signs', (t) => {
  for (let i = 0; i < 100; i++) {
    const key = ssh2.utils.parseKey(makeHostKey().privateText)
    if (key instanceof Error) throw key
    t.ok(key.isPrivateKey())
  }
  t.end()
})

t.test('ssh-keygen reads the key and finds the same fingerprint', skipWithout('ssh-keygen'), async (t) => {
  const file = `${t.testdir()}/host_key`
  const made = await loadHostKey(file, logged().log)
  t.match(execFileSync('ssh-keygen', ['-lf', file], { encoding: 'utf8' }), made.fingerprint)
})
