import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { fakeMethods } from './fake-methods.ts'
import { callDaemon, hasDaemon, serveControl } from '../../lib/commands/control-socket.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { Refused, Unreachable } from '../../lib/errors.ts'
import { hostPath } from '../../lib/model/path.ts'

const never = new AbortController().signal

t.test('a daemon answers on a socket for its owner only, however long the path', async (t) => {
  const dir = hostPath(join(t.testdir({}), 'a'.repeat(120), 'b'.repeat(120)))
  t.equal(await hasDaemon(dir), false, 'no directory')
  mkdirSync(dir, { recursive: true })
  t.equal(await hasDaemon(dir), false, 'no socket')
  await t.rejects(callDaemon(dir, { method: 'status', params: {} }, never), Unreachable)
  {
    await using _server = await serveControl(dir, fakeMethods(), silentLog)
    t.equal(statSync(join(dir, 'control.sock')).mode & 0o777, 0o600)
    t.equal(await hasDaemon(dir), true)
    t.match(await callDaemon(dir, { method: 'status', params: {} }, never), { node: 'client1' })
    t.match(await callDaemon(dir, { method: 'restore', params: { folder: 'docs', path: 'a', rev: 3 } }, never), {
      rev: 4,
    })
    await t.rejects(callDaemon(dir, { method: 'confirm', params: { folder: 'none' } }, never), Refused)
  }
  t.equal(await hasDaemon(dir), false)
  t.notOk(existsSync(join(dir, 'control.sock')), 'nothing is left')
})

t.test('a dead daemon’s socket is replaced', async (t) => {
  const dir = hostPath(t.testdir({}))
  writeFileSync(join(dir, 'control.sock'), '')
  await t.resolves(hasDaemon(dir))
  await using _server = await serveControl(dir, fakeMethods(), silentLog)
  t.equal(await hasDaemon(dir), true)
})

t.test('an answer that breaks the contract is not passed on', async (t) => {
  const dir = hostPath(mkdtempSync(join(tmpdir(), 'control-')))
  t.teardown(() => {
    rmSync(dir, { recursive: true })
  })
  const server = createServer((socket) => {
    socket.on('data', () => socket.write('{"jsonrpc":"2.0","id":1,"result":{"node":5}}\n'))
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(join(dir, 'control.sock'), resolve))
  await t.rejects(callDaemon(dir, { method: 'status', params: {} }, never), {
    code: 'PROTOCOL',
    message: /Cannot understand/,
  })
  await new Promise((resolve) => server.close(resolve))
})
