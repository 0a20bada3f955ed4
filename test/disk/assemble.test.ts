import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { assembleLocal, assembleObject, extractLiterals } from '../../lib/disk/assemble.ts'
import type { PatchOp } from '../../lib/model/content.ts'
import { hostPath } from '../../lib/model/path.ts'
import { noise } from '../support/contents.ts'
import { aFolder, rel, sha256, type Folder } from './a-folder.ts'
import { withTinyDisk } from './tiny-disk.ts'

const copy = (source: number, offset: number, length: number): PatchOp => ({ kind: 'copy', source, offset, length })
const data = (length: number): PatchOp => ({ kind: 'data', length })
const zero = (length: number): PatchOp => ({ kind: 'zero', length })

/** A job that makes `wanted` from the files `one`, `two` and the literals. */
function job(folder: Folder, wanted: Uint8Array, ops: readonly PatchOp[], literal: Uint8Array = new Uint8Array()) {
  mkdirSync(folder.at('objects'), { recursive: true })
  writeFileSync(folder.at('literal'), literal)
  return {
    ops,
    sources: [
      { file: hostPath(folder.at('one')), offset: 0 },
      { file: hostPath(folder.at('two')), offset: 100 },
    ],
    literal: hostPath(folder.at('literal')),
    sha256: sha256(wanted),
    size: wanted.length,
    scratch: hostPath(folder.at('scratch')),
    target: hostPath(folder.at('objects/aa/made')),
  }
}

const one = noise(1_500_000, 1)
const two = noise(200_000, 2)

function filled(t: { teardown(fn: () => void): void }): Folder {
  const folder = aFolder(t)
  writeFileSync(folder.at('one'), one)
  writeFileSync(folder.at('two'), two)
  return folder
}

t.test('an object is made of copies, literals and zeros, durable and read-only, with holes', async (t) => {
  const folder = filled(t)
  const literal = noise(5000, 3)
  const wanted = Buffer.concat([
    literal.subarray(0, 4000),
    one.subarray(7, 1_400_007),
    Buffer.alloc(3_000_000),
    literal.subarray(4000),
    two.subarray(110, 1110),
    Buffer.alloc(70_000),
  ])
  const ops = [data(4000), copy(0, 7, 1_400_000), zero(3_000_000), data(1000), copy(1, 10, 1000), zero(70_000)]
  const order = job(folder, wanted, ops, literal)
  t.equal(assembleObject(order), true)
  t.ok(readFileSync(order.target).equals(wanted))
  const { mode, blocks } = statSync(order.target)
  t.equal(mode & 0o777, 0o400)
  t.ok(blocks * 512 < 1_600_000, 'zeros take no room')
  t.notOk(existsSync(order.scratch))
})

t.test('what does not come out as named is no object, and nothing is left of it', async (t) => {
  const folder = filled(t)
  const fail = (ops: readonly PatchOp[], wanted: Uint8Array, change: object = {}): void => {
    const order = { ...job(folder, wanted, ops), ...change }
    t.equal(assembleObject(order), false)
    t.notOk(existsSync(order.target))
    t.notOk(existsSync(order.scratch))
  }
  fail([copy(0, 1, 1000)], one.subarray(0, 1000))
  fail([copy(0, 1_400_000, 200_000)], noise(200_000))
  fail([data(10)], noise(10))
  fail([copy(0, 0, 10)], one.subarray(0, 10), { sources: [{ file: hostPath(folder.at('gone')), offset: 0 }] })
  fail([data(10)], noise(10), { literal: hostPath(folder.at('gone')) })
  symlinkSync(folder.at('one'), folder.at('link'))
  fail([copy(0, 0, 10)], one.subarray(0, 10), { sources: [{ file: hostPath(folder.at('link')), offset: 0 }] })
})

t.test('work that is no longer wanted stops', async (t) => {
  const folder = filled(t)
  t.equal(
    assembleObject(job(folder, Buffer.alloc(10_000_000), [zero(10_000_000)]), () => true),
    false,
  )
})

t.test('a full disk is told as no space on the coordinator, and leaves nothing', async (t) => {
  await withTinyDisk(t, (folder) => {
    writeFileSync(folder.at('one'), noise(100_000, 1))
    const order = { ...job(folder, noise(300_000), [copy(0, 0, 100_000), copy(0, 0, 100_000), copy(0, 0, 100_000)]) }
    t.throws(() => assembleObject({ ...order, sources: order.sources.slice(0, 1) }), { status: 507, code: 'NO_SPACE' })
    t.notOk(existsSync(order.scratch))
  })
})

t.test('a staged file is completed from local files around what is in it already', async (t) => {
  const folder = filled(t)
  const fresh = noise(3000, 9)
  const wanted = Buffer.concat([one.subarray(0, 500_000), fresh, Buffer.alloc(100_000), two.subarray(5, 50_005)])
  const place = hostPath(folder.at('.systemsync/staging/p'))
  const half = Buffer.alloc(wanted.length)
  fresh.copy(half, 500_000)
  writeFileSync(place, half)
  const ops = [copy(0, 0, 500_000), data(3000), zero(100_000), copy(1, 5, 50_000)]
  const sources = ['one', 'two'].map((name) => ({ path: rel(name), print: folder.print(name) }))
  const never = (): boolean => false
  t.equal(
    assembleLocal(folder.dirs, { place, literal: undefined, size: wanted.length, sources, ops }, never),
    sha256(wanted),
  )
  t.ok(readFileSync(place).equals(wanted))
  const short = { place, literal: undefined, size: 10, sources, ops: [copy(1, 199_995, 10)] }
  t.equal(assembleLocal(folder.dirs, short, never), undefined, 'a source that is too short')
  writeFileSync(folder.at('one'), 'edited')
  t.equal(
    assembleLocal(folder.dirs, { place, literal: undefined, size: wanted.length, sources, ops }, never),
    undefined,
    'a source that changed',
  )
  const gone = sources.map(({ print }) => ({ path: rel('gone/one'), print }))
  t.equal(
    assembleLocal(folder.dirs, { place, literal: undefined, size: wanted.length, sources: gone, ops }, never),
    undefined,
  )
  const missing = sources.map(({ print }) => ({ path: rel('gone'), print }))
  t.equal(
    assembleLocal(folder.dirs, { place, literal: undefined, size: wanted.length, sources: missing, ops }, never),
    undefined,
  )
})

t.test('literals are set aside one after the other, of a file that stays as it was', async (t) => {
  const folder = filled(t)
  const place = hostPath(folder.at('.systemsync/staging/d'))
  const file = { path: rel('one'), print: folder.print('one') }
  const ops = [data(10), copy(0, 0, 1000), data(5), zero(7), data(1_000_000)]
  t.equal(extractLiterals(folder.dirs, file, { ops, place }), true)
  t.ok(
    readFileSync(place).equals(
      Buffer.concat([one.subarray(0, 10), one.subarray(1010, 1015), one.subarray(1022, 1_001_022)]),
    ),
  )
  t.equal(extractLiterals(folder.dirs, file, { ops: [data(2_000_000)], place }), false, 'beyond its end')
  t.notOk(existsSync(place))
  writeFileSync(folder.at('one'), 'edited')
  t.equal(extractLiterals(folder.dirs, file, { ops, place }), false)
  t.equal(extractLiterals(folder.dirs, { ...file, path: rel('gone') }, { ops, place }), false)
  t.equal(extractLiterals(folder.dirs, { ...file, path: rel('gone/one') }, { ops, place }), false)
})
