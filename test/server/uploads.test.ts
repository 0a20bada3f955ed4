import { renameSync, writeFileSync, lstatSync } from 'node:fs'
import sinon from 'sinon'
import t, { type Test } from 'tap'
import type { Followed } from '../../lib/replica/ports.ts'
import { Uploads, type Growth } from '../../lib/server/uploads.ts'
import type { WriteWatch } from '../../lib/ssh/server/jail-files.ts'

const MIB = 1024 * 1024
const X = '1'.repeat(64)
const LARGE = `o-${X}`

function staging(t: Test) {
  const dir = t.testdir({ ann: {}, bob: {} })
  const follows: { place: string; ends: number[]; over: sinon.SinonSpy }[] = []
  const uploads = new Uploads((place): Followed => {
    const follow = { place, ends: [] as number[], over: sinon.spy() }
    follows.push(follow)
    return {
      reached: (end) => void follow.ends.push(end),
      digest: () => Promise.reject(new Error('not asked')),
      [Symbol.dispose]: follow.over,
    }
  })
  const told: Omit<Growth, 'sha256'>[] = []
  uploads.onGrowth = ({ peer, end }) => void told.push({ peer, end })
  const open = (name: string, { isCut = false, peer = 'ann' } = {}): WriteWatch => {
    const place = `${dir}/${peer}/${name}`
    const isNew = lstatSync(place, { throwIfNoEntry: false }) === undefined
    if (isNew) writeFileSync(place, '')
    const { dev, ino } = lstatSync(place, { bigint: true })
    return uploads.opened({ place, dev, ino, isNew, isCut })
  }
  const take = (name: string, peer = 'ann'): ReturnType<Uploads['taken']> => {
    renameSync(`${dir}/${peer}/${name}`, `${dir}/taken`)
    return uploads.taken(`${dir}/taken`)
  }
  return { dir, uploads, follows, told, open, take }
}

function write(watch: WriteWatch, from: number, end: number): void {
  watch.began(from, end - from)
  watch.ended(end)
}

t.test('a large file that is written from its start on is followed, and its hash handed over', async (t) => {
  const { uploads, dir, follows, open, take } = staging(t)
  const watch = open(LARGE)
  write(watch, 0, 10)
  write(watch, 10, 20)
  watch.closed()
  t.same(follows[0]?.ends, [10, 20])
  t.ok(await take(LARGE))
  t.notOk(follows[0]?.over.called)
  t.equal(await uploads.taken(`${dir}/taken`), undefined, 'once')
})

t.test('what was written below its end, with a gap, by half, at once, or cut cannot be trusted', async (t) => {
  const spoil: ((watch: WriteWatch, open: () => WriteWatch) => void)[] = [
    (watch) => {
      write(watch, 5, 15)
    },
    (watch) => {
      write(watch, 30, 40)
    },
    (watch) => {
      watch.began(20, 10)
      watch.ended(undefined)
    },
    (watch) => {
      watch.resized()
    },
    (watch, open) => {
      const other = open()
      watch.began(20, 10)
      other.began(20, 10)
      watch.ended(25)
      other.ended(25)
    },
  ]
  for (const how of spoil) {
    const { follows, open, take } = staging(t)
    const watch = open(LARGE)
    write(watch, 0, 20)
    how(watch, () => open(LARGE))
    write(watch, 20, 25)
    t.equal(await take(LARGE), undefined)
    t.ok(follows[0]?.over.calledOnce)
    t.same(follows[0]?.ends, [20])
  }
})

t.test('a handle that was opened before the file got its name still counts', async (t) => {
  const { dir, uploads, open, take } = staging(t)
  const first = open(LARGE)
  for (const [from, to] of [
    [LARGE, 'zz'],
    ['zz', LARGE],
  ]) {
    uploads.forget(`${dir}/ann/${from}`)
    uploads.forget(`${dir}/ann/${to}`)
    renameSync(`${dir}/ann/${from}`, `${dir}/ann/${to}`)
  }
  const second = open(LARGE)
  write(second, 0, 20)
  write(first, 0, 5)
  t.equal(await take(LARGE), undefined)
})

t.test('an upload that goes on in the same place is trusted only when it goes on at its end', async (t) => {
  const { dir, open, take } = staging(t)
  write(open(LARGE), 0, 20)
  write(open(LARGE), 20, 30)
  t.ok(await take(LARGE))
  write(open(LARGE), 0, 20)
  write(open(LARGE, { isCut: true }), 0, 20)
  t.notOk(await take(LARGE), 'it was emptied in between')
  writeFileSync(`${dir}/ann/${LARGE}`, 'left by an earlier life')
  write(open(LARGE), 0, 20)
  t.notOk(await take(LARGE), 'nobody saw its first bytes come')
})

t.test('who takes a file waits for what is being written, by whatever name it began', async (t) => {
  for (const [name, later] of [
    [LARGE, LARGE],
    ['p-1', 'p-1'],
    ['p-1', 'p-2'],
  ] as const) {
    const { dir, uploads, open, take } = staging(t)
    const watch = open(name)
    watch.began(0, 10)
    if (later !== name) {
      uploads.forget(`${dir}/ann/${name}`)
      renameSync(`${dir}/ann/${name}`, `${dir}/ann/${later}`)
    }
    let isTaken = false
    const taking = take(later).then(() => (isTaken = true))
    await new Promise(setImmediate)
    t.notOk(isTaken)
    watch.ended(10)
    await taking
    t.ok(isTaken)
  }
})

t.test('a file that was given back is waited for again, and never trusted again', async (t) => {
  const { dir, uploads, open, take } = staging(t)
  const watch = open(LARGE)
  write(watch, 0, 20)
  t.ok(await take(LARGE))
  renameSync(`${dir}/taken`, `${dir}/ann/${LARGE}`)
  watch.began(20, 10)
  let isTaken = false
  const taking = take(LARGE).then((followed) => {
    isTaken = true
    return followed
  })
  await new Promise(setImmediate)
  t.notOk(isTaken)
  watch.ended(30)
  t.equal(await taking, undefined)
  watch.closed()
  t.equal(await uploads.taken(`${dir}/taken`), undefined)
})

t.test('the oldest of too many are hashed later, but those that are open stay known', async (t) => {
  const { follows, told, open, take } = staging(t)
  const first = open('o-' + 'a'.repeat(64))
  write(first, 0, 9 * MIB)
  for (let i = 0; i < 300; i++) {
    const watch = open(`o-${i.toString(16).padStart(64, '0')}`)
    watch.closed()
  }
  t.equal(follows.filter(({ over }) => !over.called).length, 8)
  t.equal(await take('o-' + 'a'.repeat(64)), undefined, 'it is read when it is taken')
  t.same(told, [{ peer: 'ann', end: 9 * MIB }], 'what stands of it stands')
})

t.test('others are told of each 8 MiB, of what is withdrawn, and of what another still sends', (t) => {
  const { dir, uploads, told, open } = staging(t)
  const ann = open(LARGE)
  write(ann, 0, 7 * MIB)
  write(ann, 7 * MIB, 8 * MIB)
  write(ann, 8 * MIB, 9 * MIB)
  const bob = open(LARGE, { peer: 'bob' })
  write(bob, 0, 20 * MIB)
  t.same(told, [
    { peer: 'ann', end: 8 * MIB },
    { peer: 'bob', end: 20 * MIB },
  ])
  t.equal(uploads.growing(X as never)?.end, 20 * MIB)
  told.length = 0
  uploads.forget(`${dir}/ann/${LARGE}`)
  uploads.forget(`${dir}/bob/${LARGE}`)
  t.same(told, [
    { peer: 'ann', end: 20 * MIB },
    { peer: 'bob', end: 0 },
  ])
  t.equal(uploads.growing(X as never), undefined)
  t.end()
})
