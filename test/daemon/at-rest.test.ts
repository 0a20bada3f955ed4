import sinon from 'sinon'
import t from 'tap'
import { AtRest } from '../../lib/daemon/at-rest.ts'
import { systemClock } from '../../lib/daemon/clock.ts'

function open() {
  const fake = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const onRest = sinon.spy()
  return { fake, onRest, atRest: new AtRest({ clock: systemClock, quietMs: 1000, onRest }) }
}

t.afterEach(() => {
  sinon.restore()
})

t.test('rest is told once, when nothing has happened for long enough', async (t) => {
  const { fake, onRest, atRest } = open()
  fake.tick(5000)
  t.equal(onRest.callCount, 0, 'nothing has happened yet')
  for (let i = 0; i < 10; i++) {
    atRest.touch()
    fake.tick(900)
  }
  t.equal(onRest.callCount, 0)
  fake.tick(99)
  t.equal(onRest.callCount, 0)
  fake.tick(1)
  t.equal(onRest.callCount, 1)
  fake.tick(60_000)
  t.equal(onRest.callCount, 1)
  t.equal(fake.countTimers(), 0, 'no timer at rest')
  atRest.touch()
  fake.tick(1000)
  t.equal(onRest.callCount, 2)
})

t.test('once disposed it tells nothing', async (t) => {
  const { fake, onRest, atRest } = open()
  atRest.touch()
  atRest[Symbol.dispose]()
  atRest.touch()
  fake.tick(5000)
  t.equal(onRest.callCount, 0)
  t.equal(fake.countTimers(), 0)
})
