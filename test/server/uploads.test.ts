import sinon from 'sinon'
import t from 'tap'
import type { Followed } from '../../lib/replica/ports.ts'
import { Uploads } from '../../lib/server/uploads.ts'

function tracked() {
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
  const write = (watch: ReturnType<Uploads['opened']>, from: number, end: number): void => {
    watch.began(from)
    watch.ended(end)
  }
  return { uploads, follows, write }
}

t.test('a large file that is written from its start on is followed, and its hash handed over', async (t) => {
  const { uploads, follows, write } = tracked()
  const watch = uploads.opened('/s/o-1', true)
  write(watch, 0, 10)
  write(watch, 10, 20)
  t.same(follows[0]?.ends, [10, 20])
  const followed = await uploads.taken('/s/o-1')
  t.ok(followed)
  t.notOk(follows[0]?.over.called)
  t.equal(await uploads.taken('/s/o-1'), undefined, 'once')
})

t.test('what was written below its end, with a gap, by half, or cut cannot be trusted', async (t) => {
  const spoil: ((watch: ReturnType<Uploads['opened']>, write: (from: number, end: number) => void) => void)[] = [
    (_, write) => {
      write(5, 15)
    },
    (_, write) => {
      write(30, 40)
    },
    (watch) => {
      watch.began(20)
      watch.ended(undefined)
    },
    (watch) => {
      watch.resized()
    },
  ]
  for (const how of spoil) {
    const { uploads, follows, write } = tracked()
    const watch = uploads.opened('/s/o-1', true)
    write(watch, 0, 20)
    how(watch, (from, end) => {
      write(watch, from, end)
    })
    write(watch, 20, 25)
    t.equal(await uploads.taken('/s/o-1'), undefined)
    t.ok(follows[0]?.over.calledOnce)
    t.same(follows[0]?.ends, [20])
  }
})

t.test('an upload that goes on in the same place is trusted only when it goes on at its end', async (t) => {
  const { uploads, write } = tracked()
  write(uploads.opened('/s/o-1', true), 0, 20)
  write(uploads.opened('/s/o-1', false), 20, 30)
  t.ok(await uploads.taken('/s/o-1'))
  write(uploads.opened('/s/o-1', true), 0, 20)
  write(uploads.opened('/s/o-1', true), 0, 20)
  t.notOk(await uploads.taken('/s/o-1'), 'it was emptied in between')
  write(uploads.opened('/s/o-1', false), 20, 30)
  t.notOk(await uploads.taken('/s/o-1'), 'nobody saw its first bytes come')
})

t.test('who takes a file waits for what is being written', async (t) => {
  const { uploads } = tracked()
  for (const name of ['/s/o-1', '/s/p-1']) {
    const watch = uploads.opened(name, true)
    watch.began(0)
    let isTaken = false
    const taking = uploads.taken(name).then(() => (isTaken = true))
    await new Promise(setImmediate)
    t.notOk(isTaken)
    watch.ended(10)
    await taking
    t.ok(isTaken)
  }
})

t.test('what is removed, and the oldest of too many, is followed no more', async (t) => {
  const { uploads, follows } = tracked()
  uploads.opened('/s/o-gone', true)
  uploads.forget('/s/o-gone')
  t.ok(follows[0]?.over.calledOnce)
  for (let i = 0; i < 300; i++) uploads.opened(`/s/o-${String(i)}`, true)
  t.equal(follows.filter(({ over }) => !over.called).length, 8)
  t.equal(await uploads.taken('/s/o-0'), undefined)
  t.ok(await uploads.taken('/s/o-299'))
})
