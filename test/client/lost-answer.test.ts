import { duplexPair } from 'node:stream'
import t from 'tap'
import { z } from 'zod'
import { DataLink } from '../../lib/client/data-link.ts'
import { remoteHub } from '../../lib/client/remote-hub.ts'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { Unreachable } from '../../lib/errors.ts'
import type { Hub } from '../../lib/replica/ports.ts'
import { RpcPeer } from '../../lib/rpc/peer.ts'
import { rel } from '../support/builders.ts'

const never = new AbortController().signal
const mark = { count: 0, hash: '0'.repeat(16) }
const calls: Record<string, (hub: Hub) => Promise<unknown>> = {
  proposal: (hub) => {
    const proposal = { path: rel('a'), base: 1, entry: undefined, writtenAtMs: 1 }
    return hub.propose([{ proposal, source: { kind: 'held' } }], never)
  },
  move: (hub) => hub.moveTrees([{ from: rel('a'), to: rel('b'), base: 1, mark, writtenAtMs: 1 }], never),
}

for (const [what, call] of Object.entries(calls)) {
  t.test(`the session in which a ${what} got no answer ends: nothing of it may be committed later`, async (t) => {
    const [near, far] = duplexPair()
    const silent = { params: z.unknown(), result: z.unknown(), run: () => new Promise(() => undefined) }
    const methods = { ack_push_file: silent, move_dir: silent, changes: silent }
    await using _coordinator = new RpcPeer(far, { methods, log: silentLog })
    await using control = new RpcPeer(near, { methods: {}, log: silentLog, timeoutMs: 20 })
    const session = { session: 's', rpc: { log: silentLog, messageLog: { note: () => undefined } } }
    const link = { ...session, clock: systemClock, roundTripMs: 0, open: () => Promise.reject(new Error('none')) }
    const data = new DataLink(link, never)
    const hub = remoteHub({ folder: 'docs', client: 'ann', control, data, clockOffsetMs: 0 })
    await t.rejects(hub.changes(0, never), Unreachable)
    t.notOk(control.signal.aborted, 'a question may be asked again')
    await t.rejects(call(hub), Unreachable)
    t.ok(control.signal.aborted)
  })
}
