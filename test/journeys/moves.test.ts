// Journeys of moves and of what editors do instead of writing a file.
import { randomBytes } from 'node:crypto'
import { lstatSync, readFileSync, renameSync } from 'node:fs'
import t from 'tap'
import { Journey } from '../support/journey.ts'

const j = await Journey.open(t, { clients: ['a', 'b'], options: { docs: ['max-delete = off'] } })
const [a, b] = [j.client('a'), j.client('b')]
await j.start()

t.test('a moved file stands at its new place only', async (t) => {
  a.put('from.txt', 'moving')
  await j.inStep()
  a.move('from.txt', 'to.txt')
  await j.inStep()
  t.notOk(b.has('from.txt'))
  t.equal(b.read('to.txt'), 'moving')
})

t.test('a moved directory arrives with all it holds, and an edit inside it is seen', async (t) => {
  for (let i = 0; i < 60; i++) a.put(`box/sub${i % 6}/file${i}`, `body ${i}`)
  await j.inStep()
  a.move('box', 'crate')
  a.put('crate/sub3/file3', 'edited after the move')
  await j.inStep()
  t.notOk(b.has('box'))
  t.equal(b.read('crate/sub3/file3'), 'edited after the move')
  t.equal(b.read('crate/sub5/file59'), 'body 59')
})

t.test('a moved large file is on the other side the same inode: nothing was copied', async (t) => {
  a.put('big/one.bin', randomBytes(3_000_000))
  await j.inStep()
  const before = lstatSync(b.at('big/one.bin')).ino
  a.move('big', 'bigger')
  await j.inStep()
  t.equal(lstatSync(b.at('bigger/one.bin')).ino, before)
})

t.test('a renamed directory of 3,000 files is one rename, and history knows its files by both names', async (t) => {
  for (let i = 0; i < 3000; i++) a.put(`many/d${i % 30}/f${i}`, `body ${i}`)
  await j.settled()
  const inodes = (dir: string) => ['', '/d7', '/d7/f7', '/d29/f2999'].map((path) => lstatSync(b.at(dir + path)).ino)
  const before = inodes('many')
  const messages = () => [a, b].map((node) => readFileSync(`${node.state}/messages.log`, 'utf8'))
  const lengths = messages().map((text) => text.length)
  a.move('many', 'lots')
  await j.inStep()
  t.same(inodes('lots'), before)
  await j.settled()
  const [byA = '', byB = ''] = messages().map((text, index) => text.slice(lengths[index]))
  t.match(byA, /move_dir/)
  t.match(byB, /"moved"/)
  t.notMatch(byA + byB, /ack_push_file|"changes"/, 'one proposal, one news item')
  a.put('lots/d7/f7', 'edited')
  await j.settled()
  for (const path of ['lots/d7/f7', 'many/d7/f7']) {
    t.match((await a.command('history', `docs/${path}`)).stdout, /create/, path)
  }
  const revisions = JSON.parse((await a.command('history', 'docs/lots/d7/f7', '-json')).stdout) as {
    rev: number
    what: string
  }[]
  t.same(
    revisions.map(({ what }) => what),
    ['create', 'move', 'update'],
  )
  const first = revisions[0]?.rev ?? 0
  t.equal((await a.command('restore', `docs/lots/d7/f7@${first}`)).status, 0)
  await j.eventually('the first version is back', () => b.read('lots/d7/f7') === 'body 7')
  t.equal((await a.command('restore', `docs/many/d7/f7@${first}`)).status, 0)
  await j.eventually('it is back at its old place too', () => b.has('many/d7/f7') && b.read('many/d7/f7') === 'body 7')
})

t.test('a directory that is moved twice, and back, ends where it is', async (t) => {
  a.put('walk/file', 'x')
  await j.inStep()
  a.move('walk', 'walked')
  a.move('walked', 'away')
  await j.inStep()
  t.notOk(b.has('walk'))
  a.move('away', 'walk')
  await j.inStep()
  t.same(
    [...b.tree().keys()].filter((path) => /^(walk|away)/.test(path)),
    ['walk', 'walk/file'],
  )
})

t.test('two files exchange their names', async (t) => {
  a.put('swap/one', 'uno')
  a.put('swap/two', 'due')
  await j.inStep()
  a.move('swap/one', 'swap/tmp')
  a.move('swap/two', 'swap/one')
  a.move('swap/tmp', 'swap/two')
  await j.inStep()
  t.equal(b.read('swap/one'), 'due')
  t.equal(b.read('swap/two'), 'uno')
})

t.test('a move that changes nothing but the case of a name arrives', async (t) => {
  a.put('Readme', 'x')
  await j.inStep()
  a.move('Readme', 'README')
  await j.inStep()
  t.notOk(b.has('Readme'))
  t.ok(b.has('README'))
})

t.test('a file moved over another replaces it', async (t) => {
  a.put('over/old', 'old')
  a.put('over/new', 'new')
  await j.inStep()
  a.move('over/new', 'over/old')
  await j.inStep()
  t.equal(b.read('over/old'), 'new')
  t.notOk(b.has('over/new'))
})

t.test('a directory moved in from outside, and out again, comes and goes', async (t) => {
  const outside = `${a.home}/outside`
  a.put('inside/sub/file', 'x')
  await j.inStep()
  renameSync(a.at('inside'), outside)
  await j.inStep()
  t.notOk(b.has('inside'))
  renameSync(outside, a.at('back'))
  await j.inStep()
  t.equal(b.read('back/sub/file'), 'x')
})

t.test('an editor that writes beside the file and renames is one edit, and its leavings stay at home', async (t) => {
  a.put('essay.txt', 'draft')
  await j.inStep()
  a.put('.essay.txt.swp', 'swap')
  a.put('essay.txt~', 'draft')
  a.put('4913', '')
  a.put('.#essay.txt', 'lock')
  a.put('.essay.new', 'final')
  a.move('.essay.new', 'essay.txt')
  await j.eventually('the final text is on B', () => b.read('essay.txt') === 'final')
  for (const name of ['.essay.txt.swp', 'essay.txt~', '4913', '.#essay.txt', '.essay.new']) t.notOk(b.has(name), name)
  for (const name of ['.essay.txt.swp', 'essay.txt~', '4913', '.#essay.txt']) a.remove(name)
  await j.inStep()
})

t.test('moves on both clients at once end equal, and no content is lost', async (t) => {
  for (let i = 0; i < 20; i++) a.put(`both/${i}`, `body ${i}`)
  await j.inStep()
  a.move('both', 'left')
  b.move('both', 'right')
  await j.inStep()
  const bodies = [...a.tree().keys()].filter((path) => /^(both|left|right)\//.test(path))
  for (let i = 0; i < 20; i++)
    t.ok(
      bodies.some((path) => path.endsWith(`/${i}`)),
      `body ${i} is still there`,
    )
})
