// Journeys past symbolic links: whatever points out of a folder, nothing outside it is ever written, read or removed.
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import { treeOf } from '../support/trees.ts'

const j = await Journey.open(t, { clients: ['a', 'b'] })
const [server, a, b] = [j.server, j.client('a'), j.client('b')]
const outside = join(j.dir, 'outside')
mkdirSync(join(outside, 'sub'), { recursive: true })
writeFileSync(join(outside, 'x'), 'precious')
writeFileSync(join(outside, 'sub/y'), 'precious too')
const precious = treeOf(outside)
await j.start()

t.test('a directory that became a link to elsewhere is not written through', async (t) => {
  for (const name of ['x', 'sub/y', 'z']) a.put(`dir/${name}`, 'of the folder')
  await j.inStep()
  await b.stop()
  renameSync(b.at('dir'), join(j.dir, 'dir-of-b'))
  symlinkSync(outside, b.at('dir'))
  a.put('dir/x', 'edited by a')
  a.put('dir/sub/y', 'edited by a')
  a.put('dir/new', 'made by a')
  a.remove('dir/z')
  await j.inStep({ nodes: [server, a] })
  await b.start()
  await j.settled()
  t.same(treeOf(outside), precious)
})

t.test('the same in front of our eyes, again and again', async (t) => {
  for (let round = 0; round < 10; round++) {
    const dir = `race${round}`
    a.put(`${dir}/x`, 'first')
    await j.inStep()
    a.put(`${dir}/x`, 'second')
    a.put(`${dir}/sub/y`, 'second')
    if (round % 2 === 0) await pause(round * 3)
    renameSync(b.at(dir), join(j.dir, `${dir}-of-b`))
    symlinkSync(outside, b.at(dir))
    t.same(treeOf(outside), precious)
  }
  await j.inStep({ limitMs: 30_000 })
  t.same(treeOf(outside), precious)
})

t.test('a link to a directory is removed as a link, and what it points at stays', async (t) => {
  symlinkSync(outside, a.at('way-out'))
  await j.inStep()
  b.remove('way-out')
  await j.inStep()
  t.same(treeOf(outside), precious)
  t.notOk(a.has('way-out'))
})

t.test('what stands behind a link is not synced as if it stood inside', async (t) => {
  symlinkSync(outside, a.at('peek'))
  a.put('plain', 'x')
  await j.inStep()
  t.match(b.tree().get('peek'), /^link to /)
  t.notOk([...b.tree().keys()].some((path) => path.startsWith('peek/')))
})

t.test('a folder whose staging was replaced by a link is not led out by it', async (t) => {
  await b.stop()
  rmSync(b.at('.systemsync/staging'), { recursive: true, force: true })
  symlinkSync(outside, b.at('.systemsync/staging'))
  a.put('after', 'x'.repeat(200_000))
  await b.start()
  await pause(1000)
  t.same(treeOf(outside), precious)
  await b.stop()
  rmSync(b.at('.systemsync/staging'), { recursive: true, force: true })
  await b.start()
  await j.settled()
  t.equal(b.read('after').length, 200_000)
})
