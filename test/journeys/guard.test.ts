// Journeys of the guard: what looks like a disaster is held or halted, and nothing is deleted for it.
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import t from 'tap'
import { type JourneyNode, pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'

const j = await Journey.open(t, { clients: ['a', 'b'] })
const [server, a, b] = [j.server, j.client('a'), j.client('b')]
for (let i = 0; i < 40; i++) a.put(`f/${i}`, `body ${i}`)
await j.start()
await j.settled()
const whole = b.tree()

const stateIs = (node: JourneyNode, state: string) =>
  j.eventually(`${node.name} is ${state}`, async () => (await node.folder()).state === state)

t.test('a mass delete found at start is held: nobody else loses anything', async (t) => {
  await a.stop()
  for (let i = 0; i < 30; i++) a.remove(`f/${i}`)
  await a.start()
  await stateIs(a, 'held')
  const status = await a.command('status')
  t.equal(status.status, 1)
  t.match(status.stdout, /confirm/, 'status says what to do')
  await pause(500)
  t.same(b.tree(), whole)
  t.same(server.tree(), whole)
})

t.test('what others do still arrives at a folder that is held', async (t) => {
  b.put('meanwhile', 'x')
  await j.eventually('it is on A', () => a.has('meanwhile'))
  t.equal((await a.folder()).state, 'held')
  b.remove('meanwhile')
  await j.inStep({ nodes: [server, b] })
})

t.test('a held mass delete is still held after a restart', async (t) => {
  await a.stop()
  await a.start()
  await stateIs(a, 'held')
  t.same(b.tree(), whole)
})

t.test('reject brings the files back', async (t) => {
  t.equal((await a.command('reject', 'docs')).status, 0)
  await j.settled()
  t.same(a.tree(), whole)
})

t.test('a mass delete in front of our eyes is held as well', async (t) => {
  a.remove('f')
  await stateIs(a, 'held')
  await pause(500)
  const left = [...b.tree().keys()].length
  t.ok(left >= 20, `${left} of ${whole.size} are left on B`)
})

t.test('confirm lets it go', async (t) => {
  t.equal((await a.command('confirm', 'docs')).status, 0)
  await j.settled()
  t.notOk(b.has('f/0'))
  t.notOk(server.has('f/39'))
})

t.test('a few deletes, or a move of everything, are nobody’s disaster', async (t) => {
  for (let i = 0; i < 40; i++) a.put(`g/${i}`, `body ${i}`)
  await j.settled()
  await a.stop()
  a.move('g', 'h')
  for (let i = 0; i < 9; i++) a.remove(`h/${i}`)
  await a.start()
  await j.settled()
  t.notOk(b.has('g'))
  t.notOk(b.has('h/3'))
  t.equal(b.read('h/39'), 'body 39')
})

t.test('a folder whose root is missing at start is halted, and nothing is deleted anywhere', async (t) => {
  const before = b.tree()
  await a.stop()
  renameSync(a.at(), `${a.at()}-unmounted`)
  await a.start()
  await stateIs(a, 'halted')
  await pause(500)
  t.same(b.tree(), before)
  t.notOk(a.has(''), 'no folder was made in its place')
  renameSync(`${a.at()}-unmounted`, a.at())
  await a.stop()
  await a.start()
  await j.settled()
  t.same(a.tree(), before)
})

t.test('a root that turns up empty, without its marker, is halted: a disk that is not mounted', async (t) => {
  const before = b.tree()
  await a.stop()
  renameSync(a.at(), `${a.at()}-unmounted`)
  mkdirSync(a.at())
  await a.start()
  await stateIs(a, 'halted')
  const problem = (await a.folder()).problems[0]
  t.ok(problem !== undefined && problem.todo.length > 0, 'with what to do')
  await pause(500)
  t.same(b.tree(), before)
  rmSync(a.at(), { recursive: true })
  renameSync(`${a.at()}-unmounted`, a.at())
  await a.stop()
  await a.start()
  await j.settled()
})

t.test('a root that goes while we run halts the folder, and its return heals it', async (t) => {
  const before = b.tree()
  renameSync(a.at(), `${a.at()}-away`)
  await stateIs(a, 'halted')
  await pause(500)
  t.same(b.tree(), before)
  renameSync(`${a.at()}-away`, a.at())
  await j.eventually('A is in step again', async () => (await a.command('status')).status === 0, 30_000)
  await j.settled()
})

t.test('the coordinator’s own folder is guarded in the same way', async (t) => {
  const before = b.tree()
  await server.stop()
  renameSync(server.at(), `${server.at()}-unmounted`)
  await server.start()
  await pause(1000)
  t.same(b.tree(), before)
  t.same(a.tree(), before)
  t.not((await server.command('status')).status, 0)
  await server.stop()
  if (server.has('')) rmSync(server.at(), { recursive: true })
  renameSync(`${server.at()}-unmounted`, server.at())
  await server.start()
  await j.settled()
  t.same(server.tree(), before)
})
