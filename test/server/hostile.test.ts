import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { InProcess } from '../support/in-process.ts'
import { RawRpc, type Reply } from '../support/raw-rpc.ts'
import { treeOf } from '../support/trees.ts'

const SECRET = 'for ann alone'
const nodes = InProcess.open(t, {
  clients: ['ann', 'bob', 'carl'],
  folders: ['docs', 'private'],
  options: { docs: ['clients = ann, bob, carl'], private: ['clients = ann'] },
})
nodes.stranger('mallory')
writeFileSync(`${nodes.dir}/outside`, 'untouched')
nodes.place('ann').put('shared.txt', 'for all')
nodes.place('ann').put('hidden-name.txt', SECRET, 'private')
await nodes.startServer()
await nodes.startClient('ann')
await nodes.inStep()
await nodes.inStep(['server', 'ann'], 'private')

const hello = (node: string, folders: readonly string[] = ['docs']) => ({
  protocol: 1,
  node,
  version: '0.0.0',
  folders: folders.map((name) => ({ name, id: null, incarnation: null, cursor: 0 })),
})

/** A connection with bob's key that has said hello as bob. */
async function asBob(folders: readonly string[] = ['docs']) {
  const bob = await nodes.bare('bob')
  const welcome = await nodes.ask(bob.peer, 'mark_presence', hello('bob', folders))
  return { ...bob, welcome }
}

async function raw(name = 'bob'): Promise<RawRpc> {
  const session = await nodes.session(name)
  return new RawRpc(await session.subsystem('systemsync-rpc'))
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function fileEntry(text: string, more: { size?: number } = {}): unknown[] {
  return ['f', more.size ?? Buffer.byteLength(text), '1700000000000000000', 0o644, digest(text)]
}

/** Everything on this machine that a peer has no business with: the nodes' homes, less what a folder keeps for itself. */
function everything(): string {
  const trees = ['server', 'ann'].flatMap((name) => ['docs', 'private'].map((folder) => nodes.place(name).tree(folder)))
  return JSON.stringify([
    ...trees.map((tree) => [...tree]),
    readdirSync(nodes.dir).sort(),
    readdirSync(nodes.server.home).sort(),
    readFileSync(`${nodes.dir}/outside`, 'utf8'),
    [...treeOf(`${nodes.server.home}/.ssh`)],
  ])
}

/** The names in a directory of the folder's own. */
function own(dir: string, folder = 'docs'): string[] {
  return readdirSync(nodes.server.at(`.systemsync/${dir}`, folder)).sort()
}

async function stillServes(t: Test): Promise<void> {
  const { peer, session } = await nodes.bare('carl')
  t.hasProp(await nodes.ask(peer, 'clock', {}), 'result', 'the coordinator lives')
  await session[Symbol.asyncDispose]()
}

const BAD_PATHS = [
  ...['../x', '..', '.', 'a/../../x', 'a/..', './a', 'a/./b', '/etc/passwd', '/', '', 'a//b', 'a/', '//a'],
  ...['a\0b', '\0', '.systemsync', '.systemsync/marker', '.systemsync/staging/ann/x', '\ud800', 'a/\udfff'],
  ...['x'.repeat(256), `${'x/'.repeat(2500)}x`, 'é'.repeat(128), 'x'.repeat(5000)],
]

t.test('a path that is none is refused in every method, and nothing is written', async (t) => {
  const { peer } = await asBob()
  const before = everything()
  const seq = nodes.hub().journal.seq()
  for (const path of BAD_PATHS) {
    const shown = JSON.stringify(path.slice(0, 30))
    for (const [method, params] of [
      ['ack_push_file', { folder: 'docs', proposals: [[path, 0, ['d', 0o755], 0]] }],
      [
        'ack_push_file',
        {
          folder: 'docs',
          proposals: [
            ['good', 0, ['d', 0o755], 0],
            [path, 0, null, 0],
          ],
        },
      ],
      ['history', { folder: 'docs', path }],
      ['restore', { folder: 'docs', path, rev: null }],
      ['locate', { folder: 'docs', path, rev: null }],
      ['log', { folder: 'docs', path, limit: 10 }],
    ] as const) {
      t.equal((await nodes.ask(peer, method, params)).code, -32602, `${method} ${shown}`)
    }
  }
  t.equal(nodes.hub().journal.seq(), seq, 'nothing was committed, the good path beside a bad one neither')
  t.equal(everything(), before)
})

t.test('a name of a staged file or a pack that is none is refused', async (t) => {
  const { peer } = await asBob()
  for (const name of ['../ann/x', '..', '.', '', '/etc/passwd', 'a/b', 'a\0', 'x'.repeat(81), '.hidden', '-rf']) {
    for (const source of [name, [name, 0]]) {
      const proposals = [['f.txt', 0, fileEntry('x'), 0, source]]
      const answer = await nodes.ask(peer, 'ack_push_file', { folder: 'docs', proposals })
      t.equal(answer.code, -32602, JSON.stringify(source))
    }
  }
})

t.test('entries that no folder can hold are refused', async (t) => {
  const { peer } = await asBob()
  const good = fileEntry('x')
  for (const entry of [
    ...[['d', -1], ['d', 0o1000], ['d', 1.5], ['d'], ['x', 1], [], {}, 'd', 0, ['d', 0o755, 1]],
    ...[
      ['l', ''],
      ['l', 'a\0b'],
      ['l', 'x'.repeat(4096)],
      ['l', '\ud800'],
      ['l', 1],
    ],
    ...[
      ['f', -1, ...good.slice(2)],
      ['f', 1e300, ...good.slice(2)],
      ['f', 0.5, ...good.slice(2)],
    ],
    ...[
      ['f', 1, 'now', 0o644, digest('x')],
      ['f', 1, '1', 0o644, 'short'],
      ['f', 1, '1', 0o644, '!'.repeat(43)],
    ],
    ['f', 1, '9'.repeat(20), 0o644, digest('x')],
  ]) {
    const answer = await nodes.ask(peer, 'ack_push_file', { folder: 'docs', proposals: [['p', 0, entry, 0]] })
    t.equal(answer.code, -32602, JSON.stringify(entry).slice(0, 60))
  }
})

t.test('what is no message is answered with why, or ends the connection', async (t) => {
  const noMessages: [string, string, number][] = [
    ['garbage', 'GET / HTTP/1.1', -32700],
    ['half a message', '{"jsonrpc":"2.0","id":1,', -32700],
    ['an empty batch', '[]', -32600],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"clock","params":{}}]', -32600],
    ['a number', '17', -32600],
    ['null', 'null', -32600],
    ['another version', '{"jsonrpc":"1.0","id":1,"method":"clock","params":{}}', -32600],
    ['no method', '{"jsonrpc":"2.0","id":1}', -32600],
    ['a method that is no text', '{"jsonrpc":"2.0","id":1,"method":{},"params":{}}', -32600],
    ['a method of 10,000 letters', `{"jsonrpc":"2.0","id":1,"method":"${'x'.repeat(10_000)}","params":{}}`, -32600],
    ['params that are text', '{"jsonrpc":"2.0","id":1,"method":"clock","params":"x"}', -32600],
  ]
  for (const [what, line, code] of noMessages) {
    const rpc = await raw()
    rpc.send(`${line}\n`)
    t.equal((await rpc.reply(({ error }) => error !== undefined))?.error?.code, code, what)
  }
  for (const [what, text] of [
    ['a line of more than 1 MiB', `${'x'.repeat(1024 * 1024 + 1)}\n`],
    ['a line that never ends', 'x'.repeat(2 * 1024 * 1024)],
    [
      'a valid message of more than 1 MiB',
      `{"jsonrpc":"2.0","id":1,"method":"clock","params":{"x":"${'x'.repeat(1024 * 1024)}"}}\n`,
    ],
  ] as const) {
    const rpc = await raw()
    rpc.send(text)
    await rpc.closed
    t.ok(rpc.isClosed, what)
  }
  const deep = await raw()
  const nest = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
  deep.send(`{"jsonrpc":"2.0","id":1,"method":"clock","params":{"x":${nest}}}\n`)
  const reply = await deep.reply(({ error }) => error !== undefined)
  t.ok(deep.isClosed || reply?.error !== undefined, 'deep nesting')
  await stillServes(t)
})

t.test('a method that there is not is not found, one with the wrong params is told so', async (t) => {
  const { peer } = await asBob()
  for (const method of [
    'no_such',
    'pull_file',
    'get_public_key',
    '__proto__',
    'constructor',
    'toString',
    '',
    'rpc.x',
  ]) {
    t.equal((await nodes.ask(peer, method, {})).code, -32601, method)
  }
  for (const [method, params] of [
    ['changes', {}],
    ['changes', []],
    ['changes', { folder: 'docs', since: -1, limit: 10 }],
    ['changes', { folder: 'docs', since: 0, limit: 0 }],
    ['changes', { folder: 'docs', since: 0, limit: 5001 }],
    ['changes', { folder: ['docs'], since: 0, limit: 1 }],
    ['changes', { folder: 'docs', since: 0, limit: 1, more: 1 }],
    ['ack_push_file', { folder: 'docs', proposals: [] }],
    ['ack_push_file', { folder: 'docs', proposals: [[]] }],
    ['ack_push_file', { folder: 'docs', proposals: [['p', 0, null, 'now']] }],
    ['changes', { folder: 'docs', since: [1, '../x'], limit: 1 }],
    ['move_dir', { folder: 'docs', moves: [] }],
    ['move_dir', { folder: 'docs', moves: [['a', 'b', 1, [1, 'no mark'], 0]] }],
    ['move_dir', { folder: 'docs', moves: [['a', '../b', 1, [1, '0123456789abcdef'], 0]] }],
    ['move_dir', { folder: 'docs', moves: [['a', '.systemsync/b', 1, [1, '0123456789abcdef'], 0]] }],
    [
      'move_dir',
      { folder: 'docs', moves: Array.from({ length: 17 }, () => ['a', 'b', 1, [1, '0123456789abcdef'], 0]) },
    ],
    ['req_push_file', { folder: 'docs', files: [['x', 1]] }],
    ['pack', { folder: 'docs', wanted: 'all' }],
    ['mark_presence', { node: 'bob' }],
    ['attach', {}],
    ['clock', { x: 1 }],
  ] as const) {
    t.equal((await nodes.ask(peer, method, params)).code, -32602, `${method} ${JSON.stringify(params)}`)
  }
})

t.test('who has not said who it is gets nothing', async (t) => {
  const { peer } = await nodes.bare('bob')
  for (const [method, params] of [
    ['changes', { folder: 'docs', since: 0, limit: 10 }],
    ['req_push_file', { folder: 'docs', files: [] }],
    ['ack_push_file', { folder: 'docs', proposals: [['p', 0, ['d', 0o755], 0]] }],
    ['move_dir', { folder: 'docs', moves: [['a', 'b', 1, [1, '0123456789abcdef'], 0]] }],
    ['pack', { folder: 'docs', wanted: [] }],
    ['recipe', { folder: 'docs', sha256: digest('x') }],
    ['applied', { folder: 'docs', cursor: 1, pending: 0, state: '' }],
    ['log', { folder: null, path: null, limit: 10 }],
    ['log', { folder: 'docs', path: null, limit: 10 }],
    ['history', { folder: 'docs', path: 'shared.txt' }],
    ['restore', { folder: 'docs', path: 'shared.txt', rev: null }],
    ['locate', { folder: 'docs', path: 'shared.txt', rev: null }],
    ['conflicts', {}],
    ['clients', {}],
  ] as const) {
    t.equal((await nodes.ask(peer, method, params)).status, 401, method)
  }
})

t.test('nobody takes another one’s place', async (t) => {
  const ann = await nodes.bare('ann')
  const welcome = await nodes.ask(ann.peer, 'mark_presence', hello('ann'))
  const { session } = welcome.result as { session: string }
  const { peer } = await nodes.bare('bob')
  t.equal((await nodes.ask(peer, 'attach', { session })).status, 403, 'to attach to the session of another key')
  t.equal((await nodes.ask(peer, 'attach', { session: 'guessed' })).status, 403)
  t.equal((await nodes.ask(peer, 'changes', { folder: 'private', since: 0, limit: 10 })).status, 401)
  await asBob()
  const { peer: carl } = await nodes.bare('carl')
  const claimed = await nodes.ask(carl, 'mark_presence', hello('bob'))
  t.equal(claimed.status, 403, 'a name that is bound to another key')
  t.match(claimed.text, /bound to another key.*node\.json/)
  const { peer: mallory } = await nodes.bare('mallory')
  const unlisted = await nodes.ask(mallory, 'mark_presence', hello('mallory'))
  t.equal(unlisted.status, 403, 'a name that is not listed')
  t.match(unlisted.text, /mallory = USER, IP, PORT/, 'with the line to add')
  t.equal((await nodes.ask(mallory, 'mark_presence', hello('server'))).status, 403, 'the coordinator’s own name')
  t.equal((await nodes.ask(mallory, 'mark_presence', { ...hello('bob'), protocol: 2 })).status, 400)
  await ann.session[Symbol.asyncDispose]()
})

t.test('nobody has been told more than there is', async (t) => {
  const { peer } = await asBob()
  const { journal } = nodes.hub()
  const cursor = Number.MAX_SAFE_INTEGER
  t.hasProp(await nodes.ask(peer, 'applied', { folder: 'docs', cursor, pending: 0, state: 'in step' }), 'result')
  t.equal(nodes.hub().cursorOf('bob')?.cursor, journal.seq())
})

t.test('who wants to send more than there is room for is told so', async (t) => {
  const { peer } = await asBob()
  const ask = (size: number) => nodes.ask(peer, 'req_push_file', { folder: 'docs', files: [[digest('vast'), size]] })
  t.match(await ask(Number.MAX_SAFE_INTEGER), { status: 507, text: /MiB are free on the coordinator's disk/ })
  t.match(await ask(1), { result: { answers: [0] } })
})

t.test('an answer longer than a message is cut, and what is left out can be asked for', async (t) => {
  const { peer } = await asBob()
  const paths = Array.from({ length: 5000 }, (_, n) => `${'x'.repeat(150)}${String(n)}`)
  const prev = nodes.hub().journal.seq()
  const put = (path: string) => [path, 0, fileEntry(''), 0]
  for (let from = 0; from < paths.length; from += 1000) {
    const proposals = paths.slice(from, from + 1000).map(put)
    t.hasProp(await nodes.ask(peer, 'ack_push_file', { folder: 'docs', proposals }), 'result')
  }
  const { peer: carl, session } = await nodes.bare('carl')
  await nodes.ask(carl, 'mark_presence', hello('carl'))
  const proposals = paths.map((path) => [path, 0, null, 0])
  const { result } = await nodes.ask(carl, 'ack_push_file', { folder: 'docs', proposals })
  const reply = result as { outcomes: unknown[]; heads: unknown[][]; prev: number; upTo: number }
  t.equal(reply.outcomes.length, paths.length)
  t.ok(reply.heads.length < paths.length && reply.heads.length > 0, `${reply.heads.length} heads`)
  t.equal(reply.prev, reply.upTo + 1)
  t.ok(reply.upTo > prev)
  await session[Symbol.asyncDispose]()
  const heads = [...reply.heads]
  for (let since = reply.upTo, more = true; more;) {
    const page = await nodes.ask(peer, 'changes', { folder: 'docs', since, limit: 5000 })
    const found = page.result as { heads: unknown[][]; upTo: number; more: boolean }
    heads.push(...found.heads)
    since = found.upTo
    more = found.more
  }
  t.same(new Set(heads.map(([path]) => path)), new Set(paths))
  const bases = new Map(heads.map(([path, seq]) => [path, seq]))
  for (let from = 0; from < paths.length; from += 1000) {
    const gone = paths.slice(from, from + 1000).map((path) => [path, bases.get(path), null, 0])
    await nodes.ask(peer, 'ack_push_file', { folder: 'docs', proposals: gone })
  }
})

t.test('one connection is one client: it says hello once', async (t) => {
  const { peer } = await nodes.bare('carl')
  t.hasProp(await nodes.ask(peer, 'mark_presence', hello('carl')), 'result')
  t.equal((await nodes.ask(peer, 'mark_presence', hello('carl'))).status, 409)
  t.equal((await nodes.ask(peer, 'mark_presence', hello('bob'))).status, 409)
  t.hasProp(await nodes.ask(peer, 'conflicts', {}), 'result', 'and goes on as who it was')
})

t.test('a folder that is not shared does not exist: not by name, in no list, not for files', async (t) => {
  const { session, peer, welcome } = await asBob(['docs', 'private', 'nowhere'])
  const { folders, refused } = welcome.result as { folders: { name: string }[]; refused: unknown[] }
  t.same(
    folders.map(({ name }) => name),
    ['docs'],
  )
  const why = 'it is not shared with "bob"'
  t.same(
    refused,
    [
      { name: 'private', reason: why },
      { name: 'nowhere', reason: why },
    ],
    'as one that is nowhere',
  )
  const seq = nodes.hub('private').journal.seq()
  for (const [method, params] of [
    ['changes', { since: 0, limit: 10 }],
    ['req_push_file', { files: [[digest(SECRET), SECRET.length]] }],
    ['ack_push_file', { proposals: [['p', 0, ['d', 0o755], 0]] }],
    ['pack', { wanted: [digest(SECRET)] }],
    ['recipe', { sha256: digest(SECRET) }],
    ['applied', { cursor: 1, pending: 0, state: '' }],
    ['log', { path: null, limit: 10 }],
    ['history', { path: 'hidden-name.txt' }],
    ['restore', { path: 'hidden-name.txt', rev: null }],
    ['locate', { path: 'hidden-name.txt', rev: null }],
  ] as const) {
    const answer = await nodes.ask(peer, method, { folder: 'private', ...params })
    t.equal(answer.status, 404, method)
    const nowhere = await nodes.ask(peer, method, { folder: 'nowhere', ...params })
    t.equal(
      answer.text?.replace('private', 'nowhere'),
      nowhere.text,
      `${method}: the same words as for no folder at all`,
    )
  }
  t.equal(nodes.hub('private').journal.seq(), seq)
  t.equal(nodes.hub('private').journal.client('bob'), undefined)
  for (const [method, params] of [
    ['log', { folder: null, path: null, limit: 1000 }],
    ['conflicts', {}],
    ['clients', {}],
  ] as const) {
    const text = JSON.stringify(await nodes.ask(peer, method, params))
    t.notMatch(text, /private|hidden/, method)
  }

  t.same((await nodes.ask(peer, 'pack', { folder: 'docs', wanted: [digest(SECRET)] })).result, { places: [null] })
  const held = { folder: 'docs', proposals: [['stolen', 0, fileEntry(SECRET), 0]] }
  t.match(
    (await nodes.ask(peer, 'ack_push_file', held)).result,
    { outcomes: ['need'] },
    'to know a digest is not to have',
  )

  const sftp = await session.sftp()
  const [pack] = nodes.hub('private').journal.packs()
  for (const file of [
    `/private/packs/${String(pack?.id)}`,
    `/docs/../private/packs/${String(pack?.id)}`,
    `/private/objects/${'a'.repeat(64)}`,
  ]) {
    await t.rejects(sftp.getRange(file, 0, 1, nodes.signal), file)
  }
  for (const place of [
    '/private/staging/bob/x',
    '/docs/staging/ann/x',
    '/docs/packs/x',
    '/docs/x',
    '/x',
    '/docs/staging/bob/../ann/x',
  ]) {
    await t.rejects(sftp.putBytes(place, Buffer.from('x'), nodes.signal), place)
  }
  t.same(
    readdirSync(nodes.server.at('.systemsync/staging', 'private')).filter((name) => name === 'bob'),
    [],
  )
})

t.test(
  'bytes that are not what they were called are refused, nothing of them stays, and honest ones are taken',
  async (t) => {
    const { session, peer } = await asBob()
    const sftp = await session.sftp()
    const { journal } = nodes.hub()
    const [packs, seq] = [own('packs'), journal.seq()]
    const propose = async (...proposals: unknown[]) => {
      const { result } = await nodes.ask(peer, 'ack_push_file', { folder: 'docs', proposals })
      return (result as { outcomes?: unknown[] }).outcomes ?? []
    }
    const put = (name: string, text: string) =>
      sftp.putBytes(`/docs/staging/bob/${name}`, Buffer.from(text), nodes.signal)
    await put('p1', 'other bytes')
    t.match(
      await propose(['evil', 0, fileEntry('named bytes'), 0, ['p1', 0]]),
      [['r', 409, String]],
      'a pack of other bytes',
    )
    await put('o1', 'other bytes')
    t.match(
      await propose(['evil', 0, fileEntry('named bytes'), 0, 'o1']),
      [['r', 409, String]],
      'a file of other bytes',
    )
    t.match(await propose(['evil', 0, fileEntry('x'), 0, 'never-came']), [['r', 409, String]], 'a file that never came')
    await put('p2', 'x')
    for (const offset of [1, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      t.match(
        await propose(['evil', 0, fileEntry('x'), 0, ['p2', offset]]),
        [['r', 409, String]],
        `offset ${String(offset)}`,
      )
      await put('p2', 'x')
    }
    for (const size of [0, 2, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      t.match(
        await propose(['evil', 0, fileEntry('x', { size }), 0, ['p2', 0]]),
        [['r', 409, String]],
        `size ${String(size)}`,
      )
      await put('p2', 'x')
      await put('o2', 'x')
      t.match(
        await propose(['evil', 0, fileEntry('x', { size }), 0, 'o2']),
        [['r', 409, String]],
        `size ${String(size)}`,
      )
    }
    t.match(
      await propose(['evil', 0, fileEntry('for all', { size: 3 }), 0]),
      [['r', 400, String]],
      'a lie about the size of what is held',
    )
    const annsStaging = nodes.server.at('.systemsync/staging/ann')
    mkdirSync(annsStaging, { recursive: true })
    writeFileSync(`${annsStaging}/o-anns`, 'half of a secret')
    t.match(
      await propose(['evil', 0, fileEntry('half of a secret'), 0, 'o-anns']),
      [['r', 409, String]],
      'another’s staged file',
    )
    t.equal(readFileSync(`${annsStaging}/o-anns`, 'utf8'), 'half of a secret', 'which is left alone')
    t.match(await propose(['evil', 0, ['d', 0o755], 0, ['p2', 0]]), [['r', 409, String]], 'a directory with bytes')
    t.equal(journal.seq(), seq, 'nothing was committed')
    t.same(own('packs'), packs, 'no pack stays')
    t.same(
      own('staging').filter((name) => !['ann', 'bob', 'server'].includes(name)),
      [],
      'nothing is left half taken',
    )

    await put('p3', 'goodhonest')
    const [bad, good] = await propose(
      ['evil', 0, fileEntry('evil'), 0, ['p3', 0]],
      ['honest.txt', 0, fileEntry('honest'), 0, ['p3', 4]],
    )
    t.match(bad, ['r', 409, String])
    t.equal(good, seq + 1, 'what is right is taken, beside what is wrong')
    await nodes.eventually(() => nodes.server.has('honest.txt') && nodes.place('ann').has('honest.txt'))
    t.equal(nodes.server.read('honest.txt'), 'honest')
    t.notOk(nodes.server.has('evil'))
  },
)

t.test('a thousand messages, each spoiled in some way, are answered one by one and do no harm', async (t) => {
  await asBob()
  const random = seeded(20_250_704)
  const outside = () =>
    JSON.stringify([
      readFileSync(`${nodes.dir}/outside`, 'utf8'),
      readdirSync(nodes.dir).sort(),
      readdirSync(nodes.server.home).sort(),
      [...nodes.server.tree('private')],
    ])
  const before = outside()
  const codes = new Set<number>()
  let sent = 0
  while (sent < 1000) {
    const rpc = await raw()
    rpc.say({ jsonrpc: '2.0', id: 1, method: 'mark_presence', params: hello('bob') })
    let asked = 1
    for (const last = sent + 40; sent < last; sent++) {
      const [method, params] = VALID[sent % VALID.length] ?? ['clock', {}]
      const spoiled = spoil({ jsonrpc: '2.0', id: 1_000_000 + sent, method, params }, random)
      if (Object.hasOwn(spoiled, 'id')) asked++
      rpc.say(spoiled)
    }
    const answers = () => rpc.lines.filter(({ method }) => method === undefined)
    await rpc.reply(() => answers().length >= asked)
    t.equal(answers().length, asked, 'everything that asked was answered')
    t.same(
      answers().filter((line) => !isReply(line)),
      [],
      'with an answer',
    )
    for (const { error } of answers()) if (error !== undefined) codes.add(error.code)
  }
  t.same(
    [...codes].filter((code) => ![-32700, -32600, -32601, -32602, -32000, -32005].includes(code)),
    [],
    'no internal error',
  )
  t.equal(outside(), before, 'nothing outside the folder changed')
  await stillServes(t)
  nodes.place('ann').put('after.txt', 'still')
  await nodes.eventually(() => nodes.server.has('after.txt'))
})

const VALID: readonly (readonly [string, object])[] = [
  ['clock', {}],
  ['attach', { session: 'x' }],
  ['changes', { folder: 'docs', since: 0, limit: 10 }],
  ['req_push_file', { folder: 'docs', files: [[digest('x'), 1]] }],
  [
    'ack_push_file',
    {
      folder: 'docs',
      proposals: [
        ['fuzz/f', 0, fileEntry('x'), 1, ['p', 0]],
        ['fuzz', 0, ['d', 0o755], 1],
        ['link', 0, ['l', 'to'], 1],
      ],
    },
  ],
  [
    'ack_push_file',
    {
      folder: 'docs',
      proposals: [
        ['fuzz/f', 0, fileEntry('x'), 1, ['p', null, [[digest('y')], [[0, 0, 1], 1, -1]]]],
        ['gone', 0, null, 1],
      ],
    },
  ],
  ['pack', { folder: 'docs', wanted: [digest('x')] }],
  ['recipe', { folder: 'docs', sha256: digest('x') }],
  ['applied', { folder: 'docs', cursor: 1, pending: 0, state: 'in step' }],
  ['log', { folder: null, path: null, limit: 10 }],
  ['history', { folder: 'docs', path: 'shared.txt' }],
  ['restore', { folder: 'docs', path: 'shared.txt', rev: null }],
  ['locate', { folder: 'docs', path: 'shared.txt', rev: null }],
  ['conflicts', {}],
  ['clients', {}],
]

const POISON: readonly unknown[] = [
  ...[
    null,
    true,
    -1,
    0,
    1.5,
    1e308,
    Number.MAX_SAFE_INTEGER,
    '',
    '..',
    '../../x',
    '/',
    '\0',
    '\ud800',
    'x'.repeat(5000),
  ],
  ...[[], {}, [[]], { __proto__: null }, [null, null], 'docs', 'private', '.systemsync/marker', '__proto__', -0],
]

/** A copy of a message with one thing in it replaced, left out or said twice. */
function spoil(message: object, random: (below: number) => number): object {
  const copy = JSON.parse(JSON.stringify(message)) as object
  const spots: { readonly within: Record<string, unknown>; readonly key: string }[] = []
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [key, part] of Object.entries(value)) {
      spots.push({ within: value as Record<string, unknown>, key })
      visit(part)
    }
  }
  visit(copy)
  const spot = spots[random(spots.length)]
  if (spot === undefined) return copy
  const { within, key } = spot
  switch (random(4)) {
    case 0:
      if (Array.isArray(within)) within.splice(Number(key), 1)
      else Reflect.deleteProperty(within, key)
      break
    case 1:
      if (Array.isArray(within)) within.push(within[Number(key)])
      else within[`${key}${key}`] = within[key]
      break
    default:
      within[key] = POISON[random(POISON.length)]
  }
  return copy
}

function isReply({ id, result, error }: Reply): boolean {
  return id !== undefined && (result !== undefined) !== (error !== undefined)
}

/** Numbers below a bound, the same for the same seed. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % below
  }
}
