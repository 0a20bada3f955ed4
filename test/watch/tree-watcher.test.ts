import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { IN } from '../../lib/watch/inotify.ts'
import { TreeWatcher, type TreeWatcherOptions } from '../../lib/watch/tree-watcher.ts'
import { FakeInotify, Listener } from './fakes.ts'
import { runLimited } from './run-limited.ts'

const never = new AbortController().signal

async function watch(
  t: Test,
  dir: string,
  more: Partial<TreeWatcherOptions> = {},
): Promise<{ seen: Listener; watcher: TreeWatcher }> {
  const seen = new Listener(dir)
  const watcher = await TreeWatcher.open(seen.options(more), never)
  t.teardown(() => watcher[Symbol.asyncDispose]())
  return { seen, watcher }
}

async function watchFake(
  t: Test,
  dir: string,
  set: (fake: FakeInotify) => void = () => undefined,
): Promise<{ seen: Listener; watcher: TreeWatcher; fake: FakeInotify }> {
  const fake = new FakeInotify(dir)
  set(fake)
  return { ...(await watch(t, dir, { openInotify: fake.open })), fake }
}

/** Lets a walk that nothing can be waited on come to its end. */
async function settle(watcher: TreeWatcher, ignored = (): boolean => false): Promise<void> {
  await watcher.setIgnored(ignored)
}

t.test('with a real inotify', async (t) => {
  t.test('a file that is created, edited, renamed and removed is told each time', async (t) => {
    const dir = t.testdir({ sub: {} })
    const { seen } = await watch(t, dir)
    writeFileSync(join(dir, 'sub/a'), 'x')
    await seen.until('whole sub/a')
    renameSync(join(dir, 'sub/a'), join(dir, 'b'))
    await seen.until('gone sub/a', 'whole b')
    seen.forget()
    chmodSync(join(dir, 'b'), 0o600)
    await seen.until('whole b')
    unlinkSync(join(dir, 'b'))
    await seen.until('gone b')
  })

  t.test('a file that stays open is told as open until it is closed', async (t) => {
    const dir = t.testdir()
    const { seen } = await watch(t, dir)
    const fd = openSync(join(dir, 'a'), 'w')
    await seen.until('open a')
    writeSync(fd, 'x')
    chmodSync(join(dir, 'a'), 0o600)
    writeFileSync(join(dir, 'later'), '')
    await seen.until('whole later')
    t.notOk(seen.told.includes('whole a'))
    closeSync(fd)
    await seen.until('whole a')
  })

  t.test('links are whole at once: no close will come', async (t) => {
    const dir = t.testdir({ a: 'x', d: {} })
    const { seen } = await watch(t, dir)
    linkSync(join(dir, 'a'), join(dir, 'd/hard'))
    symlinkSync('nowhere', join(dir, 'd/soft'))
    await seen.until('whole d/hard', 'whole d/soft')
    t.notOk(seen.told.includes('open d/soft'))
  })

  t.test('a link to a directory is not followed', async (t) => {
    const dir = t.testdir({ root: { real: {} }, outside: { deep: {} } })
    symlinkSync('../outside', join(dir, 'root/out'))
    const { seen, watcher } = await watch(t, join(dir, 'root'))
    t.equal(watcher.watches, 2)
    symlinkSync('../outside', join(dir, 'root/out2'))
    await seen.until('whole out2')
    t.equal(watcher.watches, 2)
  })

  t.test('nested directories made at once are told as a tree after their files can be seen, and watched', async (t) => {
    const dir = t.testdir()
    const { seen, watcher } = await watch(t, dir)
    mkdirSync(join(dir, 'x/y/z'), { recursive: true })
    writeFileSync(join(dir, 'x/y/z/file'), 'x')
    await seen.until('tree x new')
    t.equal(watcher.watches, 4)
    seen.forget()
    appendFileSync(join(dir, 'x/y/z/file'), 'y')
    await seen.until('whole x/y/z/file')
  })

  t.test('every file of a copied tree is covered by an event that came after it', async (t) => {
    const dir = t.testdir({ from: {}, to: {} })
    for (let d = 0; d < 60; d++) {
      const sub = join(dir, 'from', `d${d % 10}`, `e${d}`)
      mkdirSync(sub, { recursive: true })
      for (let f = 0; f < 5; f++) writeFileSync(join(sub, `f${f}`), 'x')
    }
    const paths: string[] = []
    for (let d = 0; d < 60; d++) for (let f = 0; f < 5; f++) paths.push(`copy/d${d % 10}/e${d}/f${f}`)
    const covered = new Set<string>()
    const to = join(dir, 'to')
    const seen = new Listener(to)
    const options = seen.options({
      onEvents: (events) => {
        // A scan made now finds what exists now: only that is covered by a tree.
        for (const event of events) {
          if (event.kind === 'whole') covered.add(event.path)
          if (event.kind !== 'tree') continue
          for (const path of paths) {
            if (path.startsWith(`${event.dir}/`) && existsSync(join(to, path))) covered.add(path)
          }
        }
        if (paths.every((path) => covered.has(path))) done()
      },
    })
    let done = (): void => undefined
    const all = new Promise<void>((resolve) => (done = resolve))
    const watcher = await TreeWatcher.open(options, never)
    t.teardown(() => watcher[Symbol.asyncDispose]())
    const { spawn } = await import('node:child_process')
    spawn('cp', ['-r', join(dir, 'from'), join(to, 'copy')])
    await all
    t.equal(covered.size, 300)
    await settle(watcher)
    t.equal(watcher.watches, 1 + 1 + 10 + 60)
  })

  t.test('an edit inside a renamed directory is told under its new path', async (t) => {
    const dir = t.testdir({ a: { b: { file: 'x' } }, other: {} })
    const { seen, watcher } = await watch(t, dir)
    renameSync(join(dir, 'a'), join(dir, 'other/c'))
    await seen.until('gone a', 'tree other/c new')
    seen.forget()
    writeFileSync(join(dir, 'other/c/b/file'), 'y')
    await seen.until('whole other/c/b/file')
    t.notOk(seen.told.some((one) => one.includes(' a/')))
    t.equal(watcher.watches, 4)
  })

  t.test('a directory moved out is no longer watched, and one moved in is', async (t) => {
    const dir = t.testdir({ root: { a: { b: {} } }, outside: { c: { d: {} } } })
    const { seen, watcher } = await watch(t, join(dir, 'root'))
    renameSync(join(dir, 'root/a'), join(dir, 'outside/a'))
    await seen.until('gone a')
    t.equal(watcher.watches, 1)
    renameSync(join(dir, 'outside/c'), join(dir, 'root/c'))
    await seen.until('tree c new')
    t.equal(watcher.watches, 3)
    writeFileSync(join(dir, 'outside/a/b/x'), '')
    writeFileSync(join(dir, 'root/c/d/x'), '')
    await seen.until('whole c/d/x')
    t.notOk(seen.told.some((one) => one.includes('a/b/x')))
  })

  t.test('a removed tree gives its watches back', async (t) => {
    const dir = t.testdir({ a: { b: { c: { f: 'x' } } } })
    const { seen, watcher } = await watch(t, dir)
    rmSync(join(dir, 'a'), { recursive: true })
    await seen.until('gone a')
    t.equal(watcher.watches, 1)
  })

  t.test('ignored directories use no watches, and are not told', async (t) => {
    const dir = t.testdir({ node_modules: { a: { b: {} } }, src: {}, '.systemsync': { staging: {} } })
    const ignored = (path: string): boolean => path === 'node_modules' || path.endsWith('.log')
    const { seen, watcher } = await watch(t, dir, { ignored })
    t.equal(watcher.watches, 2)
    writeFileSync(join(dir, 'x.log'), '')
    writeFileSync(join(dir, '.systemsync/staging/x'), '')
    mkdirSync(join(dir, 'node_modules/c'))
    writeFileSync(join(dir, 'src/x'), '')
    await seen.until('whole src/x')
    t.same(
      seen.told.filter((one) => !one.endsWith('src/x')),
      [],
    )
    await watcher.setIgnored((path) => path === 'src')
    t.equal(watcher.watches, 5)
    t.ok(seen.told.includes('tree  new'))
    await watcher.setIgnored(ignored)
    t.equal(watcher.watches, 2)
  })

  t.test('a name that is not UTF-8 asks for its directory to be scanned', async (t) => {
    const dir = t.testdir({ a: {} })
    const { seen } = await watch(t, dir)
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/a/caf`), Buffer.of(0xe9)]), 'x')
    mkdirSync(Buffer.concat([Buffer.from(`${dir}/a/dir`), Buffer.of(0xe9)]))
    writeFileSync(join(dir, 'end'), '')
    await seen.until('whole end')
    t.ok(seen.told.includes('tree a lost'))
    t.notOk(seen.told.some((one) => one.includes('caf')))
  })

  t.test('a folder that goes away and comes back is watched again', async (t) => {
    const dir = t.testdir({ root: { a: {} } })
    const root = join(dir, 'root')
    const { seen, watcher } = await watch(t, root)
    renameSync(root, join(dir, 'away'))
    await seen.until('tree  lost')
    t.equal(watcher.watches, 0)
    seen.clock.move(5000)
    t.same(seen.told, ['tree  lost'])
    seen.forget()
    renameSync(join(dir, 'away'), root)
    seen.clock.move(5000)
    await seen.until('tree  lost')
    t.equal(watcher.watches, 2)
    writeFileSync(join(root, 'a/x'), '')
    await seen.until('whole a/x')
    t.equal(seen.clock.armed, 0)
  })

  t.test('a folder that is not there cannot be watched', async (t) => {
    const dir = t.testdir({ file: 'x' })
    for (const name of ['absent', 'file']) {
      await t.rejects(TreeWatcher.open(new Listener(join(dir, name)).options(), never), { code: 'NO_ROOT' })
    }
  })

  t.test('an aborted signal ends the watcher, also before it is open', async (t) => {
    const dir = t.testdir({ a: {} })
    const abort = new AbortController()
    const opening = TreeWatcher.open(new Listener(dir).options(), abort.signal)
    abort.abort(new Error('stop'))
    await t.rejects(opening, /stop/)
    await t.rejects(TreeWatcher.open(new Listener(dir).options(), abort.signal), /stop/)
  })
})

t.test('watches reached: what is left is polled, told once, in a process with few of them', async (t) => {
  const dir = t.testdir({ a: { b: { c: {} } }, d: {}, e: {}, f: { g: {} } })
  const script = `
    const { TreeWatcher } = await import(process.env.LIB + '/watch/tree-watcher.js')
    const { systemClock } = await import(process.env.LIB + '/daemon/clock.js')
    const problems = []
    const told = []
    const watcher = await TreeWatcher.open({
      root: ${JSON.stringify(dir)}, ignored: () => false, clock: systemClock, pollMs: 20,
      onEvents: (events) => {
        told.push(...events)
        if (told.length > 20) void watcher[Symbol.asyncDispose]().then(() => {
          console.log(JSON.stringify({ watches, kinds: [...new Set(told.map((one) => one.kind + one.why))], problems }))
        })
      },
      onLimit: (problem) => problems.push(problem),
    }, new AbortController().signal)
    const watches = watcher.watches
  `
  const few = await runLimited({ max_inotify_watches: 5 }, script)
  if (few === undefined) {
    t.comment('skipped: unshare -Ur is not permitted here')
    return
  }
  const said: unknown = JSON.parse(few.stdout.split('\n')[0] ?? '')
  t.match(said, { watches: 5, kinds: ['treepoll'] })
  t.match(
    few.stdout,
    /max_user_watches is \d+, at least \d+ needed; this folder has 8 directories, 3 of them are polled/,
  )
  t.equal(few.stdout.match(/The limit/g)?.length, 1)
  const none = await runLimited({ max_inotify_instances: 0 }, script)
  t.match(none?.stdout, /"watches":0.*max_user_instances is \d+, at least \d+ needed; the whole folder is polled/)
})

t.test('a closed watcher lets the process end by itself', async (t) => {
  const dir = t.testdir({ a: { b: {} } })
  const result = await runLimited(
    {},
    `
    const { TreeWatcher } = await import(process.env.LIB + '/watch/tree-watcher.js')
    const { systemClock } = await import(process.env.LIB + '/daemon/clock.js')
    const watcher = await TreeWatcher.open({
      root: ${JSON.stringify(dir)}, ignored: () => false, clock: systemClock, onEvents() {}, onLimit() {},
    }, new AbortController().signal)
    await watcher[Symbol.asyncDispose]()
    console.log('closed')
  `,
  )
  t.same(result, { status: 0, stdout: 'closed\n' })
})

t.test('with an inotify fed by hand', async (t) => {
  t.test('repeated events of one path are told once, the last', async (t) => {
    const dir = t.testdir({ a: {} })
    const { seen, fake } = await watchFake(t, dir)
    fake.tell(
      { dir: 'a', mask: IN.CREATE, name: 'x' },
      { dir: 'a', mask: IN.MODIFY, name: 'x' },
      { dir: 'a', mask: IN.CLOSE_WRITE, name: 'x' },
      { dir: '', mask: IN.MODIFY, name: 'y' },
      { dir: 'a', mask: IN.DELETE, name: 'x' },
    )
    t.same(seen.told, ['whole a/x', 'open y', 'gone a/x'])
  })

  t.test('an overflow is told once, as the whole folder, when what it hid is watched', async (t) => {
    const dir = t.testdir({ a: {} })
    const { seen, fake, watcher } = await watchFake(t, dir)
    mkdirSync(join(dir, 'b/c'), { recursive: true })
    fake.overflow()
    t.same(seen.told, [])
    await seen.until('tree  overflow')
    t.same(seen.told, ['tree  overflow'])
    t.equal(watcher.watches, 4)
  })

  t.test('a directory that vanished during an overflow gives its watch back', async (t) => {
    const dir = t.testdir({ a: { b: {} } })
    const { seen, fake, watcher } = await watchFake(t, dir)
    rmSync(join(dir, 'a'), { recursive: true })
    fake.overflow()
    await seen.until('tree  overflow')
    t.equal(watcher.watches, 1)
  })

  t.test('a directory moved during an overflow is told under its new path', async (t) => {
    const dir = t.testdir({ a: { b: {} } })
    const { seen, fake } = await watchFake(t, dir)
    renameSync(join(dir, 'a'), join(dir, 'z'))
    fake.overflow()
    await seen.until('tree  overflow')
    fake.tell({ dir: 'z/b', mask: IN.CLOSE_WRITE, name: 'x' })
    t.ok(seen.told.includes('whole z/b/x'))
  })

  t.test('a move whose halves come in two batches leaves the directory watched', async (t) => {
    const dir = t.testdir({ a: { b: {} } })
    const { seen, fake, watcher } = await watchFake(t, dir)
    renameSync(join(dir, 'a'), join(dir, 'z'))
    fake.tell({ dir: '', mask: IN.MOVED_FROM | IN.ISDIR, name: 'a', cookie: 7 })
    t.equal(watcher.watches, 1)
    fake.tell({ dir: '', mask: IN.MOVED_TO | IN.ISDIR, name: 'z', cookie: 7 })
    await seen.until('tree z new')
    t.equal(watcher.watches, 3)
    fake.tell({ dir: 'z/b', mask: IN.CLOSE_WRITE, name: 'x' })
    t.ok(seen.told.includes('whole z/b/x'))
  })

  t.test('a directory found at its new place before its move is told keeps its watches', async (t) => {
    const dir = t.testdir({ a: { b: { c: {} } }, keep: {} })
    const { seen, fake, watcher } = await watchFake(t, dir)
    const wd = fake.wdOf('a/b/c')
    renameSync(join(dir, 'a/b'), join(dir, 'keep/b'))
    fake.tell({ dir: '', mask: IN.CREATE | IN.ISDIR, name: 'keep' })
    await seen.until('tree keep new')
    fake.tell(
      { dir: 'a', mask: IN.MOVED_FROM | IN.ISDIR, name: 'b', cookie: 3 },
      { dir: 'keep', mask: IN.MOVED_TO | IN.ISDIR, name: 'b', cookie: 3 },
      { dir: wd, mask: IN.CLOSE_WRITE, name: 'x' },
    )
    t.ok(seen.told.includes('whole keep/b/c/x'))
    await seen.until('tree keep/b new')
    t.equal(watcher.watches, 5)
  })

  t.test('a directory moved over another takes its place', async (t) => {
    const dir = t.testdir({ a: { b: {} }, z: {} })
    const { seen, fake, watcher } = await watchFake(t, dir)
    const wd = fake.wdOf('a')
    renameSync(join(dir, 'a'), join(dir, 'z'))
    fake.tell(
      { dir: '', mask: IN.MOVED_FROM | IN.ISDIR, name: 'a', cookie: 7 },
      { dir: wd, mask: IN.CLOSE_WRITE, name: 'on-its-way' },
      { dir: '', mask: IN.MOVED_TO | IN.ISDIR, name: 'z', cookie: 7 },
      { dir: wd, mask: IN.CLOSE_WRITE, name: 'there' },
    )
    t.same(seen.told, ['gone a', 'whole z/there'])
    await seen.until('tree z new')
    t.equal(watcher.watches, 3)
  })

  t.test('a directory moved to an ignored place is no longer watched', async (t) => {
    const dir = t.testdir({ a: { b: {} } })
    const { seen, fake, watcher } = await watchFake(t, dir)
    await watcher.setIgnored((path) => path === 'tmp')
    seen.forget()
    renameSync(join(dir, 'a'), join(dir, 'tmp'))
    fake.tell(
      { dir: '', mask: IN.MOVED_FROM | IN.ISDIR, name: 'a', cookie: 7 },
      { dir: '', mask: IN.MOVED_TO | IN.ISDIR, name: 'tmp', cookie: 7 },
    )
    t.same(seen.told, ['gone a'])
    t.equal(watcher.watches, 1)
  })

  t.test('a watch that the kernel dropped is set again and its directory told', async (t) => {
    const dir = t.testdir({ a: { b: {} } })
    const { seen, fake, watcher } = await watchFake(t, dir)
    const wd = fake.wdOf('a')
    fake.remove(wd)
    fake.tell({ dir: wd, mask: IN.UNMOUNT }, { dir: wd, mask: IN.IGNORED })
    await seen.until('tree a lost')
    t.equal(watcher.watches, 3)
    t.same([...fake.watched.values()].sort(), ['', 'a', 'a/b'])
  })

  t.test('a directory that was replaced while nobody looked is watched again', async (t) => {
    const dir = t.testdir({ a: {}, keep: {} })
    const { seen, fake, watcher } = await watchFake(t, dir)
    renameSync(join(dir, 'a'), join(dir, 'keep/old'))
    mkdirSync(join(dir, 'a'))
    fake.tell({ dir: '', mask: IN.CREATE | IN.ISDIR, name: 'a' })
    await seen.until('tree a new', 'tree  lost')
    t.equal(watcher.watches, 4)
    t.same([...fake.watched.values()].sort(), ['', 'a', 'keep', 'keep/old'])
  })

  t.test('the mode of a directory is told by its own event too, but not that of the folder', async (t) => {
    const dir = t.testdir({ a: {} })
    const { seen, fake } = await watchFake(t, dir)
    fake.tell(
      { dir: '', mask: IN.ATTRIB | IN.ISDIR, name: 'a' },
      { dir: 'a', mask: IN.ATTRIB | IN.ISDIR },
      { dir: '', mask: IN.ATTRIB | IN.ISDIR },
    )
    t.same(seen.told, ['whole a'])
  })

  t.test('events of watches that are gone are passed over', async (t) => {
    const dir = t.testdir({ a: {} })
    const { seen, fake } = await watchFake(t, dir)
    const wd = fake.wdOf('a')
    fake.tell({ dir: wd, mask: IN.DELETE_SELF }, { dir: wd, mask: IN.IGNORED }, { dir: 99, mask: IN.CREATE, name: 'x' })
    fake.tell({ dir: wd, mask: IN.CLOSE_WRITE, name: 'x' })
    t.same(seen.told, [])
  })

  t.test('without watches left the uppermost directories are polled, and watched when there is room', async (t) => {
    const dir = t.testdir({ a: { b: { c: {} } }, d: {} })
    const { seen, fake, watcher } = await watchFake(t, dir, (fake) => {
      fake.refuse = (_dir, used) => (used >= 1 ? 'ENOSPC' : undefined)
    })
    t.equal(watcher.watches, 1)
    t.equal(seen.problems.length, 1)
    t.match(seen.problems[0], {
      path: '.',
      reason: /fs\.inotify\.max_user_watches is .* this folder has 5 directories, 4 of them are polled/,
      todo: /^Run: sudo sysctl fs\.inotify\.max_user_watches=\d+$/,
    })
    t.same(seen.told, [])
    seen.clock.move(5000)
    t.same(seen.told.sort(), ['tree a poll', 'tree d poll'])
    for (let i = 0; i < 10; i++) seen.clock.move(5000)
    t.equal(watcher.watches, 1)
    fake.refuse = () => undefined
    seen.forget()
    seen.clock.move(60_000)
    await seen.until('tree a poll', 'tree d poll')
    t.equal(watcher.watches, 5)
    await settle(watcher)
    seen.forget()
    seen.clock.move(5000)
    t.same(seen.told, [])
    t.equal(seen.clock.armed, 0)
    t.equal(seen.problems.length, 1)
  })

  t.test('a new directory that finds no watch is polled until it is gone', async (t) => {
    const dir = t.testdir()
    const { seen, fake } = await watchFake(t, dir, (fake) => {
      fake.refuse = (_dir, used) => (used >= 1 ? 'ENOSPC' : undefined)
    })
    mkdirSync(join(dir, 'a'))
    fake.tell({ dir: '', mask: IN.CREATE | IN.ISDIR, name: 'a' })
    await seen.until('tree a new')
    seen.clock.move(5000)
    t.same(seen.told, ['tree a new', 'tree a poll'])
    fake.tell({ dir: '', mask: IN.DELETE | IN.ISDIR, name: 'a' })
    seen.clock.move(5000)
    t.same(seen.told, ['tree a new', 'tree a poll', 'gone a'])
  })

  t.test(
    'a directory that may not be read is polled without a word about limits, and watched when it may',
    async (t) => {
      const dir = t.testdir({ secret: {} })
      const { seen, fake, watcher } = await watchFake(t, dir, (fake) => {
        fake.refuse = (dir) => (dir === 'secret' ? 'EACCES' : undefined)
      })
      t.same(seen.problems, [])
      seen.clock.move(5000)
      t.same(seen.told, ['tree secret poll'])
      fake.refuse = () => undefined
      fake.tell({ dir: '', mask: IN.ATTRIB | IN.ISDIR, name: 'secret' })
      await seen.until('whole secret', 'tree secret lost')
      t.equal(watcher.watches, 2)
    },
  )

  t.test('without an instance left the whole folder is polled, until there is one', async (t) => {
    const dir = t.testdir({ a: {} })
    const { seen, fake, watcher } = await watchFake(t, dir, (fake) => {
      fake.refuseOpen = () => 'EMFILE'
    })
    t.match(seen.problems, [{ reason: /fs\.inotify\.max_user_instances is .* the whole folder is polled/ }])
    seen.clock.move(5000)
    t.same(seen.told, ['tree  poll'])
    seen.clock.move(60_000)
    await settle(watcher)
    t.equal(watcher.watches, 0)
    fake.refuseOpen = () => undefined
    seen.clock.move(60_000)
    await settle(watcher)
    t.equal(watcher.watches, 2)
    t.equal(seen.problems.length, 1)
  })

  t.test('any other refusal of an instance is thrown', async (t) => {
    const fake = new FakeInotify(t.testdir())
    fake.refuseOpen = () => 'ENOSYS'
    await t.rejects(TreeWatcher.open(new Listener(fake.root).options({ openInotify: fake.open }), never), {
      code: 'ENOSYS',
    })
  })

  t.test('a closed watcher tells nothing more', async (t) => {
    const dir = t.testdir()
    const { seen, fake, watcher } = await watchFake(t, dir)
    fake.overflow()
    await watcher[Symbol.asyncDispose]()
    fake.tell({ dir: '', mask: IN.CLOSE_WRITE, name: 'x' })
    t.ok(fake.isClosed)
    t.same(seen.told, [])
  })
})
