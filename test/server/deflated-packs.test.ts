// Packs that come deflated: kept plain when they hold what they should, refused without a trace when they do not.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { TakeStaged } from '../../lib/disk/take-staged.ts'
import { Refused } from '../../lib/errors.ts'
import type { Digest } from '../../lib/model/digest.ts'
import { hostPath } from '../../lib/model/path.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import { ContentStore } from '../../lib/server/content-store.ts'
import { noise } from '../support/contents.ts'
import { put, Served } from '../support/served-folder.ts'

const MIB = 1024 * 1024
const never = new AbortController().signal
const texts = ['one ', 'two ', 'three '].map((word) => word.repeat(10_000))
const plain = Buffer.from(texts.join(''))
const good = deflateSync(plain)

/** Proposals of all texts in the pack `name`. */
function proposals(name: string, wanted: readonly string[] = texts) {
  let offset = 0
  return wanted.map((text, index) => {
    const source = { kind: 'pack', pack: name, offset } as const
    offset += text.length
    return put(`f${index}`, 0, text, source)
  })
}

async function served(t: Test): Promise<Served> {
  const it = new Served(t)
  await it.open()
  await it.rest()
  return it
}

t.test('a deflated pack is kept plain, and its bodies are read as ever', async (t) => {
  const it = await served(t)
  it.stage('ann', 'z-1', good)
  const { outcomes } = await it.hub.propose('ann', proposals('z-1'), never)
  t.match(outcomes, [{ kind: 'accepted' }, { kind: 'accepted' }, { kind: 'accepted' }])
  for (const text of texts) t.equal(it.textOf(text), text)
  const [pack = ''] = it.kept('packs')
  t.ok(readFileSync(`${it.root}/.systemsync/packs/${pack}`).equals(plain))
  t.same(it.kept('staging'), [])
  await it.rest()
  t.equal(readFileSync(`${it.root}/f2`, 'utf8'), texts[2])
})

t.test('of a pack that inflates, what is right is taken beside what is not', async (t) => {
  const it = await served(t)
  const [first = '', second = '', third = ''] = texts
  it.stage('ann', 'z-1', good)
  const { outcomes } = await it.hub.propose('ann', proposals('z-1', [first, second.replace('t', 'T'), third]), never)
  t.match(outcomes, [{ kind: 'accepted' }, { kind: 'refused', status: 409 }, { kind: 'accepted' }])
  t.same(it.kept('staging'), [])
})

const broken = Buffer.from(good)
broken.writeUInt8((broken[200] ?? 0) ^ 0x55, 200)
const LIES: readonly (readonly [string, Buffer])[] = [
  ['broken', broken],
  ['cut short', good.subarray(0, -10)],
  ['empty', Buffer.alloc(0)],
  ['plain', plain],
  ['no format at all', noise(10_000)],
  ['a bomb', deflateSync(Buffer.alloc(64 * MIB))],
  ['one byte longer than its slices', deflateSync(Buffer.concat([plain, Buffer.from('x')]))],
  ['one byte shorter than its slices', deflateSync(plain.subarray(0, -1))],
  ['followed by more', Buffer.concat([good, Buffer.from('more')])],
  ['no smaller than what it holds', deflateSync(plain, { level: 0 })],
  ['of other bytes', deflateSync(Buffer.alloc(plain.length, 'x'))],
]

for (const [what, bytes] of LIES) {
  t.test(`a deflated pack is refused and leaves nothing: ${what}`, async (t) => {
    const it = await served(t)
    it.stage('ann', 'z-1', bytes)
    const { outcomes, upTo } = await it.hub.propose('ann', proposals('z-1'), never)
    t.match(
      outcomes,
      texts.map(() => ({ kind: 'refused', status: 409 })),
    )
    t.equal(upTo, 0)
    t.same(it.kept('staging'), [])
    t.same(it.kept('packs'), [])
    it.stage('ann', 'p-1', plain)
    t.match(await it.hub.propose('ann', proposals('p-1'), never), { upTo: 3 }, 'plain it is taken')
  })
}

t.test('a deflated pack that is not there is refused', async (t) => {
  const it = await served(t)
  t.match((await it.hub.propose('ann', proposals('z-1'), never)).outcomes, [{ kind: 'refused', status: 409 }, {}, {}])
})

t.test('slices that reach further than a pack are refused before anything is inflated', async (t) => {
  const it = await served(t)
  let took = 0
  it.lanes.onTake = (_: TakeStaged, take) => {
    took++
    return take()
  }
  for (const offset of [5 * MIB, 2 ** 40, Number.MAX_SAFE_INTEGER - 4]) {
    it.stage('ann', 'z-1', deflateSync(Buffer.alloc(5 * MIB + 4)))
    const { outcomes } = await it.hub.propose(
      'ann',
      [put('f', 0, 'text', { kind: 'pack', pack: 'z-1', offset })],
      never,
    )
    t.match(outcomes, [{ kind: 'refused', status: 409 }])
    t.same(it.kept('staging'), [])
  }
  t.equal(took, 0)
})

t.test('where little is left on the disk nothing is inflated, and nothing is left behind', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'ssd-'))
  const lanes = new DiskLanes()
  t.teardown(async () => {
    await lanes[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true, force: true })
  })
  mkdirSync(`${dir}/.systemsync`)
  const space = { total: 1e9, free: 10e6 + plain.length - 1 }
  const store = new ContentStore(
    hostPath(dir),
    {
      follow: (place) => lanes.follow(place),
      take: (job, signal) => lanes.take(job, signal),
      assemble: (job, signal) => lanes.assemble(job, signal),
    },
    () => space,
  )
  store.prepare(new Set())
  const slices = [{ sha256: createHash('sha256').update(plain).digest('hex') as Digest, size: plain.length, offset: 0 }]
  const staged = () => {
    writeFileSync(`${store.stagingOf('ann')}/z-1`, good)
  }
  staged()
  await t.rejects(store.takePack('ann', 'z-1', slices, never), Refused)
  t.same(readdirSync(`${dir}/.systemsync/staging/ann`), [])
  t.same(readdirSync(`${dir}/.systemsync/packs`), [])
  space.free++
  staged()
  const { pack = 'none' } = await store.takePack('ann', 'z-1', slices, never)
  t.ok(existsSync(`${dir}/.systemsync/packs/${pack}`), 'with a byte more it is')
})
