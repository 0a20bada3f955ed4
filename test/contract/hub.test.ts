import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DataLink } from '../../lib/client/data-link.ts'
import { remoteHub } from '../../lib/client/remote-hub.ts'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { hostPath } from '../../lib/model/path.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import { ContentStore } from '../../lib/server/content-store.ts'
import { FolderHub } from '../../lib/server/folder-hub.ts'
import { localHub } from '../../lib/server/local-hub.ts'
import { Journal } from '../../lib/store/journal.ts'
import { InProcess } from '../support/in-process.ts'
import { testHub } from './hub-contract.ts'

const lanes = new DiskLanes()
t.teardown(() => lanes[Symbol.asyncDispose]())

testHub(t, 'in the same process', (t: Test) => {
  const root = mkdtempSync(join(tmpdir(), 'ssc-'))
  mkdirSync(join(root, '.systemsync'))
  const journal = Journal.open(join(root, 'journal.db'))
  journal.create({ folderId: 'id', incarnation: 'first' })
  t.teardown(() => {
    journal.close()
    rmSync(root, { recursive: true, force: true })
  })
  const store = new ContentStore(hostPath(root), {
    follow: (place) => lanes.follow(place),
    take: (job, signal) => lanes.take(job, signal),
    assemble: (job, signal) => lanes.assemble(job, signal),
  })
  store.prepare(new Set())
  const behind = new FolderHub({ name: 'docs', journal, store, conflict: 'latest', clock: systemClock, log: silentLog })
  return Promise.resolve({ hub: localHub(behind), behind })
})

testHub(t, 'over two SSH connections', async (t: Test) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  await nodes.startServer()
  const { peer } = await nodes.bare('ann')
  const folders = [{ name: 'docs', id: null, incarnation: null, cursor: 0 }]
  const welcome = await nodes.ask(peer, 'mark_presence', { protocol: 1, node: 'ann', version: '0', folders })
  const { session } = welcome.result as { session: string }
  const data = new DataLink(
    {
      open: () => nodes.session('ann'),
      session,
      rpc: { log: silentLog, messageLog: { note: () => undefined } },
      clock: systemClock,
      roundTripMs: 0,
    },
    nodes.signal,
  )
  return {
    hub: remoteHub({ folder: 'docs', client: 'ann', control: peer, data, clockOffsetMs: 0 }),
    behind: nodes.hub(),
  }
})
