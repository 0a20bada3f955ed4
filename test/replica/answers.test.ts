import { chmodSync, renameSync, rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { MemoryHub } from '../support/memory-hub.ts'
import { ReplicaBench } from '../support/replica-bench.ts'

/** A folder in step, whose next answer will be lost with the link. */
async function atOdds(t: Test, files: Record<string, string>): Promise<[ReplicaBench, MemoryHub]> {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (const [path, text] of Object.entries(files)) bench.write(path, text)
  await bench.start(hub)
  hub.moments.afterCommit = () => {
    delete hub.moments.afterCommit
    bench.leave()
    throw new Error('cut')
  }
  return [bench, hub]
}

/** The process dies before it hears the answer; what is done meanwhile is done before it is started again. */
async function afterDeath(bench: ReplicaBench, hub: MemoryHub, meanwhile: () => void): Promise<void> {
  await bench.until('the answer is lost', () => hub.moments.afterCommit === undefined)
  await bench.close()
  meanwhile()
  await bench.start(hub)
  await bench.until('it is in step', () => bench.replica.status().state === 'in step')
}

t.test('a file moved away, and back after the answer was lost, is found where it was left', async (t) => {
  const [bench, hub] = await atOdds(t, { a: 'one', b: 'two' })
  bench.move('a', 'c')
  await afterDeath(bench, hub, () => {
    renameSync(bench.at('c'), bench.at('a'))
  })
  t.same(bench.files(), { a: 'one', b: 'two' })
  t.same(hub.live(), { a: 'one', b: 'two' })
})

t.test('a directory moved away, and back after the answer was lost, is found where it was left', async (t) => {
  const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`d/f${String(i)}`, `text ${String(i)}`]))
  const [bench, hub] = await atOdds(t, files)
  bench.move('d', 'e')
  await afterDeath(bench, hub, () => {
    t.ok(hub.live()['e/f1'], 'the move was committed')
    renameSync(bench.at('e'), bench.at('d'))
  })
  t.same(bench.files(), { ...files, d: '/' })
  t.same(hub.live(), { ...files, d: '/' })
})

t.test('a file deleted after the answer to its creation was lost does not come back', async (t) => {
  const [bench, hub] = await atOdds(t, { a: 'one' })
  bench.put('new', 'short-lived')
  await afterDeath(bench, hub, () => {
    rmSync(bench.at('new'))
  })
  t.same(bench.files(), { a: 'one' })
  t.same(hub.live(), { a: 'one' })
  t.same(hub.versions('new'), ['short-lived', 'gone'])
})

t.test('a file put back after the answer to its delete was lost lives', async (t) => {
  const [bench, hub] = await atOdds(t, { a: 'one', b: 'two' })
  renameSync(bench.at('a'), `${bench.dir}/bin`)
  bench.hint('a')
  await afterDeath(bench, hub, () => {
    renameSync(`${bench.dir}/bin`, bench.at('a'))
  })
  t.same(bench.files(), { a: 'one', b: 'two' })
  t.same(hub.live(), { a: 'one', b: 'two' })
})

t.test('a mode set back after the answer was lost is the mode', async (t) => {
  const [bench, hub] = await atOdds(t, { a: 'one' })
  chmodSync(bench.at('a'), 0o600)
  bench.hint('a')
  await afterDeath(bench, hub, () => {
    chmodSync(bench.at('a'), 0o644)
  })
  t.match([...hub.journal.heads.values()], [{ path: 'a', entry: { mode: 0o644 } }])
})

t.test('others who went on from what was not heard are heard', async (t) => {
  const [bench, hub] = await atOdds(t, { a: 'one' })
  bench.put('a', 'unheard')
  await afterDeath(bench, hub, () => {
    hub.other({ a: 'theirs' })
  })
  t.same(bench.files(), { a: 'theirs' })
  t.same(hub.versions('a'), ['one', 'unheard', 'theirs'])
  t.same(hub.journal.collisions, [])
})
