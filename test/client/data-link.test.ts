import { duplexPair } from 'node:stream'
import t, { type Test } from 'tap'
import { DataLink } from '../../lib/client/data-link.ts'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { Refused, Unreachable } from '../../lib/errors.ts'
import { implement, toCoordinator } from '../../lib/rpc/contract.ts'
import { RpcPeer } from '../../lib/rpc/peer.ts'
import type { SftpChannel } from '../../lib/ssh/client/sftp-channel.ts'
import type { SshSession } from '../../lib/ssh/client/ssh-session.ts'
import { deferred, never } from '../ssh/client/support.ts'

/** One connection that was made: which, how many channels it has had, and whether it is closed. */
interface Made {
  readonly id: number
  readonly channels: FakeChannel[]
  isOpen: boolean
  close: () => void
}

interface FakeChannel {
  readonly of: Made
  readonly close: () => void
}

/** A link whose connections are made up. `fails`: what goes wrong when the next ones are opened. */
function rig(t: Test) {
  const made: Made[] = []
  const fails: Record<'attach' | 'subsystem' | 'sftp', Error | undefined> = {
    attach: undefined,
    subsystem: undefined,
    sftp: undefined,
  }
  const life = new AbortController()
  const ofChannel = new Map<SftpChannel, FakeChannel>()
  const open = async (): Promise<SshSession> => {
    const { promise: closed, resolve } = deferred()
    const one: Made = {
      id: made.length + 1,
      channels: [],
      isOpen: true,
      close: () => {
        one.isOpen = false
        resolve()
      },
    }
    made.push(one)
    const session = {
      closed,
      subsystem: async () => {
        if (fails.subsystem !== undefined) throw fails.subsystem
        const [near, far] = duplexPair()
        const attach = implement(toCoordinator.attach, () => {
          if (fails.attach !== undefined) throw fails.attach
          return {}
        })
        new RpcPeer(far, { log: silentLog, methods: { attach } })
        return await Promise.resolve(near)
      },
      sftp: async () => {
        const ended = deferred()
        if (fails.sftp !== undefined) throw fails.sftp
        // A link only keeps channels and hands them out.
        const channel = { closed: ended.promise } as unknown as SftpChannel
        const fake = { of: one, close: ended.resolve }
        one.channels.push(fake)
        ofChannel.set(channel, fake)
        return await Promise.resolve(channel)
      },
      [Symbol.asyncDispose]: async () => {
        one.close()
        await Promise.resolve()
      },
    }
    return await Promise.resolve(session as unknown as SshSession) // all that a link asks of one
  }
  t.teardown(() => {
    life.abort()
  })
  const rpc = { log: silentLog }
  const data = new DataLink({ open, session: 's', rpc, clock: systemClock, roundTripMs: 0 }, life.signal)
  /** The connection that work on a lane is given. */
  const on = (lane: 'quick' | 'bulk') => data.use(lane, async (sftp) => await Promise.resolve(idOf(sftp)), never())
  const idOf = (sftp: SftpChannel): number => ofChannel.get(sftp)?.of.id ?? 0
  const openOnes = () => made.filter(({ isOpen }) => isOpen).map(({ id }) => id)
  return { data, made, fails, on, idOf, openOnes }
}

const lost = () => new Unreachable('The connection is lost')

t.test('all work shares one connection, with a channel for each lane', async (t) => {
  const { data, made, on } = rig(t)
  data.warm()
  t.same(await Promise.all([on('quick'), on('bulk'), on('quick'), on('bulk')]), [1, 1, 1, 1])
  t.equal(made[0]?.channels.length, 2)
  made[0]?.channels[0]?.close()
  await new Promise(setImmediate)
  t.equal(await on('quick'), 1)
  t.equal(made[0]?.channels.length, 3, 'a channel that is closed is opened again')
})

t.test('work on a dead connection is done once more on a new one, and other failures are told', async (t) => {
  const { data, idOf, openOnes, on } = rig(t)
  const tried: number[] = []
  const work = async (sftp: SftpChannel): Promise<void> => {
    tried.push(idOf(sftp))
    await Promise.reject(lost())
  }
  await t.rejects(data.use('quick', work, never()), Unreachable)
  t.same(tried, [1, 2], 'twice, not for ever')
  await t.rejects(
    data.use('bulk', () => Promise.reject(new Refused('No', { status: 404 })), never()),
    Refused,
  )
  t.equal(await on('bulk'), 2)
  const stopped = AbortSignal.abort(new Error('stopped'))
  await t.rejects(
    data.use('bulk', () => Promise.reject(lost()), stopped),
    Unreachable,
  )
  t.same(openOnes(), [2])
})

t.test('a connection that closes while nobody uses it is opened anew', async (t) => {
  const { made, on, openOnes } = rig(t)
  t.equal(await on('quick'), 1)
  made[0]?.close()
  await new Promise(setImmediate)
  t.equal(await on('quick'), 2)
  t.same(openOnes(), [2])
})

t.test('a lane that hears late of a lost connection leaves the new one of the other lane in use', async (t) => {
  const { data, idOf, openOnes, on } = rig(t)
  const { promise: late, resolve: hear } = deferred()
  let tries = 0
  const bulk = data.use(
    'bulk',
    async (sftp) => {
      if (tries++ > 0) return idOf(sftp)
      await late
      throw lost()
    },
    never(),
  )
  await on('bulk')
  let isFirst = true
  const quick = await data.use(
    'quick',
    async (sftp) => {
      if (!isFirst) return await Promise.resolve(idOf(sftp))
      isFirst = false
      throw lost()
    },
    never(),
  )
  t.equal(quick, 2)
  hear()
  t.equal(await bulk, 2)
  t.equal(await on('quick'), 2)
  t.same(openOnes(), [2], 'there is no third')
})

for (const what of ['subsystem', 'attach'] as const) {
  t.test(`a connection that cannot be bound to the session is not left open: ${what}`, async (t) => {
    const { fails, made, on, openOnes } = rig(t)
    fails[what] = lost()
    for (let i = 0; i < 3; i++) await t.rejects(on('quick'))
    t.equal(made.length, 3)
    t.same(openOnes(), [])
    fails[what] = undefined
    t.equal(await on('quick'), 4)
  })
}

t.test('a channel that could not be opened is asked for again', async (t) => {
  const { fails, on, openOnes } = rig(t)
  fails.sftp = new Refused('No channel', { status: 500 })
  await t.rejects(on('bulk'), Refused)
  fails.sftp = undefined
  t.equal(await on('bulk'), 1)
  t.same(openOnes(), [1])
})
