// Journeys of several folders: each where its node keeps it, each seen by those who share it and by nobody else.
import { lstatSync, readFileSync } from 'node:fs'
import t from 'tap'
import { filesBelow, pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import type { Logged } from '../support/listings.ts'

const j = await Journey.open(t, {
  clients: ['a', 'b', 'c'],
  folders: ['docs', 'photos', 'private'],
  options: { photos: ['clients = a, b'], private: ['clients = a'] },
})
const [server, a, b, c] = [j.server, j.client('a'), j.client('b'), j.client('c')]
await j.start()

t.test('each folder reaches those who share it', async (t) => {
  a.put('everybody', 'docs')
  a.put('some/body', 'photos', 'photos')
  a.put('nobody-else-zebra', 'private-giraffe', 'private')
  await j.inStep({ folder: 'docs' })
  await j.inStep({ folder: 'photos', nodes: [server, a, b] })
  await j.inStep({ folder: 'private', nodes: [server, a] })
  t.equal(c.read('everybody'), 'docs')
  t.equal(b.read('some/body', 'photos'), 'photos')
})

t.test('nothing of a folder leaks to a client that does not share it', async (t) => {
  b.put('more', 'x')
  c.put('and-more', 'x')
  await j.inStep({ folder: 'docs' })
  await pause(300)
  for (const client of [b, c]) {
    const files = filesBelow(client.home).filter(({ path }) => lstatSync(path).isFile())
    const leaks = files.filter(({ path }) => /zebra|giraffe/.test(path + readFileSync(path, 'latin1')))
    t.same(leaks, [], client.name)
  }
  t.same([...c.tree('photos').keys()], [])
  t.same((await b.status()).folders.map(({ name }) => name).sort(), ['docs', 'photos'])
  t.same(
    (await c.status()).folders.map(({ name }) => name),
    ['docs'],
  )
})

t.test('a client cannot read about a folder that it does not share', async (t) => {
  t.same(
    (await c.json<Logged[]>('log')).filter(({ folder }) => folder !== 'docs'),
    [],
  )
  for (const args of [
    ['history', 'private/nobody-else-zebra'],
    ['get', 'private/nobody-else-zebra'],
    ['restore', 'private/nobody-else-zebra'],
  ]) {
    const ran = await c.command(...args)
    t.not(ran.status, 0, args.join(' '))
    t.not(ran.status, 70, 'and that is not a bug')
    t.notMatch(ran.stdout, /giraffe/)
  }
})

t.test('what a client makes in a directory of that name is its own affair', async (t) => {
  c.put('mine', 'x', 'private')
  await pause(500)
  t.notOk(server.has('mine', 'private'))
  t.notOk(a.has('mine', 'private'))
})

t.test('the same path lives its own life in each folder', async (t) => {
  a.put('same', 'in docs')
  a.put('same', 'in photos', 'photos')
  await j.inStep({ folder: 'docs' })
  await j.inStep({ folder: 'photos', nodes: [server, a, b] })
  b.remove('same', 'photos')
  await j.inStep({ folder: 'photos', nodes: [server, a, b] })
  t.equal(c.read('same'), 'in docs')
  t.notOk(a.has('same', 'photos'))
})

t.test('trouble in one folder leaves the others alone', async (t) => {
  await b.stop()
  b.move('', '../photos-away', 'photos')
  await b.start()
  await j.eventually('photos are halted on B', async () => (await b.folder('photos')).state === 'halted')
  a.put('goes-on', 'x')
  await j.inStep({ folder: 'docs' })
  t.equal((await b.folder('docs')).state, 'in step')
  t.ok(a.has('some/body', 'photos'))
})
