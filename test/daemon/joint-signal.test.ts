import { getEventListeners } from 'node:events'
import t from 'tap'
import { JointSignal } from '../../lib/daemon/joint-signal.ts'

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length

t.test('it aborts with the first of its sources, for its reason, and leaves nothing in the others', async (t) => {
  const [long, short] = [new AbortController(), new AbortController()]
  const { signal } = new JointSignal(long.signal, short.signal)
  t.notOk(signal.aborted)
  short.abort(new Error('enough'))
  t.match(signal.reason, { message: 'enough' })
  t.same([listeners(long.signal), listeners(short.signal)], [0, 0])
  long.abort(new Error('all is over'))
  t.match(signal.reason, { message: 'enough' })
})

t.test('of sources that one has aborted of it is aborted at once', async (t) => {
  const long = new AbortController()
  const { signal } = new JointSignal(long.signal, AbortSignal.abort(new Error('before')))
  t.match(signal.reason, { message: 'before' })
  t.equal(listeners(long.signal), 0)
})

t.test('disposed of, it leaves nothing behind and never aborts', async (t) => {
  const long = new AbortController()
  for (let i = 0; i < 3; i++) {
    using joint = new JointSignal(long.signal)
    t.equal(listeners(long.signal), 1)
    void joint
  }
  t.equal(listeners(long.signal), 0)
})
