import { chmodSync, renameSync, rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Refused, Unreachable } from '../../lib/errors.ts'
import { Base } from '../../lib/store/base.ts'
import { rel } from '../support/builders.ts'
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

/** How many batches the base holds that wait for an answer. */
function unheard(bench: ReplicaBench): number {
  using base = Base.open(`${bench.dir}/base.db`, { readOnly: true })
  return base.unheard.all().length
}

/** The next proposal or move is refused; nothing comes of it. */
function refuseNext(hub: MemoryHub): void {
  const refuse = () => {
    delete hub.moments.beforePropose
    delete hub.moments.beforeMove
    throw new Refused('no room', { status: 507 })
  }
  hub.moments.beforePropose = refuse
  hub.moments.beforeMove = refuse
}

/** The next commit is answered with a failure; the heads are told when `told` resolves. */
function loseNext(hub: MemoryHub, error: Error, told: Promise<void>): void {
  hub.moments.afterCommit = () => {
    delete hub.moments.afterCommit
    hub.moments.beforeChanges = async () => {
      delete hub.moments.beforeChanges
      await told
    }
    throw error
  }
}

t.test('a delete that was refused does not bring the file back when someone else deletes it later', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (const path of ['a', 'b', 'c']) bench.write(path, path)
  await bench.start(hub)
  refuseNext(hub)
  renameSync(bench.at('a'), `${bench.dir}/bin`)
  bench.tell({ kind: 'gone', path: rel('a') })
  await bench.until('it is refused', () => hub.moments.beforePropose === undefined)
  await bench.rest()
  t.equal(unheard(bench), 0, 'nothing waits for an answer')
  renameSync(`${bench.dir}/bin`, bench.at('a'))
  bench.hint('a')
  await bench.rest()
  bench.leave()
  hub.other({ a: undefined })
  bench.join(hub)
  await bench.rest()
  t.same(bench.files(), { b: 'b', c: 'c' })
  t.same(hub.live(), { b: 'b', c: 'c' })
})

t.test('a move of a directory that was refused for want of room leaves nothing that waits for an answer', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (const name of ['f', 'g', 'h', 'i']) bench.write(`d/${name}`, name)
  await bench.start(hub)
  refuseNext(hub)
  bench.move('d', 'e')
  await bench.until('it goes path by path', () => hub.live()['e/f'] === 'f' && hub.live()['d/f'] === undefined)
  await bench.rest()
  t.equal(unheard(bench), 0)
})

for (const [what, error] of [
  ['fails after its commit', new Refused('failed', { status: 500 })],
  ['gets no answer', new Unreachable('no answer came')],
  ['gets one that is none', new Error('not understood')],
] as const) {
  for (const [kind, files] of [
    ['file', { a: 'one', b: 'two' }],
    ['directory', { 'a/f': 'one', 'a/g': 'two', 'a/h': 'three', 'a/i': 'four', a: '/', b: 'five' }],
  ] as const) {
    t.test(`a ${kind} whose move ${what}, while the link lives, is found where it was moved back to`, async (t) => {
      const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
      for (const [path, text] of Object.entries(files)) if (text !== '/') bench.write(path, text)
      await bench.start(hub)
      const { promise, resolve } = deferred()
      loseNext(hub, error, promise)
      bench.move('a', 'c')
      await bench.until('the heads are asked for', () => 'c' in hub.live() && hub.moments.beforeChanges === undefined)
      bench.move('c', 'a')
      resolve()
      await bench.rest()
      t.same(bench.files(), files)
      t.same(hub.live(), files)
      t.equal(unheard(bench), 0)
    })
  }
}

t.test('what is on its way while the answer to something else is lost hears its own', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  const { promise: later, resolve } = deferred()
  hub.moments.beforePropose = async (batch) => {
    if (batch.some(({ proposal }) => proposal.path === 'slow')) await later
  }
  bench.put('slow', 'slow')
  await bench.until('it is on its way', () => hub.calls.includes('propose slow'))
  loseNext(hub, new Refused('failed', { status: 500 }), Promise.resolve())
  bench.put('quick', 'quick')
  await bench.until('that is heard of from the heads', () => hub.live()['quick'] === 'quick' && unheard(bench) === 1)
  resolve()
  await bench.rest()
  t.same(hub.versions('slow'), ['slow'])
  t.same(hub.versions('quick'), ['quick'])
  t.equal(unheard(bench), 0)
  t.equal(bench.replica.cursor, hub.journal.revisions.length)
})

t.test('a hub that cannot be asked for a moment, while the link lives, is asked again', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  hub.other({ a: 'one' })
  let failures = 0
  hub.moments.beforeChanges = () => {
    if (++failures === 2) delete hub.moments.beforeChanges
    throw new Unreachable('no answer came')
  }
  await bench.start(hub)
  t.equal(failures, 2)
  t.same(bench.files(), { a: 'one' })
})

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let done: () => void = () => undefined
  const promise = new Promise<void>((resolve) => {
    done = resolve
  })
  return { promise, resolve: done }
}
