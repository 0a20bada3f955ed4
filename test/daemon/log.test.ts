import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import sinon from 'sinon'
import t from 'tap'
import { openLog, silentLog } from '../../lib/daemon/log.ts'
import { Unreachable } from '../../lib/errors.ts'

function linesOf(file: string): Record<string, unknown>[] {
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

t.test('the file gets JSON lines with facts, without secrets, from the level on', async (t) => {
  const file = join(t.testdir({}), 'x.log')
  using log = openLog({ level: 'info', file, terminal: 'none' })
  log.info('hello', { folder: 'docs', token: 'abc' })
  log.debug('not told')
  const child = log.child({ peer: 'a', key: 'k' })
  child.warn('careful', { error: new Unreachable('Cannot reach "x"', { hint: 'wait' }) })
  child.child({ more: 1 }).error('bad', { error: new Error('bug') })
  const lines = linesOf(file)
  t.match(lines, [
    { level: 'info', msg: 'hello', folder: 'docs', token: '[secret]', time: /^\d{4}-.*Z$/ },
    { level: 'warn', msg: 'careful', peer: 'a', key: '[secret]', error: 'Cannot reach "x" (wait)' },
    { level: 'error', msg: 'bad', peer: 'a', more: 1, error: /^Error: bug\n.*at / },
  ])
  t.equal(lines.length, 3)
})

t.test('the terminal gets JSON lines on standard error when that was asked for', async (t) => {
  const write = sinon.stub(process.stderr, 'write').returns(true)
  t.teardown(() => {
    write.restore()
  })
  using log = openLog({ level: 'debug', terminal: 'json' })
  log.debug('hello')
  const [said] = write.getCall(0).args
  write.restore()
  t.match(JSON.parse(String(said)), { level: 'debug', msg: 'hello' })
})

t.test('a silent log takes everything', async (t) => {
  t.doesNotThrow(() => {
    silentLog.child({ a: 1 }).error('x')
  })
})

t.test('a log that cannot be opened says so', async (t) => {
  const dir = t.testdir({ file: '' })
  t.throws(() => openLog({ level: 'info', file: join(dir, 'file/x.log'), terminal: 'none' }))
})
