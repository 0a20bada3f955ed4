import t from 'tap'
import { OpenRoom } from '../../../lib/ssh/server/open-room.ts'

t.test('one connection leaves room for others, and all together have their bound', (t) => {
  const all = new OpenRoom(3)
  const [ann, bob] = [new OpenRoom(2, all), new OpenRoom(2, all)]
  const back = [ann.take(), ann.take()]
  t.equal(ann.take(), undefined)
  const one = bob.take()
  t.ok(one)
  t.equal(bob.take(), undefined, 'three are open')
  back[0]?.()
  t.ok(bob.take())
  t.equal(ann.take(), undefined, 'three are open again')
  one?.()
  t.ok(ann.take())
  t.end()
})
