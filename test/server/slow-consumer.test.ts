import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { rel } from '../support/builders.ts'
import { InProcess, pause } from '../support/in-process.ts'
import { RawRpc } from '../support/raw-rpc.ts'

const REVISIONS = 20_000
const PER_COMMIT = 400
const MIB = 1024 * 1024

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Memory that is in use, buffers too. Bytes. */
async function inUse(): Promise<number> {
  await pause(50)
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

t.test(
  'a client that does not read what it is told costs no memory, and is sent to ask when it reads again',
  async (t) => {
    const nodes = InProcess.open(t, { clients: ['ann', 'bob'] })
    await nodes.startServer()
    const session = await nodes.session('bob')
    const rpc = new RawRpc(await session.subsystem('systemsync-rpc'))
    const folders = [{ name: 'docs', id: null, incarnation: null, cursor: 0 }]
    rpc.say({
      jsonrpc: '2.0',
      id: 1,
      method: 'mark_presence',
      params: { protocol: 1, node: 'bob', version: '0', folders },
    })
    t.ok((await rpc.reply(({ id }) => id === 1))?.result)
    rpc.stopReading()
    const hub = nodes.hub()
    // The same few links all the time: the journal's heads and the live tree stay small, the news do not.
    const seqs = new Map<number, number>()
    const edit = async (round: number): Promise<void> => {
      const batch = Array.from({ length: PER_COMMIT }, (_, index) => ({
        proposal: {
          path: rel(`link-${String(index)}`),
          base: seqs.get(index) ?? 0,
          entry: { kind: 'link', target: `${String(round)}-`.padEnd(4000, 'x') } as const,
          writtenAtMs: Date.now(),
        },
        source: { kind: 'held' } as const,
      }))
      const { outcomes } = await hub.propose('ann', batch, nodes.signal)
      outcomes.forEach((outcome, index) => {
        if (outcome.kind === 'accepted') seqs.set(index, outcome.seq)
      })
    }
    for (let round = 0; round < 5; round++) await edit(round)
    const before = await inUse()
    for (let round = 5; round < REVISIONS / PER_COMMIT; round++) await edit(round)
    t.equal(hub.journal.seq(), REVISIONS)
    const more = (await inUse()) - before
    t.ok(more < 24 * MIB, `80 MiB of news left unread cost ${String(Math.round(more / MIB))} MiB`)
    rpc.readOn()
    t.ok(await rpc.reply(({ params }) => params?.upTo === REVISIONS), 'it hears that there is something to ask for')
    t.same(rpc.lines.find(({ params }) => params?.upTo === REVISIONS)?.params?.heads, [])
    const since = REVISIONS - 1
    rpc.say({ jsonrpc: '2.0', id: 2, method: 'changes', params: { folder: 'docs', since, limit: 5000 } })
    t.match((await rpc.reply(({ id }) => id === 2))?.result, { upTo: REVISIONS, more: false }, 'and asks')
    rpc.lines.length = 0
    await edit(-1)
    const told = await rpc.reply(({ method }) => method === 'pull_file')
    t.equal(told?.params?.prev, REVISIONS, 'and is told again')
  },
)
