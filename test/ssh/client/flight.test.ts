import t from 'tap'
import { BufferPool, Flight, WholeMark } from '../../../lib/ssh/client/flight.ts'
import { deferred } from './support.ts'

t.test('no more bytes and no more requests are under way than allowed, but one always is', async (t) => {
  const flight = new Flight({ bytes: 100, count: 3 })
  await flight.room(1000)
  const large = deferred()
  flight.add(1000, large.promise)
  t.equal(await isReady(flight.room(1)), false, 'the large one fills it')
  large.resolve()
  await flight.landed()
  const small = [deferred(), deferred(), deferred()]
  for (const { promise } of small) {
    await flight.room(1)
    flight.add(1, promise)
  }
  const fourth = flight.room(1)
  t.equal(await isReady(fourth), false)
  small[1]?.resolve()
  await fourth
  t.pass('one place is free again')
})

t.test('the first failure is thrown at once, while the rest is still under way', async (t) => {
  const flight = new Flight({ bytes: 100, count: 9 })
  const slow = deferred()
  const why = new Error('first')
  flight.add(10, slow.promise)
  flight.add(10, Promise.reject(why))
  await t.rejects(flight.landed(), why)
  await t.rejects(flight.room(1), why)
  const settled = flight.settled()
  t.equal(await isReady(settled), false)
  slow.resolve()
  await settled
})

t.test('the mark stays at the first gap', async (t) => {
  const mark = new WholeMark(100)
  mark.add(120, 10)
  t.equal(mark.end, 100)
  mark.add(100, 20)
  t.equal(mark.end, 130)
  mark.add(150, 5)
  mark.add(130, 20)
  t.equal(mark.end, 155)
})

t.test('a buffer given back is the next one taken', async (t) => {
  const pool = new BufferPool(8)
  const one = pool.take()
  t.equal(one.length, 8)
  t.not(pool.take(), one)
  pool.give(one)
  t.equal(pool.take(), one)
})

async function isReady(promise: Promise<unknown>): Promise<boolean> {
  const later = new Promise((resolve) => setImmediate(resolve, 'later'))
  return (await Promise.race([promise, later])) !== 'later'
}
