import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Journal } from '../../lib/store/journal.ts'
import type { Revision } from '../../lib/model/revision.ts'
import { rel, symlink } from '../support/builders.ts'
import { InProcess } from '../support/in-process.ts'

t.test('two clients and the coordinator come in step, whoever starts when', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann', 'bob'] })
  nodes.server.put('s', 'by the coordinator')
  nodes.place('ann').put('a', 'by ann')
  await nodes.startServer()
  await nodes.startClient('ann')
  await nodes.inStep()
  nodes.place('bob').put('d/b', 'by bob')
  await nodes.startClient('bob')
  await nodes.inStep()
  await nodes.stopServer()
  nodes.place('ann').put('a', 'offline')
  nodes.place('bob').remove('s')
  await nodes.startServer()
  await nodes.inStep()
  t.equal(nodes.server.read('a'), 'offline')
  t.notOk(nodes.place('ann').has('s'))
  t.equal(nodes.place('ann').read('d/b'), 'by bob')
  t.same(nodes.hub().journal.collisions(), [])
})

t.test('the list of clients says who is here, with which key, and how far behind', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann', 'bob'] })
  await nodes.startServer()
  await nodes.startClient('ann')
  nodes.place('ann').put('f', 'x')
  await nodes.inStep()
  await nodes.eventually(() => nodes.coordinator.clients()[0]?.behind === 0)
  t.match(nodes.coordinator.clients(), [
    { name: 'ann', online: true, fingerprint: /^SHA256:/, behind: 0, lastSeenMs: Number },
    { name: 'bob', online: false, fingerprint: '', behind: 1, lastSeenMs: null },
  ])
  await nodes.stopClient('ann')
  await nodes.eventually(() => nodes.coordinator.clients()[0]?.online === false)
})

t.test('a client that comes back takes the place of its own connection that is still thought alive', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  await nodes.startServer()
  const folders = [{ name: 'docs', id: null, incarnation: null, cursor: 0 }]
  const hello = { protocol: 1, node: 'ann', version: '0', folders }
  const first = await nodes.bare('ann')
  t.hasProp(await nodes.ask(first.peer, 'mark_presence', hello), 'result')
  const second = await nodes.bare('ann')
  t.hasProp(await nodes.ask(second.peer, 'mark_presence', hello), 'result')
  await first.peer.closed
  t.hasProp(await nodes.ask(second.peer, 'conflicts', {}), 'result')
  t.match(nodes.coordinator.clients(), [{ name: 'ann', online: true }])
})

t.test('a folder that was set up by clients keeps their id when the coordinator starts anew', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  await nodes.startServer()
  const folders = [{ name: 'docs', id: 'an-earlier-life', incarnation: 'first', cursor: 17 }]
  const { peer } = await nodes.bare('ann')
  const hello = { protocol: 1, node: 'ann', version: '0', folders }
  const { result } = await nodes.ask(peer, 'mark_presence', hello)
  t.match(result, { folders: [{ name: 'docs', id: 'an-earlier-life', seq: 0 }] })
  t.match(nodes.hub().journal.client('ann'), { cursor: 0 }, 'what it knew of another life counts for nothing')
  t.equal(nodes.replica('server').id, 'an-earlier-life')
})

t.test('tombstones are kept until the coordinator’s own folder has seen them', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  nodes.server.put('gone-soon', 'text')
  await nodes.startServer()
  await nodes.inStep()
  const { seq } = nodes.replica('server').status()
  await nodes.stopServer()
  // Commits that the folder did not hear of, more than it asks for at once, the delete last.
  const journal = Journal.open(`${nodes.node('server').stateDir}/folders/docs/journal.db`)
  const count = 9000
  const at = (n: number) => ({ seq: seq + n, stamp: { timeMs: Date.now(), peer: 'ann' }, loser: false })
  const revisions: Revision[] = Array.from({ length: count }, (_, index) => {
    return { ...at(index + 1), path: rel(`link-${String(index)}`), what: 'create', entry: symlink('to') }
  })
  revisions.push({ ...at(count + 1), path: rel('gone-soon'), what: 'delete', entry: undefined })
  journal.commit({ revisions, collisions: [], contents: [] })
  journal.close()
  await nodes.startServer()
  await nodes.inStep()
  t.notOk(nodes.server.has('gone-soon'), 'the delete arrived')
  t.ok(nodes.server.has('link-8999'))
})

t.test('a folder that is halted on the coordinator is still served to nobody’s loss', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  nodes.server.put('f', 'text')
  await nodes.start()
  await nodes.inStep()
  await nodes.stopServer()
  writeFileSync(nodes.server.at('.systemsync/marker'), '{"folder":"another"}\n')
  await nodes.startServer()
  t.equal(nodes.replica('server').status().state, 'halted')
  nodes.place('ann').put('f', 'edited')
  await nodes.eventually(() => nodes.client('ann').link.connected)
  t.equal(nodes.server.read('f'), 'text', 'the directory of another folder is not written to')
})

t.test(
  'a client says that the folder is halted on the coordinator, and why, and sends what waited once it is back',
  async (t) => {
    const nodes = InProcess.open(t, { clients: ['ann'] })
    nodes.server.put('f', 'text')
    await nodes.start()
    await nodes.inStep()
    renameSync(nodes.server.at(), `${nodes.server.at()}-away`)
    nodes.place('ann').put('small', 'waits')
    nodes.place('ann').put('large', randomBytes(1024 * 1024))
    const problems = () => nodes.replica('ann').status().problems
    await nodes.eventually(() => problems().length > 0 || 'nothing is told')
    t.match(problems(), [
      {
        path: '.',
        reason: /^Cannot take changes of folder "docs": it is halted on the coordinator, its directory is missing$/,
        todo: /monitor status/,
      },
    ])
    t.notMatch(JSON.stringify(problems()), nodes.server.at(), 'no place of the other machine')
    renameSync(`${nodes.server.at()}-away`, nodes.server.at())
    await nodes.inStep()
    t.equal(nodes.server.read('small'), 'waits')
    t.same(problems(), [])
  },
)

t.test('a coordinator whose folder is missing starts all the same', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  nodes.server.put('f', 'text')
  await nodes.start()
  await nodes.inStep()
  await nodes.stopServer()
  renameSync(nodes.server.at(), `${nodes.server.at()}-away`)
  await nodes.startServer()
  t.equal(nodes.replica('server').status().state, 'halted')
  await nodes.eventually(() => nodes.client('ann').link.connected)
  t.equal(nodes.place('ann').read('f'), 'text')
  await nodes.stopServer()
  renameSync(`${nodes.server.at()}-away`, nodes.server.at())
  await nodes.startServer()
  await nodes.inStep()
})

t.test('a client from a backup older than forgotten tombstones brings no deleted file back', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann', 'bob'] })
  for (const name of ['stays', 'goes', 'd/goes too']) nodes.place('ann').put(name, name)
  await nodes.start()
  await nodes.inStep()
  await nodes.stopClient('bob')
  const { home } = nodes.place('bob')
  // Node's own copy cuts the mtimes to milliseconds: every file would be an edit.
  execFileSync('cp', ['-a', home, `${home}-backup`])
  await nodes.startClient('bob')
  nodes.place('ann').remove('goes')
  nodes.place('ann').remove('d')
  nodes.place('ann').put('new', 'new')
  await nodes.inStep()
  await nodes.eventually(() => nodes.coordinator.clients().every(({ behind }) => behind === 0))
  await nodes.stopClient('bob')
  await nodes.stopServer()
  await nodes.startServer()
  t.ok(nodes.hub().journal.pruned() > 0, 'everyone had passed the tombstones')
  rmSync(home, { recursive: true })
  renameSync(`${home}-backup`, home)
  await nodes.startClient('bob')
  await nodes.inStep()
  t.same([...nodes.place('ann').tree().keys()].sort(), ['new', 'stays'])
})
