import { EventEmitter } from 'node:events'
import type { SFTPWrapper } from 'ssh2'
import t from 'tap'
import { Refused, Unreachable } from '../../../lib/errors.ts'
import type { Clock } from '../../../lib/daemon/clock.ts'
import { ChannelWatch, isNoSuchFile, toSftpError } from '../../../lib/ssh/client/sftp-calls.ts'
import { never } from './support.ts'

/** A channel on which the test gives the answers. */
class FakeSftp extends EventEmitter {
  readonly answers: ((error?: Error, value?: unknown) => void)[] = []
  ended = 0
  open(_path: string, _flags: number, done: () => void): void {
    this.answers.push(done)
  }
  close(_handle: Buffer, done: () => void): void {
    this.answers.push(done)
  }
  ext_openssh_fsync(): void {
    throw new Error('Server does not support this extended request')
  }
  end(): void {
    this.ended++
  }
}

/** A clock that moves when told. */
class FakeClock implements Clock {
  time = 0
  due: { at: number; fn: () => void }[] = []
  now(): number {
    return this.time
  }
  monotonic(): number {
    return this.time
  }
  sleep(): Promise<void> {
    throw new Error('unused')
  }
  after(ms: number, fn: () => void): Disposable {
    const one = { at: this.time + ms, fn }
    this.due.push(one)
    return { [Symbol.dispose]: () => void (this.due = this.due.filter((it) => it !== one)) }
  }
  tick(ms: number): void {
    this.time += ms
    const now = this.due.filter(({ at }) => at <= this.time)
    this.due = this.due.filter(({ at }) => at > this.time)
    for (const { fn } of now) fn()
  }
}

function setUp() {
  const sftp = new FakeSftp()
  const clock = new FakeClock()
  return { sftp, clock, watch: new ChannelWatch(sftp as unknown as SFTPWrapper, { clock, stallMs: 30_000 }) }
}

t.test('a channel stalls when requests wait and none is answered, twice looked at', async (t) => {
  const { sftp, clock, watch } = setUp()
  using calls = watch.begin(never())
  const [first, second] = [calls.open('/a', 1), calls.open('/b', 1)]
  clock.tick(20_000)
  sftp.answers[0]?.(undefined, Buffer.from('h'))
  t.same(await first, Buffer.from('h'))
  clock.tick(20_000)
  t.equal(sftp.ended, 0, 'there was an answer 20 s ago')
  clock.tick(10_000)
  t.equal(sftp.ended, 0, 'this process may have slept')
  clock.tick(1000)
  t.equal(sftp.ended, 1)
  await t.rejects(second, { name: 'Unreachable', message: /no answer for 30 s/ })
  t.throws(() => watch.begin(never()), { name: 'Unreachable' })
})

t.test('answers that were waiting when the process woke up save the channel', async (t) => {
  const { sftp, clock, watch } = setUp()
  using calls = watch.begin(never())
  const handle = calls.open('/a', 1)
  clock.tick(3_600_000)
  sftp.answers[0]?.(undefined, Buffer.from('h'))
  clock.tick(1000)
  t.same(await handle, Buffer.from('h'))
  t.equal(sftp.ended, 0)
})

t.test('an idle channel has no timer and never stalls', async (t) => {
  const { sftp, clock, watch } = setUp()
  using calls = watch.begin(never())
  const handle = calls.open('/a', 1)
  sftp.answers[0]?.(undefined, Buffer.from('h'))
  await handle
  t.same(clock.due, [])
  clock.tick(3_600_000)
  const again = calls.open('/b', 1)
  clock.tick(29_000)
  sftp.answers[1]?.(undefined, Buffer.from('h'))
  await again
  t.equal(sftp.ended, 0)
})

t.test('an error or a close of the channel fails what waits and what is asked later', async (t) => {
  for (const event of ['close', 'end', 'error']) {
    const { sftp, watch } = setUp()
    using calls = watch.begin(never())
    const waiting = calls.open('/a', 1)
    sftp.emit(event, new Error('broken packet'))
    await t.rejects(waiting, { name: 'Unreachable', message: event === 'error' ? /broken packet/ : /closed/ })
    await t.rejects(calls.open('/b', 1), { name: 'Unreachable' })
  }
})

t.test('an abort fails the calls of its operation and no others', async (t) => {
  const { sftp, watch } = setUp()
  const control = new AbortController()
  using calls = watch.begin(control.signal)
  using others = watch.begin(never())
  const waiting = calls.open('/a', 1)
  const other = others.open('/b', 1)
  control.abort(new Error('enough'))
  await t.rejects(waiting, /enough/)
  sftp.answers[0]?.(undefined, Buffer.from('late'))
  sftp.answers[1]?.(undefined, Buffer.from('h'))
  t.same(await other, Buffer.from('h'))
})

t.test('an extension that the server lacks is refused, though ssh2 throws', async (t) => {
  const { watch, clock } = setUp()
  using calls = watch.begin(never())
  const failure: unknown = await calls.fsync(Buffer.from('h')).catch((error: unknown) => error)
  t.match(toSftpError(failure, 'Cannot sync "/a"'), {
    name: 'Refused',
    message: 'Cannot sync "/a": the server cannot do that',
  })
  t.same(clock.due, [], 'nothing is waited for')
})

t.test('failures mean what the server said', async (t) => {
  const status = (code: number, message = 'odd') => Object.assign(new Error(message), { code })
  const cases: readonly (readonly [unknown, Record<string, unknown>])[] = [
    [status(2), { name: 'Refused', status: 404 }],
    [status(3), { name: 'Refused', status: 403 }],
    [status(4), { name: 'Refused', status: 500, message: 'Cannot: odd' }],
    [status(4, 'No space left on device'), { name: 'Refused', status: 507 }],
    [status(4, 'Disk quota exceeded'), { name: 'Refused', status: 507 }],
    [new Error('No response from server'), { name: 'Unreachable' }],
    [new Refused('short', { status: 404, code: 'TRUNCATED' }), { code: 'TRUNCATED', message: 'Cannot: short' }],
  ]
  for (const [error, wanted] of cases) t.match(toSftpError(error, 'Cannot'), wanted)
  const local = Object.assign(new Error('disk'), { code: 'ENOSPC' })
  t.equal(toSftpError(local, 'Cannot'), local, 'trouble of the own disk is no word of the server')
  const lost = new Unreachable('lost')
  t.equal(toSftpError(lost, 'Cannot'), lost)
  t.equal(isNoSuchFile(status(2)), true)
  t.equal(isNoSuchFile(local), false)
})
