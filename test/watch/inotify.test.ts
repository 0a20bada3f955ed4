import { mkdirSync, readdirSync, renameSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { IN, Inotify, InotifyRefused, parseEvents, type RawEvent } from '../../lib/watch/inotify.ts'
import { runLimited } from './run-limited.ts'

/** An instance, and a wait for an event that fits. */
function collect(): { readonly inotify: Inotify; until(fits: (event: RawEvent) => boolean): Promise<RawEvent> } {
  const seen: RawEvent[] = []
  let look = (): void => undefined
  const inotify = Inotify.open((events) => {
    seen.push(...events)
    look()
  })
  return {
    inotify,
    until: (fits) =>
      new Promise((resolve) => {
        look = () => {
          const found = seen.find(fits)
          if (found !== undefined) resolve(found)
        }
        look()
      }),
  }
}

const ALL = IN.CLOSE_WRITE | IN.CREATE | IN.DELETE | IN.MOVED_FROM | IN.MOVED_TO | IN.DELETE_SELF

t.test('a written file is told with the bytes of its name', async (t) => {
  const dir = t.testdir()
  const { inotify, until } = collect()
  t.teardown(() => {
    inotify.close()
  })
  const wd = inotify.add(dir, ALL)
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/caf`), Buffer.of(0xe9)]), 'x')
  const event = await until(({ mask }) => (mask & IN.CLOSE_WRITE) !== 0)
  t.equal(event.wd, wd)
  t.same(event.name, Buffer.from([0x63, 0x61, 0x66, 0xe9]))
})

t.test('both halves of a rename carry one cookie', async (t) => {
  const dir = t.testdir({ a: 'x' })
  const { inotify, until } = collect()
  t.teardown(() => {
    inotify.close()
  })
  inotify.add(Buffer.from(dir), ALL)
  renameSync(join(dir, 'a'), join(dir, 'b'))
  const from = await until(({ mask }) => (mask & IN.MOVED_FROM) !== 0)
  const to = await until(({ mask }) => (mask & IN.MOVED_TO) !== 0)
  t.not(from.cookie, 0)
  t.equal(from.cookie, to.cookie)
})

t.test('a refused watch names its errno', (t) => {
  const dir = t.testdir({ file: 'x', link: t.fixture('symlink', '.') })
  const { inotify } = collect()
  const code = (name: string, mask: number): unknown => {
    try {
      return inotify.add(join(dir, name), mask)
    } catch (error) {
      return error instanceof InotifyRefused ? error.code : error
    }
  }
  t.equal(code('absent', ALL), 'ENOENT')
  t.equal(code('file', ALL | IN.ONLYDIR), 'ENOTDIR')
  t.equal(code('link', ALL | IN.ONLYDIR | IN.DONT_FOLLOW), 'ENOTDIR')
  inotify.close()
  t.throws(() => inotify.add(dir, ALL), /closed/)
  t.end()
})

t.test('a removed watch is removed once', (t) => {
  const dir = t.testdir()
  const { inotify } = collect()
  const wd = inotify.add(dir, ALL)
  t.equal(inotify.remove(wd), true)
  t.equal(inotify.remove(wd), false)
  inotify.close()
  inotify.close()
  t.equal(inotify.remove(wd), false)
  t.end()
})

t.test('a removed directory drops its watch', async (t) => {
  const dir = t.testdir({ sub: {} })
  const { inotify, until } = collect()
  t.teardown(() => {
    inotify.close()
  })
  const wd = inotify.add(join(dir, 'sub'), ALL)
  rmdirSync(join(dir, 'sub'))
  t.equal((await until(({ mask }) => (mask & IN.IGNORED) !== 0)).wd, wd)
})

t.test('a thousand watches and many instances leave no descriptor open', async (t) => {
  const dir = t.testdir()
  const before = readdirSync('/proc/self/fd').length
  const { inotify } = collect()
  for (let i = 0; i < 1000; i++) inotify.remove(inotify.add(dir, ALL))
  inotify.close()
  // The kernel takes some 10 ms to close one.
  for (let i = 0; i < 30; i++) {
    const one = Inotify.open(() => undefined)
    one.add(dir, ALL)
    one.close()
  }
  await new Promise(setImmediate)
  t.ok(readdirSync('/proc/self/fd').length <= before + 3)
})

t.test('what a listener throws comes out as an uncaught error, and the instance still closes', async (t) => {
  const dir = t.testdir()
  const result = await runLimited(
    {},
    `
    const { Inotify, IN } = await import(process.env.LIB + '/watch/inotify.js')
    const { writeFileSync } = await import('node:fs')
    const inotify = Inotify.open(() => { throw new Error('bug') })
    process.on('uncaughtException', (error) => { console.log(error.message); inotify.close() })
    inotify.add(${JSON.stringify(dir)}, IN.CREATE)
    writeFileSync(${JSON.stringify(join(dir, 'x'))}, '')
  `,
  )
  t.same(result, { status: 0, stdout: 'bug\n' })
})

t.test('a closed instance lets the process end by itself', async (t) => {
  const dir = t.testdir()
  const result = await runLimited(
    {},
    `
    const { Inotify, IN } = await import(process.env.LIB + '/watch/inotify.js')
    const inotify = Inotify.open(() => { inotify.close(); console.log('closed') })
    inotify.add(${JSON.stringify(dir)}, IN.CREATE)
    const { writeFileSync } = await import('node:fs')
    writeFileSync(${JSON.stringify(join(dir, 'x'))}, '')
  `,
  )
  t.same(result, { status: 0, stdout: 'closed\n' })
})

t.test('limits are told by errno', async (t) => {
  const dir = t.testdir({ a: {}, b: {}, c: {} })
  mkdirSync(join(dir, 'd'))
  const script = `
    const { Inotify, IN } = await import(process.env.LIB + '/watch/inotify.js')
    let inotify
    try {
      inotify = Inotify.open(() => undefined)
      for (const name of ['', 'a', 'b', 'c', 'd']) inotify.add(${JSON.stringify(dir)} + '/' + name, IN.CREATE)
    } catch (error) { console.log(error.code) }
    inotify?.close()
  `
  const watches = await runLimited({ max_inotify_watches: 2 }, script)
  if (watches === undefined) {
    t.comment('skipped: unshare -Ur is not permitted here')
    return
  }
  t.same(watches, { status: 0, stdout: 'ENOSPC\n' })
  t.same(await runLimited({ max_inotify_instances: 0 }, script), { status: 0, stdout: 'EMFILE\n' })
})

t.test('raw bytes become events, also with an overflow among them', (t) => {
  const bytes = Buffer.alloc(16 + 16 + 16)
  bytes.writeInt32LE(7, 0)
  bytes.writeUInt32LE((IN.CREATE | IN.ISDIR) >>> 0, 4)
  bytes.writeUInt32LE(16, 12)
  bytes.write('name', 16)
  bytes.writeInt32LE(-1, 32)
  bytes.writeUInt32LE(IN.Q_OVERFLOW, 36)
  const events: RawEvent[] = []
  parseEvents(bytes, bytes.length, events)
  t.same(events, [
    { wd: 7, mask: IN.CREATE | IN.ISDIR, cookie: 0, name: Buffer.from('name') },
    { wd: -1, mask: IN.Q_OVERFLOW, cookie: 0, name: undefined },
  ])
  t.end()
})
