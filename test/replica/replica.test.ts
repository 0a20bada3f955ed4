import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { writeMarker } from '../../lib/disk/marker.ts'
import { Unreachable } from '../../lib/errors.ts'
import { hostPath } from '../../lib/model/path.ts'
import { rel } from '../support/builders.ts'
import { MemoryHub } from '../support/memory-hub.ts'
import { hurriedClock } from '../support/hurried-clock.ts'
import { AGREED, ReplicaBench } from '../support/replica-bench.ts'

/** What was asked of the hub to change something or to move contents. */
const deeds = (hub: MemoryHub): string[] => hub.calls.filter((call) => /^(propose|put|read)/.test(call))

t.test('what stands on the disk goes to the hub, what the hub has comes to the disk', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  hub.other({ theirs: 'from afar', both: 'same' })
  bench.write('mine', 'from here')
  bench.write('d/deep', 'below')
  bench.write('both', 'same')
  await bench.start(hub)
  await bench.until('it is in step', () => bench.replica.status().state === 'in step')
  const all = { theirs: 'from afar', mine: 'from here', d: '/', 'd/deep': 'below', both: 'same' }
  t.same(bench.files(), all)
  t.same(hub.live(), all)
  t.same(hub.journal.collisions, [])
  hub.calls.length = 0
  bench.replica.rescan()
  await bench.rest()
  t.same(deeds(hub), [], 'a scan of what is in step moves nothing')
  await bench.close()
  await bench.start(hub)
  t.same(deeds(hub), [], 'a restart neither')
})

t.test('an edit during its own push is not lost', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  hub.moments.beforePropose = () => {
    delete hub.moments.beforePropose
    bench.put('f', 'second')
  }
  bench.put('f', 'first')
  await bench.until('the second is there', () => hub.live()['f'] === 'second')
  await bench.rest()
  t.equal(bench.read('f'), 'second')
  t.same(hub.versions('f'), ['first', 'second'])
  t.same(hub.journal.collisions, [])
})

t.test('a file that is deleted during its first push is deleted everywhere', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  hub.moments.beforePropose = async () => {
    delete hub.moments.beforePropose
    // Long enough for whoever looked to draw its conclusions.
    const looked = new Promise<void>((done) => (bench.moments.afterLook = () => setImmediate(done)))
    bench.remove('flash')
    await looked
  }
  bench.put('flash', 'gone at once')
  await bench.until('it was there', () => hub.versions('flash').length > 0)
  await bench.until('it is gone', () => hub.live()['flash'] === undefined)
  await bench.rest()
  t.same(hub.versions('flash'), ['gone at once', 'gone'])
})

t.test('a folder with news that are told later is not in step', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  t.equal(bench.replica.status().state, 'in step')
  bench.replica.expectNews(true)
  t.equal(bench.replica.status().state, 'syncing')
  t.notOk(bench.replica.isAtRest())
  bench.replica.expectNews(false)
  t.equal(bench.replica.status().state, 'in step')
})

t.test('an edit between look and read is sent as it is read, or not at all', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  bench.moments.beforeRead = () => {
    delete bench.moments.beforeRead
    bench.write('f', 'longer than before')
  }
  bench.put('f', 'short')
  await bench.until('it is there', () => hub.live()['f'] !== undefined)
  await bench.rest()
  t.same(hub.versions('f'), ['longer than before'])
})

t.test('an edit right before an apply is proposed, not overwritten', async (t) => {
  for (const isLater of [true, false]) {
    const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
    bench.write('f', 'base')
    await bench.start(hub)
    const timeMs = Date.now() + (isLater ? -60_000 : 0)
    bench.moments.beforeApply = () => {
      delete bench.moments.beforeApply
      t.equal(bench.read('f'), 'base')
      bench.write('f', 'here')
    }
    const news = hub.other({ f: 'there' }, { timeMs: isLater ? timeMs : Date.now() })
    hub.moments.beforePropose = (batch) => {
      // The other one's edit is the later one: ours was written before it was told.
      if (!isLater) for (const { proposal } of batch) Object.assign(proposal, { writtenAtMs: timeMs - 60_000 })
    }
    bench.replica.told(news)
    await bench.until('they collide', () => hub.journal.collisions.length > 0)
    await bench.rest()
    const winner = isLater ? 'here' : 'there'
    t.equal(bench.read('f'), winner)
    t.equal(hub.live()['f'], winner)
    t.same(hub.versions('f').sort(), ['base', 'here', 'there'], 'nothing that was written is lost')
  }
})

t.test('deletes of more than a share are held; rejected they come back, confirmed they go', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  const names = Array.from({ length: 20 }, (_, index) => `f${String(index)}`)
  for (const name of names) bench.write(name, `text of ${name}`)
  bench.write('kept', 'kept')
  await bench.start(hub)
  const before = hub.live()
  t.notOk(bench.replica.confirm(), 'nothing is held')
  t.notOk(bench.replica.reject())
  hub.calls.length = 0
  bench.remove(...names)
  await bench.until('they are held', () => bench.replica.status().state === 'held')
  await bench.rest()
  t.same(hub.live(), before, 'nothing of it was sent')
  t.match(bench.replica.status().problems, [{ reason: /20 of 21 paths is held/, todo: /monitor confirm docs/ }])
  bench.put('new', 'goes on')
  await bench.until('new files go on', () => hub.live()['new'] !== undefined)
  t.equal(bench.replica.status().state, 'held')
  t.ok(bench.replica.reject())
  await bench.until('they are back', () => Object.keys(bench.files()).length === 22)
  await bench.rest()
  t.same(bench.files(), { ...before, new: 'goes on' })
  t.equal(bench.replica.status().state, 'in step')
  bench.remove(...names)
  await bench.until('they are held', () => bench.replica.status().state === 'held')
  t.ok(bench.replica.confirm())
  await bench.until('they are gone', () => Object.keys(hub.live()).length === 2)
  await bench.rest()
  t.same(hub.live(), { kept: 'kept', new: 'goes on' })
  t.equal(bench.replica.status().state, 'in step')
})

t.test('a directory that could not go because one inside it was late goes right after that one', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('box/deep/file', 'x')
  await bench.start(hub)
  let tries = 0
  bench.moments.differs = (step) => step.do === 'remove' && step.path === 'box/deep' && ++tries === 1
  bench.replica.told(hub.other({ 'box/deep/file': undefined, 'box/deep': undefined, box: undefined }))
  await bench.until('all of it is gone', () => !existsSync(bench.at('box')))
  t.equal(tries, 2)
  t.same(bench.replica.status().problems, [], 'what is on its way out is no problem')
})

t.test(
  'a directory that still held something goes as soon as that is gone, without waiting for another try',
  async (t) => {
    for (const how of ['event', 'scan'] as const) {
      const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
      bench.write('d/agreed', 'ours')
      bench.write('d/kept.tmp', 'ignored')
      await bench.start(hub)
      bench.replica.told(hub.other({ 'd/agreed': undefined, d: undefined }))
      await bench.until('it says what is in the way', () => bench.replica.status().problems.length > 0)
      t.match(bench.replica.status().problems, [{ path: 'd', reason: /still holds/ }])
      if (how === 'event') bench.remove('d/kept.tmp')
      else {
        rmSync(bench.at('d/kept.tmp'))
        bench.replica.rescan()
      }
      await bench.until('it is gone', () => !existsSync(bench.at('d')))
      await bench.rest()
      t.same(bench.replica.status().problems, [], how)
      await bench.close()
    }
  },
)

t.test('a directory that is gone for a moment and back before that was told is not waited for', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('d/one', 'first')
  bench.write('d/e/two', 'second')
  await bench.start(hub)
  bench.leave()
  renameSync(bench.at('d'), `${bench.root}.aside`)
  bench.tell({ kind: 'gone', path: rel('d') })
  await bench.until('its absence is seen', () => bench.replica.status().pending > 0)
  renameSync(`${bench.root}.aside`, bench.at('d'))
  bench.tell({ kind: 'tree', dir: rel('d'), why: 'new' })
  bench.join(hub)
  await bench.until('it is in step', () => bench.replica.status().state === 'in step')
  t.same(hub.live(), { d: '/', 'd/one': 'first', 'd/e': '/', 'd/e/two': 'second' })
  t.same(bench.files(), hub.live())
})

t.test('a directory that is deleted here and gets a new file elsewhere is kept, and not waited for', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('d/old', 'old')
  await bench.start(hub)
  bench.leave()
  bench.remove('d')
  await bench.until('its absence is seen', () => bench.replica.status().pending > 1)
  hub.other({ 'd/new': 'made meanwhile' })
  bench.join(hub)
  await bench.until('the new file is here', () => existsSync(bench.at('d/new')))
  bench.tell({ kind: 'tree', dir: rel('d'), why: 'new' })
  await bench.until('it is in step', () => bench.replica.status().state === 'in step')
  t.same(hub.live(), { d: '/', 'd/new': 'made meanwhile' })
  t.same(bench.files(), hub.live())
})

t.test('a few deletes, and moves of any number, are not held', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (let index = 0; index < 30; index++) bench.write(`d/f${String(index)}`, `text ${String(index)}`)
  for (let index = 0; index < 5; index++) bench.write(`g${String(index)}`, 'g')
  await bench.start(hub)
  hub.calls.length = 0
  bench.remove('g0', 'g1', 'g2')
  bench.move('d', 'e')
  bench.replica.rescan()
  await bench.until('it moved', () => hub.live()['e/f29'] !== undefined && hub.live()['d'] === undefined)
  await bench.rest()
  t.same(hub.live(), bench.files())
  t.same(
    hub.calls.filter((call) => call.startsWith('put')),
    [],
    'and a move sends no content',
  )
})

t.test('a root that vanishes halts the folder and deletes nothing; it goes on when it is back', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (let index = 0; index < 5; index++) bench.write(`f${String(index)}`, 'text')
  await bench.start(hub)
  const before = hub.live()
  renameSync(bench.root, `${bench.root}-away`)
  bench.hint('f0', 'f1')
  bench.replica.rescan()
  await bench.until('it halts', () => bench.replica.status().state === 'halted')
  t.match(bench.replica.status().problems, [{ reason: /is missing/, todo: /disk mounted/ }])
  bench.replica.told(hub.other({ theirs: 'waits' }))
  await bench.rest()
  t.same(hub.live(), { ...before, theirs: 'waits' })
  renameSync(`${bench.root}-away`, bench.root)
  await bench.until('it is back', () => bench.replica.status().state !== 'halted')
  await bench.until('what waited is there', () => bench.files()['theirs'] === 'waits')
  await bench.rest()
  t.same(bench.files(), hub.live())
})

t.test('a root that vanishes while deletes gather sends none of them', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  for (let index = 0; index < 5; index++) bench.write(`f${String(index)}`, 'text')
  await bench.start(hub)
  bench.remove('f0', 'f1')
  renameSync(bench.root, `${bench.root}-away`)
  await bench.until('it halts', () => bench.replica.status().state === 'halted')
  t.equal(Object.keys(hub.live()).length, 5)
})

t.test('a directory that is another folder is left alone', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  hub.other({ theirs: 'x' })
  bench.write('mine', 'y')
  writeMarker(hostPath(bench.root), 'another')
  await bench.open()
  bench.join(hub)
  await bench.rest()
  t.equal(bench.replica.status().state, 'halted')
  t.match(bench.replica.status().problems, [{ reason: /belongs to another folder id/ }])
  t.same(bench.files(), { mine: 'y' })
  t.same(hub.live(), { theirs: 'x' })
})

t.test('a directory swapped for another folder while it runs is left alone', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('mine', 'y')
  await bench.start(hub)
  writeMarker(hostPath(bench.root), 'another')
  bench.put('new', 'of another folder')
  bench.replica.told(hub.other({ theirs: 'x' }))
  await bench.until('it halts', () => bench.replica.status().state === 'halted')
  await bench.rest()
  t.same(bench.files(), { mine: 'y', new: 'of another folder' })
  t.same(hub.live(), { mine: 'y', theirs: 'x' })
})

t.test(
  'a lost base is a first contact: equal contents are not sent, nothing is deleted, both sides’ files stay',
  async (t) => {
    const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
    for (const name of ['a', 'b', 'c']) bench.write(name, `text of ${name}`)
    await bench.start(hub)
    await bench.close()
    bench.write('b', 'edited meanwhile')
    bench.write('new', 'n')
    hub.other({ theirs: 'x', c: undefined })
    hub.calls.length = 0
    await bench.start(hub, { loseBase: true })
    t.equal(hub.live()['a'], 'text of a')
    t.match(
      hub.live(),
      { b: 'edited meanwhile', new: 'n', theirs: 'x', c: 'text of c' },
      'what was deleted meanwhile comes back rather',
    )
    t.same(bench.files(), hub.live())
    t.ok(hub.versions('b').includes('text of b'))
  },
)

t.test('another life of the coordinator is a union of both sides', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('mine', 'm')
  bench.write('both', 'same')
  await bench.start(hub)
  const reborn = new MemoryHub()
  reborn.other({ theirs: 't', both: 'same' })
  bench.join(reborn, { ...AGREED, incarnation: 'life-2' })
  await bench.rest()
  const all = { mine: 'm', theirs: 't', both: 'same' }
  t.same(reborn.live(), all)
  t.same(bench.files(), all)
  t.same(reborn.journal.collisions, [])
})

t.test('news with a gap before it makes the replica ask for the changes', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  hub.other({ lost: 'never told' })
  const news = hub.other({ told: 'told' })
  hub.calls.length = 0
  bench.replica.told(news)
  await bench.until('both are there', () => Object.keys(bench.files()).length === 2)
  t.same(bench.files(), { lost: 'never told', told: 'told' })
  t.ok(hub.calls.includes('changes 0'))
  t.equal(bench.replica.cursor, 2)
})

t.test('news that come again, late or as an echo change nothing', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  const first = hub.other({ f: 'one' })
  const second = hub.other({ f: 'two' })
  for (const news of [first, second, first, second]) bench.replica.told(news)
  await bench.rest()
  t.equal(bench.read('f'), 'two')
  hub.echoTo((news) => {
    bench.replica.told(news)
  })
  bench.put('mine', 'm')
  await bench.until('it is there', () => hub.live()['mine'] === 'm')
  await bench.rest()
  hub.calls.length = 0
  for (const news of [first, second]) bench.replica.told(news)
  await bench.rest()
  t.same(hub.calls, [])
  t.same(bench.files(), { f: 'two', mine: 'm' })
})

t.test('news while the changes are being asked for are not forgotten', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.open()
  hub.moments.beforeChanges = () => {
    delete hub.moments.beforeChanges
    // Told after the question was asked, not yet in its answer.
    queueMicrotask(() => {
      bench.replica.told(hub.other({ f: 'told meanwhile' }))
    })
  }
  bench.join(hub)
  await bench.until('it is there', () => bench.files()['f'] !== undefined)
  t.equal(bench.read('f'), 'told meanwhile')
})

t.test('a commit whose answer is lost is proposed again, and is a duplicate', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('old', 'o')
  await bench.start(hub)
  hub.moments.afterCommit = () => {
    delete hub.moments.afterCommit
    bench.leave()
    throw new Unreachable('the link died')
  }
  bench.put('f', 'text')
  bench.remove('old')
  await bench.until('the link died', () => bench.replica.status().state === 'offline')
  bench.join(hub)
  await bench.rest()
  t.same(hub.live(), { f: 'text' })
  t.same(bench.files(), { f: 'text' })
  t.same(hub.versions('f'), ['text'])
  t.same(hub.versions('old'), ['o', 'gone'])
  t.same(hub.journal.collisions, [])
})

t.test('a hub that cannot be reached for a while is not asked without pause', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  const clock = hurriedClock(20)
  await bench.start(hub, { clock })
  const triedAtMs: number[] = []
  hub.moments.beforePropose = () => {
    triedAtMs.push(clock.monotonic())
    throw new Unreachable('the data connection cannot be opened')
  }
  bench.put('f', 'text')
  await bench.until('it was tried', () => triedAtMs.length > 3)
  delete hub.moments.beforePropose
  const pausesMs = triedAtMs.slice(1).map((at, index) => at - (triedAtMs[index] ?? 0))
  t.ok(
    pausesMs.every((pause) => pause >= 500),
    pausesMs.join(' '),
  )
  await bench.until('it is there', () => hub.live()['f'] === 'text')
})

t.test('a content that the coordinator no longer holds is sent after all', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('a', 'the same text')
  await bench.start(hub)
  hub.bodies.clear()
  bench.put('b', 'the same text')
  await bench.until('it is there', () => hub.live()['b'] === 'the same text')
  await bench.rest()
  t.equal(bench.replica.status().state, 'in step')
})

t.test('a refused path is a problem that says why, and the folder goes on', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  hub.moments.answer = ({ path }) =>
    path === 'bad' ? { kind: 'refused', status: 400, reason: 'it is not welcome' } : undefined
  bench.put('bad', 'b')
  bench.put('good', 'g')
  await bench.until('the good one is there', () => hub.live()['good'] === 'g')
  await bench.rest()
  t.match(bench.replica.status(), {
    state: 'waiting',
    problems: [{ path: 'bad', reason: /the coordinator refused it: it is not welcome/, todo: /tried again/ }],
  })
  delete hub.moments.answer
  bench.replica.rescan()
  await bench.until('it is tried again', () => hub.live()['bad'] === 'b')
  await bench.rest()
  t.equal(bench.replica.status().state, 'in step', 'and the problem is solved')
})

t.test('ignored files are neither sent nor deleted, and rules are read while it runs', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  bench.write('a.tmp', 'ignored by the configuration')
  bench.write('b.log', 'a log')
  bench.write('.syncignore', '')
  await bench.start(hub)
  t.same(Object.keys(hub.live()).sort(), ['.syncignore', 'b.log'])
  bench.put('.syncignore', '*.log\n')
  await bench.until('the rules are taken', () => bench.watched.includes('*.log'))
  await bench.rest()
  bench.put('b.log', 'more of the log')
  bench.put('c.log', 'another log')
  bench.put('c.txt', 'a text')
  await bench.until('the text is there', () => hub.live()['c.txt'] !== undefined)
  await bench.rest()
  t.equal(hub.live()['b.log'], 'a log', 'what was synced before is left as it was')
  t.equal(hub.live()['c.log'], undefined)
  bench.replica.told(hub.other({ 'd.log': 'theirs', 'a.tmp': 'theirs' }))
  await bench.rest()
  t.notOk('d.log' in bench.files(), 'ignored paths are not pulled')
  t.equal(bench.read('a.tmp'), 'ignored by the configuration', 'nor overwritten')
  bench.put('.syncignore', '')
  await bench.until(
    'the logs go',
    () => hub.live()['c.log'] === 'another log' && hub.live()['b.log'] === 'more of the log',
  )
})

t.test('a content that cannot be had now is asked for again', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  let tries = 0
  hub.moments.beforeRead = () => {
    if (++tries < 3) throw new Unreachable('not now')
  }
  bench.replica.told(hub.other({ f: 'text' }))
  await bench.until('it is there', () => bench.files()['f'] === 'text')
  t.equal(tries, 3)
  await bench.rest()
  t.equal(bench.replica.status().state, 'in step')
})

t.test('bytes that are not the content that was named are not put into the folder', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  const news = hub.other({ f: 'right', g: 'g' })
  const { sha256 } = hub.fileOf('right')
  hub.bodies.set(sha256, Buffer.from('wrong'))
  bench.replica.told(news)
  await bench.until('the other is there', () => bench.files()['g'] === 'g')
  await bench.until('it is told', () => bench.replica.status().problems.length > 0)
  t.notOk('f' in bench.files())
  t.match(bench.replica.status().problems, [{ path: 'f' }])
  t.same(bench.staged(), [])
})

t.test('an ended link in the middle of a pull leaves the rest for the next', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  hub.moments.beforeRead = () => {
    delete hub.moments.beforeRead
    bench.leave()
    throw new Unreachable('the link died')
  }
  bench.replica.told(hub.other({ f: 'text' }))
  await bench.until('the link died', () => bench.replica.status().state === 'offline')
  bench.put('mine', 'written offline')
  bench.join(hub)
  await bench.rest()
  t.same(bench.files(), { f: 'text', mine: 'written offline' })
  t.same(hub.live(), bench.files())
})

t.test('what is staged of a large content is kept over a restart while it is wanted, and no longer', async (t) => {
  const [bench, hub] = [new ReplicaBench(t), new MemoryHub()]
  await bench.start(hub)
  const large = 'x'.repeat(300_000)
  hub.moments.beforeRead = () => {
    bench.leave()
    throw new Unreachable('the link died')
  }
  bench.replica.told(hub.other({ big: large }))
  await bench.until('the link died', () => bench.replica.status().state === 'offline')
  await bench.close()
  const name = `o-${hub.fileOf(large).sha256}`
  t.same(bench.staged(), [name])
  writeFileSync(bench.at(`.systemsync/staging/write-0`), 'of no use to anyone')
  await bench.open()
  t.same(bench.staged(), [name])
  delete hub.moments.beforeRead
  bench.join(hub)
  await bench.rest()
  t.equal(bench.read('big'), large)
  t.same(bench.staged(), [])
})
