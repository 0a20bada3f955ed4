// Journeys of names: every name that a Linux file system takes, and those that cannot travel.
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { Journey } from '../support/journey.ts'
import { shown } from '../support/trees.ts'

const j = await Journey.open(t, {
  clients: ['a', 'b'],
  options: { docs: ['ignore = *.tmp, build/', 'max-delete = off'] },
})
const [server, a, b] = [j.server, j.client('a'), j.client('b')]
await j.start()

const ODD = [
  ...[
    'with space',
    ' leading',
    'trailing ',
    "quote'single",
    'quote"double',
    'back\\slash',
    'new\nline',
    'tab\there',
    'bell\x07',
  ],
  ...[
    '$(touch x)',
    '`id`',
    '-rf',
    '--',
    '%00',
    '%n%s',
    'semi;colon',
    'a:b',
    'CON',
    '...',
    '..a',
    '.hidden',
    '{"json":1}',
    '*',
    '?',
  ],
  ...['é', 'e\u0301', 'ß', 'İi', '日本語', '🦊🔥', '👩‍👩‍👧', '\u202e' + 'rtl', '\u200b', '\ufeffbom', '\u{10ffff}', '\x7f'],
  ...[
    'n'.repeat(255),
    'é'.repeat(127),
    '日'.repeat(85),
    '🦊'.repeat(63),
    '__proto__',
    'constructor',
    'toString',
    'a@12',
  ],
]

t.test('every odd name arrives byte for byte, as file and as directory', async (t) => {
  for (const name of ODD) {
    a.put(`odd/${name}`, `body of ${name}`)
    a.put(`dirs/${name}/${name}`, 'inside')
  }
  await j.inStep()
  const names = (place: string) =>
    readdirSync(place, { encoding: 'buffer' })
      .map((name) => name.toString('hex'))
      .sort()
  t.same(names(b.at('odd')), ODD.map((name) => Buffer.from(name).toString('hex')).sort())
  t.equal(b.read('odd/new\nline'), 'body of new\nline')
})

t.test('odd names are edited, moved and removed like others', async () => {
  for (const name of ODD) b.put(`odd/${name}`, 'edited')
  await j.inStep()
  b.move('dirs', 'dirs2')
  await j.inStep()
  a.remove('dirs2')
  for (const name of ODD.slice(0, 5)) a.remove(`odd/${name}`)
  await j.inStep()
})

t.test('a path as long as the system allows arrives', async (t) => {
  const path = `${Array.from({ length: 14 }, (_, i) => String(i).repeat(250).slice(0, 250)).join('/')}/end`
  a.put(`long/${path}`, 'far down')
  await j.inStep()
  t.equal(b.read(`long/${path}`), 'far down')
})

const LATIN1 = Buffer.from('caf\xe9.txt', 'latin1')
const inDocs = (home: string, ...parts: (string | Buffer)[]) =>
  Buffer.concat([Buffer.from(`${home}/docs/`), ...parts.map((part) => Buffer.from(part))])

t.test('a name that is not UTF-8 is a problem in status, and its neighbours go on', async (t) => {
  writeFileSync(inDocs(a.home, LATIN1), 'latin')
  a.put('neighbour', 'utf-8')
  await j.eventually('the neighbour is on B', () => b.has('neighbour'))
  await j.eventually('the name is in status', async () =>
    (await a.folder()).problems.some(({ path }) => path === 'caf\\xe9.txt'),
  )
  t.equal((await a.command('status')).status, 1)
  const problem = (await a.folder()).problems.find(({ path }) => path === 'caf\\xe9.txt')
  t.ok(problem !== undefined && problem.reason.length > 0 && problem.todo.length > 0, 'with a reason and what to do')
  t.notOk(
    [...b.tree().keys()].some((path) => path.startsWith('caf')),
    'it is nowhere else, under no other name',
  )
})

t.test('a name that is not UTF-8 survives a restart and the removal of its directory elsewhere', async (t) => {
  a.put('shelf/book', 'x')
  await j.eventually('the shelf is on B', () => b.has('shelf/book'))
  writeFileSync(inDocs(a.home, 'shelf/', LATIN1), 'latin')
  await a.stop()
  await a.start()
  b.remove('shelf')
  await j.eventually('the book is gone on A', () => !a.has('shelf/book'))
  const left = readdirSync(a.at('shelf'), { encoding: 'buffer' }).map(shown)
  t.same(left, ['caf\\xe9.txt'])
  rmSync(inDocs(a.home, LATIN1))
  rmSync(inDocs(a.home, 'shelf/', LATIN1))
})

t.test('once the name is mended all is in step', async (t) => {
  await j.eventually('A has no problem left', async () => (await a.folder()).problems.length === 0, 30_000)
  if (a.has('shelf')) a.remove('shelf')
  await j.settled()
  t.equal((await a.command('status')).status, 0)
})

t.test('ignored names stay where they are, by default, by option and by .syncignore', async (t) => {
  a.put('.syncignore', '*.secret\n')
  await j.inStep()
  for (const name of ['x.tmp', 'build/out', '.x.swp', 'x~', '.DS_Store', 'Thumbs.db', 'k.secret'])
    a.put(`work/${name}`, 'mine')
  a.put('work/real', 'ours')
  await j.eventually(
    'the real file is on B and on the coordinator',
    () => b.has('work/real') && server.has('work/real'),
  )
  t.same(readdirSync(b.at('work')), ['real'])
  t.same(readdirSync(server.at('work')), ['real'])
})

t.test('a directory deletion stops at an ignored file, and says so', async (t) => {
  b.remove('work')
  await j.eventually('the real file is gone on A', () => !a.has('work/real'))
  t.ok(a.has('work/k.secret'), 'the ignored file is kept')
  await j.eventually('status says so', async () =>
    (await a.folder()).problems.some(({ path }) => path.startsWith('work')),
  )
  a.remove('work')
  await j.inStep()
})

t.test('what cannot be synced is in status and holds nobody up', async (t) => {
  execFileSync('mkfifo', [a.at('pipe')])
  a.put('after-the-pipe', 'x')
  await j.eventually('the file is on B', () => b.has('after-the-pipe'))
  t.notOk(b.has('pipe'))
  await j.eventually('the pipe is in status', async () =>
    (await a.folder()).problems.some(({ path }) => path === 'pipe'),
  )
  a.remove('pipe')
  await j.inStep()
})
