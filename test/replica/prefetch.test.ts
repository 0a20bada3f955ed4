// Contents fetched ahead, with a depot that gives its bytes when it is told to.
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import type { Attached, ReplicaParts } from '../../lib/replica/folder-state.ts'
import { Prefetches } from '../../lib/replica/prefetch.ts'
import { aFolder, sha256 } from '../disk/a-folder.ts'

const MIB = 1024 * 1024
const content = { sha256: sha256('large'), size: 64 * MIB }

/** Fetches of one link; `reads`: what was asked for, each with how to let it come. */
function prefetching(t: Test) {
  const { root, staged } = aFolder(t)
  const link = new AbortController()
  const reads: { readonly from: number; readonly to: number; readonly come: () => void }[] = []
  const depot = {
    isNear: false,
    readComing: async (_: unknown, { from, to }: { from: number; to: number }, onBytes: (bytes: number) => void) => {
      await new Promise<void>((come) => reads.push({ from, to, come }))
      onBytes(to - from)
      return true
    },
  }
  const followed = { reached: () => undefined, [Symbol.dispose]: () => undefined }
  const parts = { root, name: 'docs', log: silentLog, clock: systemClock, base: { holds: () => false } }
  // All that is asked of the parts, and of who is attached.
  const prefetches = new Prefetches(
    { ...parts, disk: { follow: () => followed } } as unknown as ReplicaParts,
    () => undefined,
  )
  const attached = { hub: { depot }, signal: link.signal } as unknown as Attached
  t.teardown(() => {
    link.abort(new Error('the link is gone'))
  })
  return { prefetches, attached, reads, staged, places: () => reads.map(({ from, to }) => [from, to]) }
}

/** Lets all that is ready go on. */
async function soon(): Promise<void> {
  for (let i = 0; i < 5; i++) await setImmediate()
}

t.test(
  'what is pushed from here is not fetched, even when its growth is told while a piece of it is read',
  async (t) => {
    const { prefetches, attached, reads, staged, places } = prefetching(t)
    prefetches.hear({ ...content, end: 8 * MIB }, attached)
    await soon()
    t.same(places(), [[0, 8 * MIB]])
    const own = prefetches.own(content.sha256)
    prefetches.hear({ ...content, end: 16 * MIB }, attached)
    reads[0]?.come()
    await soon()
    t.same(places(), [[0, 8 * MIB]], 'nothing more is read')
    await prefetches.ended()
    t.same(staged(), [], 'and nothing is left')
    prefetches.hear({ ...content, end: 24 * MIB }, attached)
    prefetches.hearPatch(
      { ...content, patch: { sources: [], ops: [{ kind: 'data', length: content.size }] } },
      attached,
    )
    await soon()
    t.same(staged(), [], 'nor begun anew')
    t.equal(prefetches.isUsing(content.sha256), false)
    own[Symbol.dispose]()
    prefetches.hear({ ...content, end: 32 * MIB }, attached)
    await soon()
    t.same(places().slice(1), [[0, 16 * MIB]], 'once it is pushed, hints count again')
  },
)

t.test('what grows while a piece is read is read on; what is withdrawn leaves nothing', async (t) => {
  const { prefetches, attached, reads, staged, places } = prefetching(t)
  prefetches.hear({ ...content, end: 8 * MIB }, attached)
  await soon()
  prefetches.hear({ ...content, end: 16 * MIB }, attached)
  reads[0]?.come()
  await soon()
  t.same(places().slice(1), [[8 * MIB, 16 * MIB]])
  t.ok(prefetches.isUsing(content.sha256))
  prefetches.hear({ ...content, end: 0 }, attached)
  reads[1]?.come()
  await prefetches.ended()
  t.same(staged(), [])
  t.equal(await prefetches.take(content.sha256), undefined)
  t.ok(prefetches.isUsing(content.sha256), 'it is taken')
  prefetches.hear({ ...content, end: 8 * MIB }, attached)
  await soon()
  t.equal(reads.length, 2, 'and not fetched ahead any more')
  prefetches.release(content.sha256)
  t.equal(prefetches.isUsing(content.sha256), false)
})
