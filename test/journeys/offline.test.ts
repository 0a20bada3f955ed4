// Journeys of nodes that were away: edits, deletes and conflicts meet again when they come back.
import t from 'tap'
import { pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import type { Conflict, Logged } from '../support/listings.ts'

const j = await Journey.open(t, { clients: ['a', 'b'] })
const [server, a, b] = [j.server, j.client('a'), j.client('b')]

const conflictsAt = async (path: string) => (await server.json<Conflict[]>('conflicts')).filter((c) => c.path === path)

t.test('clients that start before their coordinator are ready, and in step once it comes', async (t) => {
  a.put('early.txt', 'from a')
  const line = await a.start()
  t.match(line, /^ready role=client node=a( |$)/)
  await b.start()
  t.equal((await a.folder()).state, 'offline')
  t.equal((await a.command('status')).status, 1, 'not in step')
  await server.start()
  await j.settled()
  t.equal(b.read('early.txt'), 'from a')
  t.equal((await a.status()).coordinator.connected, true)
})

t.test('what was edited and deleted while away is so everywhere on return', async (t) => {
  a.put('gone', 'x')
  a.put('kept', 'x')
  await j.inStep()
  await a.stop()
  a.remove('gone')
  a.put('kept', 'edited while away')
  a.put('made/while/away', 'new')
  b.put('meanwhile', 'from b')
  await j.inStep({ nodes: [server, b] })
  await a.start()
  await j.inStep()
  t.notOk(b.has('gone'))
  t.equal(b.read('kept'), 'edited while away')
  t.equal(a.read('meanwhile'), 'from b')
})

t.test('both edited while the coordinator was away: the later one wins everywhere, the other is kept', async (t) => {
  a.put('plan', 'common')
  await j.inStep()
  await server.stop()
  a.put('plan', 'from a, first')
  await pause(1100)
  b.put('plan', 'from b, later')
  await server.start()
  await j.settled()
  for (const node of j.nodes) t.equal(node.read('plan'), 'from b, later', node.name)
  const conflicts = await conflictsAt('plan')
  t.match(conflicts, [{ folder: 'docs', path: 'plan', winner: { peer: 'b' }, loser: { peer: 'a' } }])
  t.equal(conflicts.length, 1)
  const rev = conflicts[0]?.loser.rev ?? 0
  t.equal((await a.command('get', `docs/plan@${rev}`)).stdout, 'from a, first')
  t.equal((await b.command('restore', `docs/plan@${rev}`)).status, 0)
  await j.inStep({ until: () => a.read('plan') === 'from a, first' })
})

t.test('the later write wins also when it comes back first', async (t) => {
  a.put('order', 'common')
  await j.inStep()
  await a.stop()
  await b.stop()
  a.put('order', 'from a, first')
  await pause(1100)
  b.put('order', 'from b, later')
  await b.start()
  await j.inStep({ nodes: [server, b] })
  await a.start()
  await j.settled()
  t.equal(a.read('order'), 'from b, later')
  t.equal((await conflictsAt('order')).length, 1)
})

t.test('an edit made after seeing the other one is no collision, whatever the times say', async (t) => {
  a.put('seen', 'one')
  await j.inStep()
  b.put('seen', 'two')
  await j.inStep()
  await a.stop()
  a.put('seen', 'three')
  await a.start()
  await j.settled()
  t.equal(b.read('seen'), 'three')
  t.equal((await conflictsAt('seen')).length, 0)
})

t.test('a delete never beats an edit that had not seen it', async (t) => {
  a.put('contested', 'old')
  a.put('contested2', 'old')
  await j.inStep()
  await server.stop()
  a.put('contested', 'edited by a')
  b.remove('contested2')
  await pause(50)
  b.remove('contested')
  a.put('contested2', 'edited by a')
  await server.start()
  await j.settled()
  for (const node of j.nodes) {
    t.equal(node.read('contested'), 'edited by a', node.name)
    t.equal(node.read('contested2'), 'edited by a', node.name)
  }
})

t.test('a directory deleted on one side keeps what was made or edited inside on the other', async (t) => {
  for (const name of ['one', 'two', 'three']) a.put(`project/${name}`, name)
  await j.inStep()
  await server.stop()
  a.remove('project')
  b.put('project/new', 'made meanwhile')
  b.put('project/two', 'edited meanwhile')
  await server.start()
  await j.settled()
  t.same([...a.tree().keys()].filter((path) => path.startsWith('project/')).sort(), ['project/new', 'project/two'])
})

t.test('both deleted, both made the same, both made a directory: nothing to quarrel about', async (t) => {
  a.put('both-delete', 'x')
  await j.inStep()
  const before = (await server.json<Conflict[]>('conflicts')).length
  await server.stop()
  for (const node of [a, b]) {
    node.remove('both-delete')
    node.put('both-made', 'the same bytes')
    node.put(`both-dir/${node.name}`, node.name)
  }
  await server.start()
  await j.settled()
  t.same([a.read('both-dir/b'), b.read('both-dir/a')], ['b', 'a'])
  t.notOk(server.has('both-delete'))
  t.equal((await server.json<Conflict[]>('conflicts')).length, before)
})

t.test('file against directory at one path: the later has the name, the other lives on beside it', async (t) => {
  await server.stop()
  a.put('thing.txt', 'a file')
  await pause(1100)
  b.put('thing.txt/inside', 'a directory')
  await server.start()
  await j.settled()
  const found = [...a.tree().keys()].filter((path) => path.startsWith('thing'))
  t.ok(found.includes('thing.txt/inside'))
  const copy = found.find((path) => /^thing \(conflict a \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\)\.txt$/.test(path))
  t.ok(copy !== undefined, JSON.stringify(found))
  if (copy !== undefined) t.equal(b.read(copy), 'a file')
})

t.test('a restart of each, with nothing changed, adds no revision', async (t) => {
  await j.settled()
  const seqs = async () => (await server.json<Logged[]>('log')).length
  const before = await seqs()
  for (const node of [a, server, b]) {
    t.match(await node.stop(), { status: 0, signal: null }, `${node.name} ends with 0`)
    await node.start()
    await j.settled()
  }
  t.equal(await seqs(), before)
})
