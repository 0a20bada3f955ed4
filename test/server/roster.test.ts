import t from 'tap'
import type { RpcPeer } from '../../lib/rpc/peer.ts'
import { Roster, type Member } from '../../lib/server/roster.ts'
import { Teller } from '../../lib/server/teller.ts'

function member(name: string, session: string): Member & { closed: number } {
  const peer = { notify: () => Promise.resolve() } as unknown as RpcPeer
  const made = {
    name,
    session,
    fingerprint: 'SHA256:x',
    folders: new Set<string>(),
    peer,
    teller: new Teller(peer),
    closed: 0,
  }
  return Object.assign(made, {
    close: () => {
      made.closed++
    },
  })
}

t.test('who joins is found by name and by session until it leaves', (t) => {
  const roster = new Roster()
  const [ann, bob] = [member('ann', 's1'), member('bob', 's2')]
  roster.join(ann)
  roster.join(bob)
  t.equal(roster.named('ann'), ann)
  t.equal(roster.bySession('s2'), bob)
  t.same([...roster.members()], [ann, bob])
  roster.leave(ann)
  t.equal(roster.named('ann'), undefined)
  t.equal(roster.bySession('s1'), undefined)
  t.equal(ann.closed, 0)
  t.end()
})

t.test('who joins again takes its own place; the late farewell of the old one changes nothing', (t) => {
  const roster = new Roster()
  const [before, now] = [member('ann', 's1'), member('ann', 's2')]
  roster.join(before)
  roster.join(now)
  t.equal(before.closed, 1, 'the old connection is closed')
  t.equal(roster.bySession('s1'), undefined, 'nobody attaches to it any more')
  roster.leave(before)
  t.equal(roster.named('ann'), now)
  t.equal(now.closed, 0)
  t.end()
})

t.test('a session is replaced once another of its name began, even when that one is gone too', (t) => {
  const roster = new Roster()
  const [before, now] = [member('ann', 's1'), member('ann', 's2')]
  roster.join(before)
  roster.leave(before)
  t.notOk(roster.isReplaced(before), 'who is only gone is not')
  roster.join(now)
  roster.leave(now)
  t.ok(roster.isReplaced(before))
  t.notOk(roster.isReplaced(now))
  t.end()
})
