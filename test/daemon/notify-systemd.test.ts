import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { notifySystemd } from '../../lib/daemon/notify-systemd.ts'

t.test('without a socket, or with one that cannot be, nobody is told', async (t) => {
  t.equal(await notifySystemd('READY=1', undefined), false)
  t.equal(await notifySystemd('READY=1', ''), false)
  t.equal(await notifySystemd('READY=1', 'relative'), false)
  t.equal(await notifySystemd('READY=1', `/${'x'.repeat(200)}`), false)
  t.equal(await notifySystemd('READY=1', join(t.testdir({}), 'none')), false)
})

const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', chr(0), 1))
print('listening', flush=True)
print(s.recv(100).decode(), flush=True)
`

t.test('the service manager hears it, on an abstract socket too', async (t) => {
  const name = `systemsync-test-${String(process.pid)}`
  for (const socket of [`@${name}`, `/tmp/${name}.sock`]) {
    t.teardown(() => {
      rmSync(socket, { force: true })
    })
    const listener = spawn('python3', ['-c', LISTEN, socket])
    const failed = once(listener, 'error').then(() => 'no python')
    const said: string[] = []
    listener.stdout.on('data', (text: Buffer) => said.push(text.toString()))
    if ((await Promise.race([failed, once(listener.stdout, 'data')])) === 'no python') {
      t.comment('skipped: there is no python3 to listen with')
      return
    }
    t.equal(await notifySystemd('READY=1', socket), true)
    await once(listener, 'close')
    t.equal(said.join(''), 'listening\nREADY=1\n')
  }
})
