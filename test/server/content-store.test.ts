import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { EMPTY_DIGEST, type Digest } from '../../lib/model/digest.ts'
import { hostPath } from '../../lib/model/path.ts'
import { ContentStore } from '../../lib/server/content-store.ts'
import { asNobody } from '../disk/a-folder.ts'
import type { ContentJobs, Slice } from '../../lib/server/ports.ts'
import type { KeptContent } from '../../lib/store/contents.ts'

const texts = ['first', 'second', 'the third', '4']

function digestOf(text: string): Digest {
  return createHash('sha256').update(text).digest('hex') as Digest
}

/** A store with `texts` in the packs k1 and k2 each, and one object. */
function filled(t: Test): {
  store: ContentStore
  root: string
  packed: (pack: string) => KeptContent[]
  object: KeptContent
} {
  const root = t.testdir()
  const never = () => {
    throw new Error('not asked for')
  }
  const store = new ContentStore(hostPath(root), { take: never, assemble: never, follow: never })
  store.prepare(new Set())
  for (const pack of ['k1', 'k2']) writeFileSync(`${root}/.systemsync/packs/${pack}`, texts.join(''))
  const object: KeptContent = { sha256: digestOf('alone'), size: 5, place: { kind: 'object' } }
  mkdirSync(`${root}/.systemsync/objects/${object.sha256.slice(0, 2)}`)
  writeFileSync(store.hostPlace(object.sha256, object.place).file, 'alone')
  const packed = (pack: string): KeptContent[] =>
    texts.map((text, i) => {
      const offset = texts.slice(0, i).join('').length
      return { sha256: digestOf(text), size: text.length, place: { kind: 'pack', pack, offset } }
    })
  return { store, root, packed, object }
}

function asText(bodies: readonly Uint8Array[]): string[] {
  return bodies.map((bytes) => Buffer.from(bytes).toString())
}

t.test('contents are read in the order asked for, wherever they lie', async (t) => {
  const { store, packed, object } = filled(t)
  const [a, b, c, d] = packed('k1')
  const [e, f, g, h] = packed('k2')
  const empty: KeptContent = { sha256: EMPTY_DIGEST, size: 0, place: { kind: 'object' } }
  const asked = [d, e, b, empty, h, a, object, g, c, f].flatMap((one) => one ?? [])
  t.same(asText(store.read(asked)), [
    '4',
    'first',
    'second',
    '',
    '4',
    'first',
    'alone',
    'the third',
    'the third',
    'second',
  ])
  t.same(asText(store.read([a, c].flatMap((one) => one ?? []))), ['first', 'the third'], 'with a gap between them')
  t.same(store.read([]), [])
})

t.test('what lies together comes in one piece of memory, and in no more than that', async (t) => {
  const { store, packed } = filled(t)
  const bodies = store.read(packed('k1'))
  const buffers = new Set(bodies.map((bytes) => bytes.buffer))
  t.equal(buffers.size, 1)
  t.equal(bodies[0]?.buffer.byteLength, texts.join('').length)
})

t.test('a content that is cut short, or not held, is refused by its name', async (t) => {
  const { store, root, packed, object } = filled(t)
  truncateSync(`${root}/.systemsync/packs/k1`, 'firstsecondth'.length)
  t.same(asText(store.read(packed('k1').slice(0, 2))), ['first', 'second'])
  t.throws(() => store.read(packed('k1')), {
    status: 404,
    message: `content ${digestOf('the third')}: it is cut short`,
  })
  t.throws(() => store.read(packed('k9').slice(1)), {
    status: 404,
    message: `content ${digestOf('second')}: it is not held`,
  })
  t.same(asText(store.read([object])), ['alone'])
})

t.test(
  'a content that cannot be taken, or made, for a full disk is withdrawn from those who were told of it',
  async (t) => {
    const root = t.testdir()
    const full = (): never => {
      throw new Error('no space left')
    }
    const store = new ContentStore(hostPath(root), { take: full, assemble: full, follow: full })
    store.prepare(new Set())
    const told: unknown[] = []
    store.uploads.onGrowth = (growth) => void told.push(growth)
    const content = { sha256: digestOf('large'), size: 5 }
    const withdrawn = { peer: 'ann', sha256: content.sha256, end: 0 }
    const place = `${store.stagingOf('ann')}/o-${content.sha256}`
    writeFileSync(place, 'large')
    const { signal } = new AbortController()
    await t.rejects(store.takeFile('ann', `o-${content.sha256}`, content, signal), { message: 'no space left' })
    t.same(told.splice(0), [withdrawn])
    t.ok(existsSync(place), 'it need not be sent again')
    const how = { name: undefined, ops: [{ kind: 'zero' as const, length: 5 }], sources: [] }
    await t.rejects(store.assemble('ann', content, how, signal), { message: 'no space left' })
    t.same(told, [withdrawn])
    t.equal(store.growing(content.sha256), undefined)
  },
)
t.test('a staged file that could not be kept can be written to by its owner again', async (t) => {
  const found = asNobody(`
    import { createHash } from 'node:crypto'
    import { lstatSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
    import { takeStaged } from '@lib/disk/take-staged.js'
    import { ContentStore } from '@lib/server/content-store.js'
    import { openForWriting } from '@lib/ssh/server/jail-files.js'
    const root = mkdtempSync('/tmp/store-nobody-')
    const sha256 = createHash('sha256').update('body').digest('hex')
    const take = async (job) => {
      const dir = root + '/.systemsync/objects/' + sha256.slice(0, 2)
      rmSync(dir, { recursive: true }) // the rename fails
      return takeStaged(job)
    }
    const store = new ContentStore(root, { take, follow: () => ({ digest: async () => undefined, [Symbol.dispose]: () => undefined }) })
    store.prepare(new Set())
    const staged = store.stagingOf('a') + '/o-' + sha256
    writeFileSync(staged, 'body')
    const failure = await store.takeFile('a', 'o-' + sha256, { sha256, size: 4 }, new AbortController().signal).catch((error) => error.code)
    const mode = (lstatSync(staged).mode & 0o777).toString(8)
    const how = { create: true, exclusive: false, truncate: false }
    openForWriting(staged, how, { demandAccess: () => undefined, watch: undefined }).close()
    rmSync(root, { recursive: true })
    console.log(JSON.stringify([failure, mode]))
  `)
  t.same(found, ['ENOENT', '600'])
})

t.test('a pack that says that more is in it than in any is refused, and nothing of it is hashed', async (t) => {
  const root = t.testdir()
  let took = 0
  const take: ContentJobs['take'] = async ({ slices, target, place }) => {
    took++
    renameSync(place, target)
    return await Promise.resolve(slices.map(() => true))
  }
  const followed = { reached: () => undefined, digest: async () => await Promise.resolve(digestOf('')) }
  const follow = () => ({ ...followed, [Symbol.dispose]: () => undefined })
  const store = new ContentStore(hostPath(root), { take, follow, assemble: async () => await Promise.resolve(false) })
  store.prepare(new Set())
  const slices = (count: number, size: number) =>
    Array(count).fill({ sha256: digestOf('x'), size, offset: 0 }) as Slice[]
  const takePack = async (name: string, bytes: number, of: Slice[]) => {
    writeFileSync(`${store.stagingOf('a')}/${name}`, '')
    truncateSync(`${store.stagingOf('a')}/${name}`, bytes)
    const { pack, good } = await store.takePack('a', name, of, new AbortController().signal)
    t.same(readdirSync(store.stagingOf('a')), [], 'it is gone from staging')
    return pack !== undefined && !good.includes(false)
  }
  const [KIB, MIB] = [1024, 1024 * 1024]
  for (const name of ['p-1', 'z-1']) {
    t.notOk(await takePack(name, MIB, slices(1, 256 * KIB + 1)), 'a body that is too large for a pack')
    t.notOk(await takePack(name, MIB, slices(5000, 256 * KIB)), 'bodies that lie above each other')
  }
  t.notOk(await takePack('p-1', 5 * MIB, slices(1, 10)), 'a pack that is too long')
  t.equal(took, 0)
  t.ok(await takePack('p-1', 4 * MIB, slices(16, 256 * KIB)), 'as large as one may be')
  t.same(readdirSync(`${root}/.systemsync/staging`), ['a'])
})
