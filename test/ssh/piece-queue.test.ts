// Pieces of a file go in order, one call at a time, and those that lie one after the other together.

import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { PieceQueue, readPieces, writePieces } from '../../lib/ssh/piece-queue.ts'

/** A queue whose calls are answered by hand. */
function byHand() {
  const calls: string[] = []
  const answers: ((count: number | Error) => void)[] = []
  const queue = new PieceQueue((pieces, position) => {
    calls.push(`${position}: ${pieces.map(({ length }) => length).join(' ')}`)
    return new Promise((resolve, reject) => {
      answers.push((count) => {
        if (count instanceof Error) reject(count)
        else resolve(count)
      })
    })
  })
  const answer = async (count: number | Error) => {
    answers.shift()?.(count)
    await new Promise(setImmediate)
  }
  return { queue, calls, answer }
}

t.test('what waits and lies one after the other is moved by one call, and nothing overlaps', async (t) => {
  const { queue, calls, answer } = byHand()
  t.ok(queue.isIdle)
  const all = [0, 10, 20, 30, 35, 60].map((position) => queue.add(Buffer.alloc(10), position))
  t.notOk(queue.isIdle)
  t.same(calls, ['0: 10'])
  await answer(10)
  t.same(calls, ['0: 10', '10: 10 10 10'])
  await answer(30)
  await answer(10)
  await answer(10)
  t.same(calls, ['0: 10', '10: 10 10 10', '35: 10', '60: 10'])
  t.same(await Promise.all(all), [10, 10, 10, 10, 10, 10])
  t.ok(queue.isIdle)
})

t.test('no call moves more than a mebibyte, but one piece may have any size', async (t) => {
  const { queue, calls, answer } = byHand()
  const large = 1024 * 1024
  const sizes = [1, large - 10, 10, 1, large + 5]
  let at = 0
  const all = sizes.map((size) => queue.add(Buffer.alloc(size), (at += size) - size))
  for (const _ of sizes) await answer(2 * large)
  t.same(calls, ['0: 1', `1: ${large - 10} 10`, `${large + 1}: 1`, `${large + 2}: ${large + 5}`])
  await Promise.all(all)
})

t.test('at the end of the file each piece is told how much of it there was', async (t) => {
  const { queue, answer } = byHand()
  const all = [0, 10, 20, 30].map((position) => queue.add(Buffer.alloc(10), position))
  await answer(10)
  await answer(14)
  t.same(await Promise.all(all), [10, 10, 4, 0])
})

t.test('a call that fails fails its pieces alone', async (t) => {
  const { queue, answer } = byHand()
  const all = [0, 10, 20, 50].map((position) => queue.add(Buffer.alloc(10), position))
  const settled = Promise.allSettled(all)
  await answer(10)
  await answer(new Error('no space'))
  await answer(10)
  t.same(
    (await settled).map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
  )
  t.ok(queue.isIdle)
})

t.test('a call that throws at once is no different', async (t) => {
  const queue = new PieceQueue(() => {
    throw new Error('gone')
  })
  await t.rejects(queue.add(Buffer.alloc(1), 0), { message: 'gone' })
  t.ok(queue.isIdle)
})

t.test('writes in any places leave what writing one after the other would, and reads find it', async (t) => {
  const write = fc.tuple(fc.nat(40), fc.uint8Array({ minLength: 1, maxLength: 20 }))
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 12 }), async (writes) => {
      const fd = open(t)
      const queue = new PieceQueue((pieces, position) => writePieces(fd, pieces, position))
      const wanted = Buffer.alloc(Math.max(0, ...writes.map(([at, bytes]) => at + bytes.length)))
      for (const [at, bytes] of writes) wanted.set(bytes, at)
      await Promise.all(writes.map(([at, bytes]) => queue.add(Buffer.from(bytes), at)))
      const parts = [Buffer.alloc(7), Buffer.alloc(0), Buffer.alloc(60)]
      const count = await readPieces(fd, parts, 0)
      closeSync(fd)
      return count === wanted.length && Buffer.concat(parts).subarray(0, count).equals(wanted)
    }),
    { numRuns: 50 },
  )
})

t.test('what the system says no to is thrown', async (t) => {
  const fd = open(t)
  closeSync(fd)
  await t.rejects(writePieces(fd, [Buffer.from('x')], 0), { code: 'EBADF' })
  await t.rejects(readPieces(fd, [Buffer.alloc(1)], 0), { code: 'EBADF' })
})

t.test('bytes are written where they belong', async (t) => {
  const file = join(t.testdir({}), 'file')
  const fd = openSync(file, 'w')
  t.equal(await writePieces(fd, [Buffer.from('wor'), Buffer.from('ld')], 6), 5)
  t.equal(await writePieces(fd, [Buffer.from('hello ')], 0), 6)
  closeSync(fd)
  t.equal(readFileSync(file, 'utf8'), 'hello world')
})

function open(t: Test): number {
  return openSync(join(t.testdir({}), 'file'), 'w+')
}
