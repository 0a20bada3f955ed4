// Journeys of nodes that know nothing of each other yet, or not any more.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JourneyNode } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import type { Conflict, Logged } from '../support/listings.ts'

const conflicts = async (j: Journey) => (await j.server.json<Conflict[]>('conflicts')).length

t.test('first contact of filled folders is their union', async (t) => {
  const j = await Journey.open(t, { clients: ['a', 'b'] })
  for (const node of j.nodes) {
    for (let i = 0; i < 10; i++) node.put(`${node.name}/${i}`, `${node.name} ${i}`)
    node.put(`shared/${node.name}`, node.name)
    node.put('same', 'the same everywhere')
  }
  await j.start()
  await j.settled()
  t.equal(j.client('b').read('a/7'), 'a 7')
  t.same(readdirSync(j.client('a').at('shared')).sort(), ['a', 'b', 'server'])
  t.equal(await conflicts(j), 0)
})

t.test('equal trees are adopted: no conflict, no transfer, no new inode', async (t) => {
  const j = await Journey.open(t, { clients: ['a', 'b'] })
  const [a, b] = [j.client('a'), j.client('b')]
  for (let i = 0; i < 30; i++) a.put(`sub${i % 3}/${i}`, `body ${i}`)
  for (const node of [j.server, b]) execFileSync('cp', ['-a', `${a.at()}/.`, node.at()])
  const before = b.tree()
  const inodes = () =>
    execFileSync('find', [b.at(), '-name', '.systemsync', '-prune', '-o', '-type', 'f', '-printf', '%P %i\n'])
  const inodesBefore = inodes().toString()
  await j.start()
  await j.settled()
  t.same(b.tree(), before)
  t.equal(inodes().toString(), inodesBefore)
  t.equal(await conflicts(j), 0)
  const log = await j.server.json<Logged[]>('log')
  t.equal(log.filter(({ what }) => what === 'create').length, log.length, 'each path was made known once')
})

t.test('different contents at first contact: one wins, none is lost', async (t) => {
  const j = await Journey.open(t, { clients: ['a', 'b'] })
  const [a, b] = [j.client('a'), j.client('b')]
  a.put('doc', 'of a')
  b.put('doc', 'of b')
  await j.start()
  await j.settled()
  const [conflict] = await j.server.json<Conflict[]>('conflicts')
  const lost = (await j.server.command('get', `docs/doc@${conflict?.loser.rev ?? 0}`)).stdout
  t.same([a.read('doc'), lost].sort(), ['of a', 'of b'])
})

t.test('a client that lost its state finds its way back without a conflict or a loss', async (t) => {
  const j = await filled(t)
  const [a, b] = [j.client('a'), j.client('b')]
  await a.stop()
  rmSync(a.state, { recursive: true })
  b.put('meanwhile', 'new')
  a.put('edited', 'while the state was lost')
  await j.inStep({ nodes: [j.server, b] })
  await a.start()
  await j.settled()
  t.equal(a.read('meanwhile'), 'new')
  t.equal(b.read('edited'), 'while the state was lost')
  // Nobody knows any more which version was edited, so that one path may be a collision; the others are not.
  t.ok((await j.server.json<Conflict[]>('conflicts')).every(({ path }) => path === 'edited'))
})

t.test('a client that lost its folder as well is filled again', async (t) => {
  const j = await filled(t)
  const a = j.client('a')
  const before = j.server.tree()
  await a.stop()
  rmSync(a.state, { recursive: true })
  empty(a)
  await a.start()
  await j.settled()
  t.same(a.tree(), before)
})

t.test('a coordinator that lost its state but not its folder goes on', async (t) => {
  const j = await filled(t)
  const before = j.client('a').tree()
  await j.server.stop()
  rmSync(j.server.state, { recursive: true })
  forgetHostKey(j)
  await j.server.start()
  await restartClients(j)
  await j.settled()
  t.same(j.client('b').tree(), before)
})

t.test('an emptied coordinator is filled again by its clients', async (t) => {
  const j = await filled(t)
  const before = j.client('a').tree()
  await j.server.stop()
  rmSync(j.server.state, { recursive: true })
  empty(j.server)
  forgetHostKey(j)
  await j.server.start()
  await restartClients(j)
  await j.settled()
  t.same(j.client('a').tree(), before)
  t.same(j.server.tree(), before)
})

/** A trio in step with some files, running. */
async function filled(t: Parameters<typeof Journey.open>[0]): Promise<Journey> {
  const j = await Journey.open(t, { clients: ['a', 'b'] })
  for (let i = 0; i < 20; i++) j.client('a').put(`dir${i % 4}/${i}`, `body ${i}`)
  j.client('b').put('edited', 'first')
  await j.start()
  await j.settled()
  return j
}

/** Removes all that stands in a node's folder, `.systemsync` as well. */
function empty(node: JourneyNode): void {
  for (const name of readdirSync(node.at())) rmSync(node.at(name), { recursive: true })
}

/** As a person does after the coordinator was set up anew: a lost state directory takes the host key with it. */
function forgetHostKey(j: Journey): void {
  for (const { home } of j.clients) {
    const file = join(home, '.ssh/known_hosts')
    if (existsSync(file)) rmSync(file)
  }
}

async function restartClients(j: Journey): Promise<void> {
  for (const client of j.clients) await client.stop()
  for (const client of j.clients) await client.start()
}
