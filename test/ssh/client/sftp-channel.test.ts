import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type SftpChannel, type SftpOptions } from '../../../lib/ssh/client/sftp-channel.ts'
import { SshSession } from '../../../lib/ssh/client/ssh-session.ts'
import {
  deferred,
  identityIn,
  makeKey,
  never,
  pattern,
  startProxy,
  startServer,
  target,
  type Faults,
} from './support.ts'

const key = makeKey()
const WRITE_BYTES = 131_043

interface Rig extends AsyncDisposable {
  readonly dir: string
  readonly sftp: SftpChannel
  readonly session: SshSession
  readonly faults: Faults
  readonly freeze: () => void
  readonly cut: () => void
  readonly stopServer: () => Promise<void>
  readonly file: (name: string) => string
}

async function rig(t: Test, options: SftpOptions = {}): Promise<Rig> {
  const dir = t.testdir({})
  const identities = await identityIn(dir, key)
  const server = await startServer({ dir })
  const proxy = await startProxy(server.port)
  const session = await SshSession.open(
    { ...target({ port: proxy.port, home: dir, identities }), keepaliveMs: 0 },
    never(),
  )
  const sftp = await session.sftp(options)
  return {
    dir,
    sftp,
    session,
    faults: server.faults,
    freeze: proxy.freeze,
    cut: proxy.cut,
    stopServer: async () => {
      await server[Symbol.asyncDispose]()
    },
    file: (name) => join(dir, name),
    [Symbol.asyncDispose]: async () => {
      await session[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

t.test('bytes put are the whole file, whatever their size and whatever was there', async (t) => {
  await using it = await rig(t)
  writeFileSync(it.file('pack'), pattern(500_000))
  for (const size of [0, 1, 24 * 1024, 24 * 1024 + 1, WRITE_BYTES, WRITE_BYTES + 1, 3_000_000]) {
    const bytes = pattern(size)
    await it.sftp.putBytes('/pack', bytes, never())
    t.ok(readFileSync(it.file('pack')).equals(bytes), `${size} bytes`)
  }
})

t.test('a file is read whole without its length being known, and no further than asked', async (t) => {
  await using it = await rig(t)
  for (const size of [0, 1, 131_059, 131_060, 500_000]) {
    const bytes = pattern(size)
    writeFileSync(it.file('whole'), bytes)
    let opened = 0
    const whole = await it.sftp.getWhole('/whole', { most: 500_000, onOpen: () => opened++ }, never())
    t.ok(bytes.equals(whole), `${size} bytes`)
    t.equal(opened, 1)
  }
  t.ok(pattern(200_000).equals(await it.sftp.getWhole('/whole', { most: 200_000 }, never())))
  await t.rejects(it.sftp.getWhole('/missing', { most: 10 }, never()), /no such file/)
})

t.test('large puts leave in messages of whole windows', async (t) => {
  await using it = await rig(t)
  await it.sftp.putBytes('/pack', pattern(WRITE_BYTES * 2 + 7), never())
  const sizes = it.faults.log.filter((line) => line.startsWith('write')).map((line) => line.split(' ')[2])
  t.same(sizes, [String(WRITE_BYTES), String(WRITE_BYTES), '7'])
  await it.sftp.size('/pack', never())
  t.ok(it.faults.log.includes('close'))
})

t.test('a view into a larger buffer is put as the view', async (t) => {
  await using it = await rig(t)
  const whole = pattern(4000)
  await it.sftp.putBytes('/part', new Uint8Array(whole.buffer, whole.byteOffset + 100, 300), never())
  t.ok(readFileSync(it.file('part')).equals(whole.subarray(100, 400)))
})

t.test('a local file goes out whole, tells its progress in order, and comes back equal', async (t) => {
  await using it = await rig(t)
  for (const size of [0, 1, WRITE_BYTES * 4, 5_000_001]) {
    const bytes = pattern(size)
    writeFileSync(it.file('local'), bytes)
    const ends: number[] = []
    await withFd(it.file('local'), 'r', async (fd) => {
      t.equal(
        await it.sftp.putFile('/remote', fd, { from: 0, size, onProgress: (end) => ends.push(end) }, never()),
        size,
      )
    })
    t.ok(readFileSync(it.file('remote')).equals(bytes), `${size} bytes out`)
    t.same(
      ends,
      [...ends].sort((a, b) => a - b),
    )
    t.equal(ends.at(-1) ?? 0, size)
    const back: number[] = []
    await withFd(it.file('back'), 'w', async (fd) => {
      await it.sftp.getFile('/remote', fd, { from: 0, size, onProgress: (end) => back.push(end) }, never())
    })
    t.ok(readFileSync(it.file('back')).equals(bytes), `${size} bytes back`)
    t.equal(back.at(-1) ?? 0, size)
  }
})

t.test('a transfer resumes from an offset and leaves what is before it alone', async (t) => {
  await using it = await rig(t)
  const bytes = pattern(400_000)
  writeFileSync(it.file('local'), bytes)
  writeFileSync(it.file('remote'), bytes.subarray(0, 150_000))
  await withFd(it.file('local'), 'r', (fd) => it.sftp.putFile('/remote', fd, { from: 150_000, size: 400_000 }, never()))
  t.ok(readFileSync(it.file('remote')).equals(bytes))
  t.notOk(it.faults.log.some((line) => line.includes('truncate')))
  t.same(
    it.faults.log.find((line) => line.startsWith('write')),
    `write 150000 ${WRITE_BYTES}`,
  )
  writeFileSync(it.file('back'), bytes.subarray(0, 300_000))
  await withFd(it.file('back'), 'r+', (fd) => it.sftp.getFile('/remote', fd, { from: 300_000, size: 400_000 }, never()))
  t.ok(readFileSync(it.file('back')).equals(bytes))
  await withFd(it.file('back'), 'r+', (fd) => it.sftp.getFile('/absent', fd, { from: 9, size: 9 }, never()))
})

t.test('a put that is told to stop tells how far it came, and goes on from there later', async (t) => {
  await using it = await rig(t)
  const size = WRITE_BYTES * 12
  const bytes = pattern(size)
  writeFileSync(it.file('local'), bytes)
  await withFd(it.file('local'), 'r', async (fd) => {
    let parts = 0
    const from = await it.sftp.putFile('/remote', fd, { from: 0, size, isStopped: () => parts++ === 5 }, never())
    t.equal(from, WRITE_BYTES * 5)
    t.equal(readFileSync(it.file('remote')).length, from)
    t.equal(await it.sftp.putFile('/remote', fd, { from, size }, never()), size)
  })
  t.ok(readFileSync(it.file('remote')).equals(bytes))
})

t.test('ranges come back in the order asked for, from one open file, neighbours in one request', async (t) => {
  await using it = await rig(t)
  const bytes = pattern(1_000_000)
  writeFileSync(it.file('pack'), bytes)
  const ranges = [
    { offset: 700_000, length: 100 },
    { offset: 0, length: 10 },
    { offset: 10, length: 20 },
    { offset: 25, length: 10 },
    { offset: 100, length: 0 },
    { offset: 100_000, length: 400_000 },
  ]
  const got = await it.sftp.getRanges('/pack', ranges, never())
  for (const [i, { offset, length }] of ranges.entries()) {
    t.ok(Buffer.from(got[i] ?? []).equals(bytes.subarray(offset, offset + length)), `${length} at ${offset}`)
  }
  t.equal(it.faults.log.filter((line) => line.startsWith('open')).length, 1)
  t.ok(it.faults.log.includes('read 0 35'))
  t.same(Buffer.from(await it.sftp.getRange('/pack', 5, 7, never())), bytes.subarray(5, 12))
  t.same(await it.sftp.getRanges('/absent', [{ offset: 5, length: 0 }], never()), [new Uint8Array()])
})

t.test('reads that come back short are asked for again', async (t) => {
  await using it = await rig(t)
  it.faults.readAtMost = 50_000
  const bytes = pattern(300_000)
  writeFileSync(it.file('remote'), bytes)
  t.ok(Buffer.from(await it.sftp.getRange('/remote', 0, 300_000, never())).equals(bytes))
  await withFd(it.file('back'), 'w', (fd) => it.sftp.getFile('/remote', fd, { from: 0, size: 300_000 }, never()))
  t.ok(readFileSync(it.file('back')).equals(bytes))
})

t.test('a remote file that is shorter than promised is refused as truncated', async (t) => {
  await using it = await rig(t)
  writeFileSync(it.file('remote'), pattern(1000))
  const wanted = { name: 'Refused', code: 'TRUNCATED', message: /Cannot read "\/remote": it ends at 1000/ }
  await t.rejects(it.sftp.getRange('/remote', 500, 1000, never()), wanted)
  await withFd(it.file('back'), 'w', async (fd) => {
    await t.rejects(it.sftp.getFile('/remote', fd, { from: 0, size: 2_000_000 }, never()), { code: 'TRUNCATED' })
  })
  t.equal(await it.sftp.size('/remote', never()), 1000, 'the channel is as good as before')
})

t.test('a local file that is shorter than promised is said to have changed', async (t) => {
  await using it = await rig(t)
  writeFileSync(it.file('local'), pattern(1000))
  await withFd(it.file('local'), 'r', async (fd) => {
    await t.rejects(it.sftp.putFile('/remote', fd, { from: 0, size: 5000 }, never()), {
      code: 'LOCAL_CHANGED',
      retry: 'now',
    })
  })
  await withFd(it.file('local'), 'r', async (fd) => {
    writeFileSync(it.file('remote'), pattern(1000))
    await t.rejects(
      it.sftp.getFile('/remote', fd, { from: 0, size: 1000 }, never()),
      { code: 'EBADF' },
      'nor is a local failure the server’s',
    )
  })
})

t.test('size, remove and sync tell apart what is there from what is not', async (t) => {
  await using it = await rig(t)
  t.equal(await it.sftp.size('/file', never()), undefined)
  await it.sftp.remove('/file', never())
  await t.rejects(it.sftp.syncFile('/file', never()), { name: 'Refused', status: 404 })
  writeFileSync(it.file('file'), 'abc')
  t.equal(await it.sftp.size('/file', never()), 3)
  await it.sftp.syncFile('/file', never())
  t.ok(it.faults.log.includes('sync'))
  await it.sftp.remove('/file', never())
  t.equal(await it.sftp.size('/file', never()), undefined)
})

t.test('a server that says no is refused with the status that fits', async (t) => {
  await using it = await rig(t)
  await t.rejects(it.sftp.getRange('/absent', 0, 1, never()), {
    name: 'Refused',
    status: 404,
    message: /Cannot read "\/absent"/,
  })
  await t.rejects(it.sftp.putBytes('/absent/file', pattern(1), never()), { name: 'Refused', status: 404 })
  it.faults.beforeWrite = (position) => {
    if (position > 0) throw Object.assign(new Error('disk'), { code: 'ENOSPC' })
  }
  await t.rejects(it.sftp.putBytes('/file', pattern(1_000_000), never()), { name: 'Refused', status: 507 })
  it.faults.beforeWrite = () => {
    throw Object.assign(new Error('odd'), { code: 'EACCES' })
  }
  await t.rejects(it.sftp.putBytes('/file', pattern(10), never()), { name: 'Refused', status: 403 }, 'small ones too')
})

t.test('an abort in the middle stops at once, leaves the fd alone, and leaves the channel usable', async (t) => {
  await using it = await rig(t)
  const size = WRITE_BYTES * 40
  writeFileSync(it.file('local'), pattern(size))
  const why = new Error('stop it')
  const putting = new AbortController()
  const gate = deferred()
  it.faults.beforeWrite = () => {
    putting.abort(why)
    return gate.promise
  }
  await withFd(it.file('local'), 'r', async (fd) => {
    t.equal(await failureOf(it.sftp.putFile('/remote', fd, { from: 0, size }, putting.signal)), why)
  })
  gate.resolve()
  it.faults.beforeWrite = () => undefined
  const getting = new AbortController()
  await withFd(it.file('back'), 'w', async (fd) => {
    const options = {
      from: 0,
      size,
      onProgress: () => {
        getting.abort(why)
      },
    }
    t.equal(await failureOf(it.sftp.getFile('/local', fd, options, getting.signal)), why)
  })
  t.equal(await failureOf(it.sftp.size('/local', getting.signal)), why, 'an aborted signal asks nothing')
  t.equal(await it.sftp.size('/local', never()), size)
})

t.test('a server that dies in the middle fails everything that waits, and everything asked later', async (t) => {
  await using it = await rig(t)
  writeFileSync(it.file('local'), pattern(WRITE_BYTES * 40))
  const reached = deferred()
  it.faults.beforeWrite = async () => {
    reached.resolve()
    await new Promise(() => undefined)
  }
  it.faults.beforeRead = async () => {
    await new Promise(() => undefined)
  }
  const waiting = Promise.allSettled([
    withFd(it.file('local'), 'r', (fd) => it.sftp.putFile('/remote', fd, { from: 0, size: WRITE_BYTES * 40 }, never())),
    withFd(it.file('back'), 'w', (fd) => it.sftp.getFile('/local', fd, { from: 0, size: 9999 }, never())),
    it.sftp.putBytes('/other', pattern(3_000_000), never()),
    it.sftp.getRange('/local', 0, 5, never()),
  ])
  await reached.promise
  await it.stopServer()
  for (const outcome of await waiting) t.match(outcome, { reason: { name: 'Unreachable' } })
  await it.sftp.closed
  await t.rejects(it.sftp.size('/local', never()), { name: 'Unreachable' })
  t.match(await it.session.closed, { name: 'Unreachable' })
})

t.test('a channel on which nothing moves is given up', async (t) => {
  await using it = await rig(t, { stallMs: 30 })
  writeFileSync(it.file('local'), 'x')
  t.equal(await it.sftp.size('/local', never()), 1)
  it.freeze()
  await t.rejects(it.sftp.size('/local', never()), { name: 'Unreachable', message: /no answer for 0\.03 s/ })
  await t.rejects(it.sftp.size('/local', never()), { name: 'Unreachable' })
})

t.test('slow but steady answers are no stall', async (t) => {
  await using it = await rig(t, { stallMs: 200 })
  let answers = 0
  it.faults.beforeWrite = async () => {
    answers++
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const bytes = pattern(WRITE_BYTES * 24)
  await it.sftp.putBytes('/file', bytes, never())
  t.equal(answers, 24)
})

t.test('a closed channel fails what waits, and the session goes on', async (t) => {
  await using it = await rig(t)
  it.faults.beforeRead = () => new Promise(() => undefined)
  writeFileSync(it.file('file'), 'abc')
  const waiting = it.sftp.getRange('/file', 0, 3, never())
  await Promise.all([
    t.rejects(waiting, { name: 'Unreachable', message: /it was closed/ }),
    new Promise((resolve) => setImmediate(resolve)).then(() => it.sftp[Symbol.asyncDispose]()),
  ])
  const second = await it.session.sftp()
  t.equal(await second.size('/file', never()), 3)
})

t.test('a pace holds every part back, and its refusal ends the transfer', async (t) => {
  const up: number[] = []
  const down: number[] = []
  await using it = await rig(t, {
    paceUpload: async (bytes) => {
      await Promise.resolve(up.push(bytes))
    },
    paceDownload: async (bytes, signal) => {
      await Promise.resolve(down.push(bytes))
      signal.throwIfAborted()
    },
  })
  await it.sftp.putBytes('/file', pattern(200_000), never())
  t.equal(
    up.reduce((sum, bytes) => sum + bytes),
    200_000,
  )
  await it.sftp.getRanges('/file', [{ offset: 0, length: 150_000 }], never())
  t.equal(
    down.reduce((sum, bytes) => sum + bytes),
    150_000,
  )
})

t.test('many transfers at once on one channel stay apart', async (t) => {
  await using it = await rig(t)
  const files = Array.from({ length: 20 }, (_, i) => pattern(50_000 + i * 30_011))
  await Promise.all(files.map((bytes, i) => it.sftp.putBytes(`/f${i}`, bytes, never())))
  const back = await Promise.all(files.map((bytes, i) => it.sftp.getRange(`/f${i}`, 0, bytes.length, never())))
  t.ok(files.every((bytes, i) => bytes.equals(back[i] ?? new Uint8Array())))
})

async function withFd<T>(file: string, flags: string, work: (fd: number) => Promise<T>): Promise<T> {
  const fd = openSync(file, flags)
  try {
    return await work(fd)
  } finally {
    closeSync(fd)
  }
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return await attempt.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  )
}
