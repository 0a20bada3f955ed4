// Journeys into the past: every version is listed, readable and restorable, and the JSON has the promised shape.
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import type { Conflict, Known, Logged, Version } from '../support/listings.ts'
import { sha256 } from '../support/trees.ts'

const j = await Journey.open(t, {
  clients: ['a', 'b'],
  folders: ['docs', 'both'],
  options: { both: ['conflict = keep-both'] },
})
const [server, a, b] = [j.server, j.client('a'), j.client('b')]
await j.start()

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const hasKeys = (value: object, keys: readonly string[]) => keys.filter((key) => !(key in value))

t.test('history has one version for each save, newest last, and says which is live', async (t) => {
  for (const body of ['one', 'two two', 'three']) {
    a.put('essay.txt', body)
    await j.inStep()
  }
  const versions = await b.json<Version[]>('history', 'docs/essay.txt')
  t.match(versions, [
    { what: 'create', peer: 'a', size: 3, sha256: sha256('one'), live: false, loser: false },
    { what: 'update', peer: 'a', size: 7, sha256: sha256('two two'), live: false, loser: false },
    { what: 'update', peer: 'a', size: 5, sha256: sha256('three'), live: true, loser: false },
  ])
  for (const version of versions) {
    t.same(hasKeys(version, ['rev', 'time', 'peer', 'what', 'size', 'sha256', 'live', 'loser']), [])
    t.match(version.time, TIME)
  }
  const revs = versions.map(({ rev }) => rev)
  t.same(
    revs,
    [...revs].sort((x, y) => x - y),
  )
})

t.test('get writes any version to stdout, the live one by default', async (t) => {
  const versions = await a.json<Version[]>('history', 'docs/essay.txt')
  for (const [i, body] of ['one', 'two two', 'three'].entries()) {
    t.equal((await a.command('get', `docs/essay.txt@${versions[i]?.rev ?? 0}`)).stdout, body)
  }
  t.equal((await a.command('get', 'docs/essay.txt')).stdout, 'three')
  t.equal((await server.command('get', 'docs/essay.txt')).stdout, 'three')
})

t.test('restore brings a version back as a new revision, on every node', async (t) => {
  const [first] = await a.json<Version[]>('history', 'docs/essay.txt')
  t.equal((await b.command('restore', `docs/essay.txt@${first?.rev ?? 0}`)).status, 0)
  await j.inStep({ until: () => a.has('essay.txt') && a.read('essay.txt') === 'one' })
  const versions = await a.json<Version[]>('history', 'docs/essay.txt')
  t.equal(versions.length, 4)
  t.match(versions.at(-1), { size: 3, live: true, loser: false })
})

t.test('a deleted file is restored by its path alone', async (t) => {
  a.put('sub/precious', 'gold')
  await j.inStep()
  b.remove('sub')
  await j.inStep()
  t.match((await a.json<Version[]>('history', 'docs/sub/precious')).at(-1), {
    what: 'delete',
    loser: false,
  })
  t.equal((await a.command('restore', 'docs/sub/precious')).status, 0)
  await j.inStep({ until: () => b.has('sub/precious') })
  t.equal(b.read('sub/precious'), 'gold')
})

t.test('log lists all revisions, newest last, with who and what', async (t) => {
  server.put('by-hand', 'made on the coordinator')
  await j.inStep()
  const log = await a.json<Logged[]>('log')
  const keys = ['folder', 'seq', 'time', 'peer', 'what', 'path', 'kind', 'size', 'sha256']
  for (const line of log) t.same(hasKeys(line, keys), [])
  t.ok(log.every(({ time }) => TIME.test(time)))
  const docs = log.filter(({ folder }) => folder === 'docs').map(({ seq }) => seq)
  t.same(
    docs,
    [...docs].sort((x, y) => x - y),
  )
  t.match(
    log.filter(({ path }) => path === 'by-hand'),
    [
      {
        folder: 'docs',
        peer: 'server',
        what: 'create',
        kind: 'file',
        size: 23,
        sha256: sha256('made on the coordinator'),
      },
    ],
  )
  const essay = await server.json<Logged[]>('log', 'docs/essay.txt')
  t.ok(essay.length >= 4 && essay.every(({ path }) => path === 'essay.txt'))
  t.ok((await server.json<Logged[]>('log', 'both')).every(({ folder }) => folder === 'both'))
})

t.test('a moved file is a move in the log', async (t) => {
  a.put('old-name', 'moving content')
  await j.inStep()
  a.move('old-name', 'new-name')
  await j.inStep()
  const log = await server.json<Logged[]>('log', 'docs/new-name')
  t.match(log.at(-1), { path: 'new-name', what: 'move', kind: 'file' })
})

t.test('conflicts has the promised shape', async (t) => {
  a.put('clash', 'common')
  await j.inStep()
  await server.stop()
  a.put('clash', 'from a')
  await pause(1100)
  b.put('clash', 'from b')
  await server.start()
  await j.settled()
  const [conflict, ...others] = await b.json<Conflict[]>('conflicts')
  t.same(others, [])
  t.same(hasKeys(conflict ?? {}, ['folder', 'path', 'time', 'winner', 'loser']), [])
  t.match(conflict, { folder: 'docs', path: 'clash', time: TIME, winner: { peer: 'b' }, loser: { peer: 'a' } })
  const versions = await a.json<Version[]>('history', 'docs/clash')
  t.match(
    versions.find(({ rev }) => rev === conflict?.loser.rev),
    { loser: true, live: false, sha256: sha256('from a') },
  )
  t.match(
    versions.find(({ rev }) => rev === conflict?.winner.rev),
    { loser: false, live: true, sha256: sha256('from b') },
  )
})

t.test('keep-both puts the loser beside the winner, under a name that says whose it is', async (t) => {
  const folder = 'both'
  const long = `${'n'.repeat(250)}.txt`
  for (const name of ['report.final.txt', 'noext', '.hidden', long]) a.put(name, 'common', folder)
  await j.inStep({ folder })
  await server.stop()
  for (const name of ['report.final.txt', 'noext', '.hidden', long]) a.put(name, 'from a', folder)
  await pause(1100)
  for (const name of ['report.final.txt', 'noext', '.hidden', long]) b.put(name, 'from b', folder)
  await server.start()
  const copies = () => [...server.tree(folder).keys()].filter((path) => path.includes('(conflict '))
  await j.inStep({ folder, until: () => copies().length === 4 })
  const suffix = String.raw`\(conflict a \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\)`
  for (const pattern of [`^report\\.final ${suffix}\\.txt$`, `^noext ${suffix}$`, `^n+ ${suffix}\\.txt$`]) {
    const copy = copies().find((path) => new RegExp(pattern).test(path))
    t.ok(copy !== undefined && Buffer.byteLength(copy) <= 255, `${pattern} in ${JSON.stringify(copies())}`)
    if (copy !== undefined) t.equal(b.read(copy, folder), 'from a')
  }
  t.equal(a.read('noext', folder), 'from b')
})

t.test('a copy of a copy carries one suffix', async (t) => {
  const folder = 'both'
  const copy = [...a.tree(folder).keys()].find((path) => path.startsWith('noext (conflict ')) ?? 'missing'
  await server.stop()
  a.put(copy, 'edited by a', folder)
  await pause(1100)
  b.put(copy, 'edited by b', folder)
  await server.start()
  const copies = () => [...server.tree(folder).keys()].filter((path) => path.startsWith('noext (conflict '))
  await j.inStep({ folder, until: () => copies().length === 2 })
  for (const path of copies()) t.equal(path.split('(conflict ').length, 2, path)
})

t.test('clients says who is known, who is here and by which key', async (t) => {
  await b.stop()
  await j.eventually('B is away', async () =>
    (await server.json<Known[]>('clients')).some(({ name, online }) => name === 'b' && !online),
  )
  a.put('while-b-is-away', 'x')
  await j.inStep({ nodes: [server, a] })
  await j.eventually('A is not behind', async () =>
    (await server.json<Known[]>('clients')).some(({ name, behind }) => name === 'a' && behind === 0),
  )
  const known = await server.json<Known[]>('clients')
  t.same(known.map(({ name }) => name).sort(), ['a', 'b'])
  for (const client of known) {
    t.same(hasKeys(client, ['name', 'online', 'fingerprint', 'behind', 'lastSeen']), [])
    t.match(client.fingerprint, /^SHA256:[A-Za-z0-9+/]{43}$/)
  }
  t.match(
    known.find(({ name }) => name === 'a'),
    { online: true, behind: 0 },
  )
  const away = known.find(({ name }) => name === 'b')
  t.match(away, { online: false, lastSeen: TIME })
  t.ok((away?.behind ?? 0) >= 1, 'B is behind')
  await b.start()
  await j.settled()
})

t.test('status has the promised shape on both roles', async (t) => {
  writeFileSync(a.at('last'), 'x')
  await j.settled()
  for (const node of [server, a]) {
    const status = await node.status()
    t.match(status, {
      role: node === server ? 'server' : 'client',
      node: node.name,
      version: /^\d+\.\d+\.\d+/,
      coordinator: { connected: true, address: /127\.0\.0\.1/ },
    })
    const docs = await node.folder('docs')
    t.match(docs, { name: 'docs', path: node.at(), state: 'in step', pending: 0, bytesPending: 0, problems: [] })
    t.ok(docs.seq > 0)
    t.equal((await node.command('status')).status, 0)
  }
})

t.test('what does not exist is said so, with a status and no stack', async (t) => {
  for (const args of [
    ['history', 'docs/nowhere'],
    ['get', 'docs/nowhere'],
    ['restore', 'docs/essay.txt@99999'],
    ['log', 'nofolder'],
    ['get', 'nofolder/x'],
  ]) {
    const ran = await a.command(...args)
    t.ok(ran.status !== 0 && ran.status !== 70, `${args.join(' ')}: ${ran.status}`)
    t.notMatch(ran.stderr, /\n\s+at /)
  }
})
