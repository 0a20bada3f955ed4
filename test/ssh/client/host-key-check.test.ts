import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HostKeyCheck } from '../../../lib/ssh/client/host-key-check.ts'
import { makeKey } from './support.ts'

const key = makeKey()
const line = `[host]:1397 ${key.type} ${key.blob.toString('base64')}\n`

t.test('algorithms of known keys are offered first, and SHA-1 never', async (t) => {
  const fresh = await check(t, '')
  t.equal(fresh.algorithms()[0], 'ssh-ed25519')
  t.notOk((fresh.algorithms() as string[]).includes('ssh-rsa'))
  const rsa = await check(t, '[host]:1397 ssh-rsa AAAA\n')
  t.same(rsa.algorithms().slice(0, 3), ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-ed25519'])
})

t.test('a new key is recorded only when asked to, once it is proved', async (t) => {
  const it = await check(t, '')
  t.equal(it.accepts(key.blob), true)
  t.equal(readFileSync(it.file, 'utf8'), '')
  t.match(await it.remember(), /trusting the new host key SHA256:.* of host port 1397/)
  t.equal(readFileSync(it.file, 'utf8'), line)
})

t.test('a known key is accepted and nothing is recorded', async (t) => {
  const it = await check(t, line, 'yes')
  t.equal(it.accepts(key.blob), true)
  t.equal(await it.remember(), undefined)
  t.equal(readFileSync(it.file, 'utf8'), line)
})

t.test('a server may not change its key within a connection', async (t) => {
  const it = await check(t, '')
  t.equal(it.accepts(key.blob), true)
  t.equal(it.accepts(Buffer.from(key.blob)), true)
  t.equal(it.accepts(makeKey().blob), false)
})

t.test('the accepted key is kept although the buffer it came in is used again', async (t) => {
  const it = await check(t, '')
  const blob = Buffer.from(key.blob)
  it.accepts(blob)
  blob.fill(0)
  t.ok(it.blob?.equals(key.blob))
})

t.test('changed, unknown and revoked keys are refused with words of their own', async (t) => {
  const cases = [
    { text: line, checking: 'accept-new', blob: makeKey().blob, code: 'HOST_KEY_CHANGED' },
    { text: '', checking: 'yes', blob: key.blob, code: 'HOST_KEY_UNKNOWN' },
    { text: `@revoked ${line}`, checking: 'accept-new', blob: key.blob, code: 'HOST_KEY_REVOKED' },
    { text: '', checking: 'yes', blob: Buffer.from('x'), code: 'HOST_KEY_UNKNOWN' },
  ] as const
  for (const { text, checking, blob, code } of cases) {
    const it = await check(t, text, checking)
    t.equal(it.accepts(blob), false)
    t.match(it.refusal, { name: 'Unauthorised', code, retry: 'never', hint: /./ })
    t.equal(it.blob, undefined)
  }
})

t.test('a key that cannot be recorded is a refusal', async (t) => {
  const it = await check(t, '', 'accept-new', 'sub/known_hosts')
  it.accepts(key.blob)
  mkdirSync(it.file, { recursive: true })
  await t.rejects(it.remember(), { name: 'Unauthorised', retry: 'later', hint: /known-hosts/ })
  t.match(it.refusal, { message: /Cannot remember/ })
})

t.test('files that cannot be read are a refusal', async (t) => {
  const host = { address: 'host', port: 1397, knownHosts: [t.testdir({})], hostKeyChecking: 'accept-new' as const }
  await t.rejects(HostKeyCheck.load(host), { name: 'Unauthorised', retry: 'later', message: /EISDIR/ })
})

async function check(
  t: Test,
  text: string,
  hostKeyChecking: 'yes' | 'accept-new' = 'accept-new',
  name = 'known_hosts',
) {
  const file = join(t.testdir({}), name)
  if (name === 'known_hosts') writeFileSync(file, text)
  const loaded = await HostKeyCheck.load({ address: 'host', port: 1397, knownHosts: [file], hostKeyChecking })
  return Object.assign(loaded, { file })
}
