import t from 'tap'
import { redact } from '../../lib/daemon/redact.ts'

t.test('what is secret by its name is left out, at any depth, and the original stays', async (t) => {
  const message = {
    key: 'a',
    privateKey: 'b',
    'api-token': 'c',
    nested: [{ passphrase: 'd', Secret: { x: 1 }, code: 'e' }],
    error: { code: -32601, message: 'm' },
    keys: 3,
    monkey: 'ape',
    none: null,
  }
  const secret = '[secret]'
  t.same(redact(message), {
    key: secret,
    privateKey: secret,
    'api-token': secret,
    nested: [{ passphrase: secret, Secret: secret, code: secret }],
    error: { code: -32601, message: 'm' },
    keys: 3,
    monkey: 'ape',
    none: null,
  })
  t.equal(message.key, 'a')
})

t.test('hostile values do no harm', async (t) => {
  let deep: unknown = 'x'
  for (let n = 0; n < 100_000; n++) deep = [deep]
  t.match(JSON.stringify(redact(deep)), /^\[+"\[deeper\]"\]+$/)
  const odd = redact(JSON.parse('{"__proto__":{"polluted":1}}'))
  t.equal((odd as { polluted?: number }).polluted, undefined)
})
