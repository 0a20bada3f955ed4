import { rmSync, statSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { News } from '../../lib/replica/folder-state.ts'
import { MemoryHub } from '../support/memory-hub.ts'
import { ReplicaBench } from '../support/replica-bench.ts'

/** What was asked of the hub to change something or to move contents. */
const deeds = (hub: MemoryHub): string[] => hub.calls.filter((call) => /^(propose|put|read|moveTrees)/.test(call))

const FILES = 20

/** A folder in step that holds the directory `box`, with files and a directory in it. */
async function aBox(t: Test): Promise<[ReplicaBench, MemoryHub]> {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (let i = 0; i < FILES; i++) bench.write(`box/${i % 2 === 0 ? 'in/' : ''}f${String(i)}`, `text ${String(i)}`)
  bench.write('other', 'stays')
  await bench.start(hub)
  hub.calls.length = 0
  return [bench, hub]
}

/** What is in the folder when `box` was renamed, with some of it changed since. */
function renamed(to: string, changed: Record<string, string | undefined> = {}): Record<string, string> {
  const found: Record<string, string | undefined> = { other: 'stays', [to]: '/', [`${to}/in`]: '/' }
  for (let i = 0; i < FILES; i++) found[`${to}/${i % 2 === 0 ? 'in/' : ''}f${String(i)}`] = `text ${String(i)}`
  const all = Object.entries({ ...found, ...changed })
  return Object.fromEntries(all.flatMap(([path, text]) => (text === undefined ? [] : [[path, text]])))
}

async function inStep(t: Test, bench: ReplicaBench, hub: MemoryHub, files: Record<string, string>): Promise<void> {
  await bench.until('it is in step', () => bench.replica.status().state === 'in step')
  t.same(bench.files(), files)
  t.same(hub.live(), files)
  hub.calls.length = 0
  bench.replica.rescan()
  await bench.rest()
  t.same(deeds(hub), [], 'a scan finds nothing more')
}

t.test('a renamed directory is one proposal, and the base follows', async (t) => {
  const [bench, hub] = await aBox(t)
  const seq = hub.journal.revisions.length
  bench.move('box', 'crate')
  await bench.until('it is moved', () => hub.live()['crate'] !== undefined)
  await bench.rest()
  t.same(deeds(hub), ['moveTrees box crate'])
  t.equal(hub.journal.revisions.length, seq + 1, 'and one revision')
  await inStep(t, bench, hub, renamed('crate'))
  await bench.close()
  await bench.start(hub)
  t.same(deeds(hub), [], 'after a restart too')
})

t.test('directories moved together, one of them into a new one, go together after that', async (t) => {
  const [bench, hub] = await aBox(t)
  bench.write('two/f', 'too')
  bench.hint('two')
  bench.replica.rescan()
  await bench.rest()
  hub.calls.length = 0
  bench.put('new/made', 'x')
  bench.move('two', 'deux')
  bench.move('box', 'new/crate')
  await bench.until(
    'they are moved',
    () => hub.live()['new/crate/f1'] !== undefined && hub.live()['deux/f'] !== undefined,
  )
  await bench.rest()
  t.same(
    hub.calls.filter((call) => call.startsWith('read')),
    [],
  )
  t.ok(hub.calls.includes('moveTrees two deux') || hub.calls.includes('moveTrees box new/crate two deux'))
  const { other, ...box } = renamed('new/crate')
  await inStep(t, bench, hub, { ...box, other: other ?? '', new: '/', 'new/made': 'x', deux: '/', 'deux/f': 'too' })
})

t.test('what changed in a moved directory is told after its move', async (t) => {
  const [bench, hub] = await aBox(t)
  rmSync(bench.at('box/f1'))
  writeFileSync(bench.at('box/f3'), 'changed before')
  bench.write('box/sub/new', 'new')
  bench.move('box', 'crate')
  writeFileSync(bench.at('crate/in/f4'), 'changed after')
  bench.hint('crate/in/f4')
  await bench.until('it is moved', () => hub.live()['crate/sub/new'] === 'new' && hub.live()['crate/f1'] === undefined)
  await bench.rest()
  t.equal(deeds(hub)[0], 'moveTrees box crate')
  t.notOk(deeds(hub).some((call) => call.startsWith('propose') && call.includes('box')))
  const changed = { 'crate/f1': undefined, 'crate/f3': 'changed before', 'crate/in/f4': 'changed after' }
  await inStep(t, bench, hub, renamed('crate', { ...changed, 'crate/sub': '/', 'crate/sub/new': 'new' }))
})

t.test(
  'a directory in which others changed something meanwhile is moved path by path, and their edit stays',
  async (t) => {
    const [bench, hub] = await aBox(t)
    let news: News | undefined
    hub.moments.beforeMove = () => {
      delete hub.moments.beforeMove
      news = hub.other({ 'box/f1': 'theirs', 'box/f99': 'theirs too' })
    }
    bench.move('box', 'crate')
    await bench.until('it was refused', () => news !== undefined)
    await bench.until('the rest is moved', () => hub.live()['crate/f3'] === 'text 3')
    if (news !== undefined) bench.replica.told(news)
    await bench.rest()
    t.equal(deeds(hub)[0], 'moveTrees box crate')
    await inStep(t, bench, hub, renamed('crate', { box: '/', 'box/f1': 'theirs', 'box/f99': 'theirs too' }))
  },
)

t.test('a move whose answer is lost is known again', async (t) => {
  const [bench, hub] = await aBox(t)
  hub.moments.afterCommit = () => {
    delete hub.moments.afterCommit
    bench.leave()
    throw new Error('cut')
  }
  bench.move('box', 'crate')
  await bench.until('it is moved', () => hub.live()['crate'] !== undefined)
  bench.join(hub)
  await bench.rest()
  t.same(hub.journal.collisions, [])
  t.equal(deeds(hub).filter((call) => call.startsWith('read')).length, 0)
  await inStep(t, bench, hub, renamed('crate'))
})

t.test('a move that the hub fails at goes path by path', async (t) => {
  const [bench, hub] = await aBox(t)
  hub.moments.beforeMove = () => {
    throw new Error('no')
  }
  bench.move('box', 'crate')
  await bench.until('it is moved', () => hub.live()['crate'] !== undefined && hub.live()['box'] === undefined)
  await bench.rest()
  await inStep(t, bench, hub, renamed('crate'))
})

t.test('a directory whose files are ignored where it went is told path by path: they stay here', async (t) => {
  const [bench, hub] = await aBox(t)
  bench.put('.syncignore', 'crate/in/\n')
  await bench.until('the rules are known', () => bench.watched.includes('crate/in/'))
  await bench.rest()
  hub.calls.length = 0
  bench.move('box', 'crate')
  await bench.until('it is moved', () => hub.live()['crate/f1'] !== undefined && hub.live()['box'] === undefined)
  await bench.rest()
  t.same(
    hub.calls.filter((call) => call.startsWith('moveTrees')),
    [],
  )
  t.equal(hub.live()['crate/in'], undefined)
  t.equal(bench.read('crate/in/f0'), 'text 0')
})

t.test('news of a moved directory is one rename', async (t) => {
  const [bench, hub] = await aBox(t)
  const inodes = (dir: string) => ['', '/in', '/f1', '/in/f2'].map((path) => statSync(bench.at(dir + path)).ino)
  const before = inodes('box')
  const steps: unknown[] = []
  bench.moments.beforeApply = (batch) => steps.push(...batch.map((step) => [step.do, step.path]))
  bench.replica.told(hub.otherMoves('box', 'crate'))
  await bench.until('it is moved', () => bench.replica.cursor === hub.journal.revisions.length)
  await bench.rest()
  t.same(steps, [['move', 'crate']])
  t.same(inodes('crate'), before)
  t.same(hub.calls, [], 'nothing was asked')
  await inStep(t, bench, hub, renamed('crate'))
  bench.put('crate/f1', 'edited')
  await bench.until('an edit of it is pushed', () => hub.live()['crate/f1'] === 'edited')
  t.same(hub.journal.collisions, [])
})

t.test('news that follow a move wait for it', async (t) => {
  const [bench, hub] = await aBox(t)
  const moved = hub.otherMoves('box', 'crate')
  const edited = hub.other({ 'crate/f1': 'edited there', fresh: 'new' })
  bench.replica.told(moved)
  bench.replica.told(edited)
  bench.replica.told(hub.otherMoves('crate', 'chest'))
  await bench.until('all is here', () => bench.replica.cursor === hub.journal.revisions.length)
  await bench.rest()
  t.same(
    hub.calls.filter((call) => call.startsWith('changes')),
    [],
    'nothing was asked',
  )
  await inStep(t, bench, hub, renamed('chest', { 'chest/f1': 'edited there', fresh: 'new' }))
})

t.test('who does not know what was moved asks for it', async (t) => {
  const [bench, hub] = await aBox(t)
  const news = hub.otherMoves('box', 'crate')
  if (news.moved === undefined) throw new Error('no move')
  bench.replica.told({ ...news, moved: { ...news.moved, mark: { count: 3, hash: '0123456789abcdef' } } })
  await bench.until('it is moved', () => bench.replica.cursor === news.upTo)
  await bench.rest()
  t.ok(hub.calls.some((call) => call.startsWith('changes')))
  t.notOk(
    hub.calls.some((call) => call.startsWith('read')),
    'what is here already is not fetched',
  )
  await inStep(t, bench, hub, renamed('crate'))
})

t.test('where something stands in the way the move is taken in path by path, and nothing is lost', async (t) => {
  const [bench, hub] = await aBox(t)
  bench.moments.differs = (step) => {
    if (step.do === 'move' && step.path === 'crate') delete bench.moments.differs
    return step.do === 'move' && step.path === 'crate'
  }
  bench.replica.told(hub.otherMoves('box', 'crate'))
  await bench.until('it is moved', () => bench.replica.cursor === hub.journal.revisions.length)
  await bench.rest()
  await inStep(t, bench, hub, renamed('crate'))
})

t.test('an edit here that waits in a directory moved elsewhere stays where it was made', async (t) => {
  const [bench, hub] = await aBox(t)
  hub.moments.beforePropose = () => {
    delete hub.moments.beforePropose
    bench.replica.told(hub.otherMoves('box', 'crate'))
  }
  bench.put('box/f1', 'mine')
  await bench.until('it is moved', () => bench.replica.cursor >= hub.journal.revisions.length)
  await bench.rest()
  t.same(hub.journal.collisions, [])
  await inStep(t, bench, hub, renamed('crate', { box: '/', 'box/f1': 'mine' }))
})

t.test('an edit at the moment of the rename moves along, and is pushed from there', async (t) => {
  const [bench, hub] = await aBox(t)
  bench.moments.beforeApply = () => {
    delete bench.moments.beforeApply
    bench.write('box/f1', 'mine')
  }
  bench.replica.told(hub.otherMoves('box', 'crate'))
  await bench.until('it is moved', () => bench.replica.cursor === hub.journal.revisions.length)
  bench.replica.rescan()
  await bench.until('it is pushed', () => hub.live()['crate/f1'] === 'mine')
  await bench.rest()
  await inStep(t, bench, hub, renamed('crate', { 'crate/f1': 'mine' }))
})
