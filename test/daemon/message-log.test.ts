import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../lib/daemon/clock.ts'
import { openMessageLog } from '../../lib/daemon/message-log.ts'

t.test('each message is a line with time, peer and direction; secrets are left out, long ones cut', async (t) => {
  const file = join(t.testdir({}), 'messages.log')
  const clock = { ...systemClock, now: () => 0 }
  using log = openMessageLog(file, { clock })
  log.note('client1', 'in', { method: 'x', params: { token: 'abc' } })
  log.note('server', 'out', { text: '😀'.repeat(5000) })
  log.note('server', 'out', undefined)
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  t.same(JSON.parse(lines[0] ?? ''), {
    time: '1970-01-01T00:00:00.000Z',
    peer: 'client1',
    direction: 'in',
    message: { method: 'x', params: { token: '[secret]' } },
  })
  t.match(JSON.parse(lines[1] ?? ''), {
    peer: 'server',
    direction: 'out',
    message: /^\{"text":"😀/,
    note: /^cut: 100\d\d characters$/,
  })
  t.ok((lines[1] ?? '').length < 5000)
  t.match(JSON.parse(lines[2] ?? ''), { message: null })
})
