// Logins that must not succeed, and those that must.

import { createHash } from 'node:crypto'
import ssh2, { type ParsedKey, type PublicKeyAuthContext } from 'ssh2'
import t from 'tap'
import { makeHostKey } from '../../../lib/ssh/server/host-key.ts'
import { judgeLogin } from '../../../lib/ssh/server/public-key-login.ts'

const SIGNED = Buffer.from('what is signed')
const everybody = () => true

function keyOf(privateText: string): ParsedKey {
  const key = ssh2.utils.parseKey(privateText)
  if (key instanceof Error) throw key
  return key
}

/** What ssh2 hands over; `sign: false` is the question whether the key would do. */
function context(key: ParsedKey, { sign = true, hash }: { sign?: boolean; hash?: string } = {}): PublicKeyAuthContext {
  const signature = key.sign(SIGNED, hash)
  const parts = { username: 'ann', key: { algo: key.type, data: key.getPublicSSH() }, hashAlgo: hash }
  return { ...parts, ...(sign ? { blob: SIGNED, signature } : {}) } as unknown as PublicKeyAuthContext
}

const ed25519 = keyOf(makeHostKey().privateText)
const rsa = keyOf(ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 }).private)

t.test('a signature that verifies proves the key', async (t) => {
  const verdict = await judgeLogin(context(ed25519), '127.0.0.1', everybody)
  const blob = ed25519.getPublicSSH()
  const fingerprint = `SHA256:${createHash('sha256').update(blob).digest('base64').slice(0, 43)}`
  t.same(verdict, { kind: 'proved', key: { type: 'ssh-ed25519', blob, fingerprint } })
})

t.test('a question without a signature proves nothing', async (t) => {
  t.match(await judgeLogin(context(ed25519, { sign: false }), '127.0.0.1', everybody), { kind: 'welcome' })
})

t.test('RSA with SHA-2 proves the key', async (t) => {
  for (const hash of ['sha256', 'sha512']) {
    t.match(await judgeLogin(context(rsa, { hash }), '127.0.0.1', everybody), { kind: 'proved' })
  }
})

t.test('RSA with SHA-1 is refused, asked or signed', async (t) => {
  for (const sign of [true, false]) {
    t.match(await judgeLogin(context(rsa, { sign }), '127.0.0.1', everybody), { kind: 'refused', reason: /SHA-1/ })
  }
})

t.test('RSA below 2048 bits is refused', async (t) => {
  const weak = keyOf(ssh2.utils.generateKeyPairSync('rsa', { bits: 1024 }).private)
  t.match(await judgeLogin(context(weak, { hash: 'sha256' }), '127.0.0.1', everybody), {
    kind: 'refused',
    reason: /2048/,
  })
})

t.test('a signature of something else is refused', async (t) => {
  const forged = { ...context(ed25519), blob: Buffer.from('something else') } as PublicKeyAuthContext
  t.match(await judgeLogin(forged, '127.0.0.1', everybody), { kind: 'refused', reason: /signature/ })
})

t.test('a signature that cannot be checked at all is refused', async (t) => {
  const broken = { ...context(ed25519), hashAlgo: 'nonsense', signature: Buffer.alloc(3) } as unknown
  t.match(await judgeLogin(broken as PublicKeyAuthContext, '127.0.0.1', everybody), { kind: 'refused' })
})

t.test('a key that is not authorised is refused, and its blob is never parsed', async (t) => {
  const hostile = { username: 'ann', key: { algo: 'ssh-ed25519', data: Buffer.from('-----BEGIN') } } as unknown
  const asked: unknown[] = []
  const nobody = (...question: unknown[]) => {
    asked.push(question)
    return false
  }
  t.match(await judgeLogin(hostile as PublicKeyAuthContext, '10.0.0.1', nobody), {
    kind: 'refused',
    reason: /not authorised/,
  })
  t.match(asked, [[{ type: 'ssh-ed25519' }, 'ann', '10.0.0.1']])
})

t.test('a blob of another type than the one named is refused', async (t) => {
  const mixed = {
    ...context(rsa, { hash: 'sha256' }),
    key: { algo: 'ssh-ed25519', data: rsa.getPublicSSH() },
  } as unknown
  t.match(await judgeLogin(mixed as PublicKeyAuthContext, '127.0.0.1', everybody), { kind: 'refused', reason: /type/ })
})

t.test('no blob is too short for the checks', async (t) => {
  const blob = rsa.getPublicSSH()
  for (const length of [0, 3, 11, 15, 19, 23, blob.length - 1]) {
    const cut = {
      ...context(rsa, { hash: 'sha256' }),
      key: { algo: 'ssh-rsa', data: blob.subarray(0, length) },
    } as unknown
    t.match(await judgeLogin(cut as PublicKeyAuthContext, '127.0.0.1', everybody), { kind: 'refused' })
  }
})
