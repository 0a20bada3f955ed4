// Edits of large files, from one client by way of the hub to another: each costs about what changed.

import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { ftruncateSync, closeSync, openSync, writeSync } from 'node:fs'
import { createHash } from 'node:crypto'
import t from 'tap'
import { Refused } from '../../lib/errors.ts'
import { CHUNK_MAX } from '../../lib/core/chunker.ts'
import type { Digest } from '../../lib/model/digest.ts'
import { noise } from '../support/contents.ts'
import { aPair } from '../support/pair.ts'

const SIZE = 8_000_000
/** What one edit may cost beyond its own bytes: the chunks it touches. */
const AROUND = 4 * CHUNK_MAX

const pair = await aPair(t)
const { a, b } = pair
const original = noise(SIZE, 1)

const at = (root: string, name: string): string => `${root}/${name}`
const put = (root: string, name: string, bytes: Uint8Array): void => {
  writeFileSync(`${root}.new`, bytes)
  renameSync(`${root}.new`, at(root, name))
}
const isEqual = (name: string, bytes: Uint8Array, root = b.root): boolean =>
  existsSync(at(root, name)) &&
  statSync(at(root, name)).size === bytes.length &&
  readFileSync(at(root, name)).equals(bytes)
const forget = (): void => {
  for (const { traffic } of [a, b]) Object.assign(traffic, { up: 0, down: 0 })
}
/** Does the edit at a, waits until b has it, and says what it cost on each hop. */
async function cost(name: string, edit: () => void): Promise<{ up: number; down: number }> {
  await pair.recipesKept()
  forget()
  edit()
  const bytes = readFileSync(at(a.root, name))
  await pair.until(`${name} is equal`, () => isEqual(name, bytes))
  return { up: a.traffic.up, down: b.traffic.down }
}

t.test('a first push travels whole, and the log tells why', async (t) => {
  t.same(await cost('big', () => put(a.root, 'big', original)), { up: SIZE, down: SIZE })
  t.match(a.said, ['Sending big whole: no recipe is kept of anything like it'])
  t.ok(b.said.some((text) => /^Fetching content [0-9a-f]{64} whole: the coordinator knows no patch$/.test(text)))
})

for (const [what, fresh, edit] of [
  ['an insertion at the start', 1000, () => put(a.root, 'big', Buffer.concat([noise(1000, 2), original]))],
  [
    'a shifted middle',
    3000,
    () =>
      put(
        a.root,
        'big',
        Buffer.concat([original.subarray(0, 4_000_000), noise(3000, 3), original.subarray(4_100_000)]),
      ),
  ],
  ['an append', 5000, () => appendFileSync(at(a.root, 'big'), noise(5000, 4))],
  ['a truncation', 0, () => truncateSync(at(a.root, 'big'), 5_000_000)],
  [
    'an edit in place',
    10,
    () => {
      const fd = openSync(at(a.root, 'big'), 'r+')
      writeSync(fd, 'ten bytes!', 2_000_000)
      closeSync(fd)
    },
  ],
] as const) {
  t.test(`${what} costs about what changed, up and down`, async (t) => {
    const { up, down } = await cost('big', edit)
    t.ok(up <= fresh + AROUND, `up ${up}`)
    t.ok(down <= fresh + AROUND, `down ${down}`)
    t.equal(a.traffic.proposed.at(-1)?.source.kind, 'patch')
  })
}

t.test(
  'a paste right after an edit is made from what stands there now, not from what stood there before',
  async (t) => {
    const before = readFileSync(at(a.root, 'big'))
    const edited = Buffer.concat([noise(1000, 7), before])
    await cost('big', () => put(a.root, 'big', edited))
    forget()
    const pasted = Buffer.concat([noise(1_000_000, 8), before.subarray(0, 3_000_000)])
    put(a.root, 'pasted', pasted)
    await pair.until('b has it', () => isEqual('pasted', pasted))
    t.ok(a.traffic.up <= 1_000_000 + AROUND, `up ${a.traffic.up}`)
    t.ok(b.traffic.down <= 1_000_000 + AROUND, `down ${b.traffic.down}`)
  },
)

t.test('a paste from another file costs what is not pasted', async (t) => {
  const pasted = Buffer.concat([noise(1_000_000, 5), original.subarray(500_000, 3_500_000)])
  const { up, down } = await cost('other', () => put(a.root, 'other', pasted))
  t.ok(up <= 1_000_000 + AROUND, `up ${up}`)
  t.ok(down <= 1_000_000 + AROUND, `down ${down}`)
})

t.test('a paste from another file into one that was there already is found too', async (t) => {
  const before = readFileSync(at(a.root, 'other'))
  const pasted = Buffer.concat([before, original.subarray(3_600_000, 4_800_000)])
  const { up } = await cost('other', () => put(a.root, 'other', pasted))
  t.ok(up <= AROUND, `up ${up}`)
})

t.test('holes cost nothing, and stay holes', async (t) => {
  const { up, down } = await cost('sparse', () => {
    const fd = openSync(`${a.root}.new`, 'w')
    ftruncateSync(fd, 40_000_000)
    writeSync(fd, noise(100_000, 6), 0, 100_000, 20_000_000)
    closeSync(fd)
    renameSync(`${a.root}.new`, at(a.root, 'sparse'))
  })
  t.ok(up <= 250_000, `up ${up}`)
  t.ok(down <= 250_000, `down ${down}`)
  t.ok(statSync(at(b.root, 'sparse')).blocks * 512 < 1_000_000, 'its zeros take no room')
})

t.test('an edit goes back the other way as cheaply', async (t) => {
  await pair.recipesKept()
  forget()
  appendFileSync(at(b.root, 'big'), 'from the other side')
  const bytes = readFileSync(at(b.root, 'big'))
  await pair.until('a has it', () => isEqual('big', bytes, a.root))
  t.ok(b.traffic.up <= AROUND, `up ${b.traffic.up}`)
  t.ok(a.traffic.down <= AROUND, `down ${a.traffic.down}`)
})

t.test('who was away during three edits gets them as one', async (t) => {
  await pair.recipesKept()
  b.leave()
  for (let i = 0; i < 3; i++) {
    await pair.recipesKept()
    const seq = pair.journal.seq()
    appendFileSync(at(a.root, 'big'), noise(2000, 50 + i))
    await pair.until('it is committed', () => pair.journal.seq() > seq && a.replica.cursor === pair.journal.seq())
  }
  forget()
  b.join()
  const bytes = readFileSync(at(a.root, 'big'))
  await pair.until('b has it', () => isEqual('big', bytes))
  t.ok(b.traffic.down <= 6000 + AROUND, `down ${b.traffic.down}`)
})

t.test('a source that is replaced while a content is made from it is looked for once more', async (t) => {
  const before = noise(4_000_000, 62)
  await cost('spring', () => put(a.root, 'spring', before))
  await pair.recipesKept()
  b.leave()
  const seq = pair.journal.seq()
  const edited = Buffer.concat([noise(1000, 60), before])
  put(a.root, 'spring', edited)
  await pair.until('the edit is committed', () => pair.journal.seq() > seq && a.replica.cursor === pair.journal.seq())
  const pasted = Buffer.concat([noise(1_000_000, 61), edited.subarray(0, 3_000_000)])
  put(a.root, 'crossed', pasted)
  await pair.until('the paste too', () => pair.journal.seq() > seq + 1 && a.replica.cursor === pair.journal.seq())
  forget()
  // The parts of the paste are read when the edit is in place already: by then its source is another content.
  pair.beforeRanges = async (bytes) => {
    if (bytes >= 1_000_000) await pair.until('the edit is here', () => isEqual('spring', edited))
  }
  b.join()
  await pair.until('b has both', () => isEqual('spring', edited) && isEqual('crossed', pasted))
  pair.beforeRanges = () => Promise.resolve()
  t.ok(b.traffic.down <= 2_000_000 + 2 * AROUND, `down ${b.traffic.down}`)
})

t.test('a patch that makes other bytes is dropped, and the whole is fetched', async (t) => {
  pair.recipe = (patch) =>
    patch && {
      ...patch,
      ops: patch.ops.map((op) => (op.kind === 'copy' && op.offset === 0 ? { ...op, offset: 1 } : op)),
    }
  const { down } = await cost('big', () => appendFileSync(at(a.root, 'big'), 'and one more'))
  t.ok(down >= statSync(at(a.root, 'big')).size, `down ${down}`)
  pair.recipe = () => ({ sources: [], ops: [{ kind: 'zero', length: 5 }] })
  const { down: again } = await cost('big', () => appendFileSync(at(a.root, 'big'), 'and another'))
  t.equal(again, statSync(at(a.root, 'big')).size, 'a patch of another size too')
  pair.recipe = () => {
    throw new Refused('no', { status: 404 })
  }
  const { down: refused } = await cost('big', () => appendFileSync(at(a.root, 'big'), 'and the last'))
  t.equal(refused, statSync(at(a.root, 'big')).size, 'and when none is to be had')
  pair.recipe = (patch) => patch
})

t.test('when the coordinator lost the source, the client sends the whole', async (t) => {
  await pair.recipesKept()
  const before = readFileSync(at(a.root, 'other'))
  const sha256 = createHash('sha256').update(before).digest('hex') as Digest
  pair.hub.store.dropObject(sha256)
  const { up } = await cost('other', () => appendFileSync(at(a.root, 'other'), 'once more'))
  t.ok(up > before.length, `up ${up}`)
  t.same(
    a.traffic.proposed.slice(-2).map(({ source }) => source.kind),
    ['patch', 'staged'],
  )
})

t.test('nothing is left in any staging', async (t) => {
  await pair.recipesKept()
  const left = [a.root, b.root].flatMap((root) => readdirSync(`${root}/.systemsync/staging`))
  const hubStaging = pair.hub.store.stagingOf('a')
  t.same([...left, ...readdirSync(hubStaging)], [])
})
