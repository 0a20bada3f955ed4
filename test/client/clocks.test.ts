import t from 'tap'
import { rel } from '../support/builders.ts'
import { InProcess, pause } from '../support/in-process.ts'

const HOUR_MS = 3_600_000

for (const [state, aheadMs] of [
  ['ahead', HOUR_MS],
  ['behind', -HOUR_MS],
] as const) {
  t.test(`with a clock an hour ${state}, whoever edits last wins each time`, async (t) => {
    const nodes = InProcess.open(t, { clients: ['ann', 'bob'], aheadMs: { ann: aheadMs } })
    await nodes.start()
    for (const [writer, text] of [
      ['ann', 'one'],
      ['bob', 'two'],
      ['ann', 'three'],
      ['server', 'four'],
      ['bob', 'five'],
    ] as const) {
      nodes.place(writer).put('shared.txt', text)
      await nodes.eventually(() =>
        ['server', 'ann', 'bob'].every(
          (name) => nodes.place(name).has('shared.txt') && nodes.place(name).read('shared.txt') === text,
        ),
      )
      await nodes.inStep()
    }
    nodes.place('ann').remove('shared.txt')
    await nodes.inStep()
    t.notOk(nodes.server.has('shared.txt'))
    t.same(nodes.hub().journal.collisions(), [], 'nobody collided')
  })

  for (const [later, earlier] of [
    ['ann', 'bob'],
    ['bob', 'ann'],
  ] as const) {
    t.test(`with ann's clock an hour ${state}, a collision is won by ${later}, who wrote later`, async (t) => {
      const nodes = InProcess.open(t, { clients: ['ann', 'bob'], aheadMs: { ann: aheadMs } })
      await nodes.start()
      nodes.server.put('shared.txt', 'base')
      await nodes.inStep()
      await nodes.stopServer()
      nodes.place(earlier).put('shared.txt', `by ${earlier}`)
      await pause(100) // Far more than clocks can be compared to.
      nodes.place(later).put('shared.txt', `by ${later}`)
      await nodes.startServer()
      // Who gets through first must not matter: the one who lost time is told apart by when it wrote.
      await nodes.inStep()
      await nodes.eventually(() => nodes.hub().journal.collisions().length > 0)
      await nodes.inStep()
      t.equal(nodes.server.read('shared.txt'), `by ${later}`)
      const [collision, ...more] = nodes.hub().journal.collisions()
      t.same(more, [])
      t.match(collision, { winner: { peer: later }, loser: { peer: earlier } })
      const now = Date.now()
      for (const { stamp } of nodes.hub().journal.revisionsOf(rel('shared.txt'))) {
        t.ok(Math.abs(stamp.timeMs - now) < HOUR_MS / 2, "times in history are the coordinator's")
      }
    })
  }
}
