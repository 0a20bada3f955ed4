// A patch on its way from one client to another, seen while the coordinator still makes the content: the author is played by hand.
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import t from 'tap'
import type { Digest } from '../../lib/model/digest.ts'
import { sha256 } from '../disk/a-folder.ts'
import { noise } from '../support/contents.ts'
import { InProcess } from '../support/in-process.ts'

const SIZE = 12 * 1024 * 1024

const nodes = InProcess.open(t, { clients: ['ann', 'bob'] })
await nodes.startServer()
await nodes.startClient('bob')

const { session, peer } = await nodes.bare('ann')
await nodes.ask(peer, 'mark_presence', {
  protocol: 1,
  node: 'ann',
  version: '0',
  folders: [{ name: 'docs', id: null, incarnation: null, cursor: 0 }],
})
const sftp = await session.sftp()

const wireOf = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url')

async function stage(name: string, bytes: Uint8Array): Promise<void> {
  const local = `${nodes.dir}/local`
  writeFileSync(local, bytes)
  await using file = await open(local, 'r')
  await sftp.putFile(`/docs/staging/ann/${name}`, file.fd, { from: 0, size: bytes.length }, nodes.signal)
}

/** What the proposal of a content as `big` comes to. */
async function propose(hex: Digest, size: number, source: unknown): Promise<unknown> {
  await nodes.ask(peer, 'req_push_file', { folder: 'docs', files: [[wireOf(hex), size]] })
  const base = nodes.hub().journal.seq()
  const entry = ['f', size, '1700000000000000000', 0o644, wireOf(hex)]
  const proposals = [['big', base, entry, Date.now(), source]]
  const { result } = await nodes.ask(peer, 'ack_push_file', { folder: 'docs', proposals })
  return (result as { outcomes: unknown[] }).outcomes[0]
}

const old = noise(SIZE, 1)
const oldHex = sha256(old)
await stage(`o-${oldHex}`, old)
await propose(oldHex, SIZE, `o-${oldHex}`)
await nodes.inStep()

/** What bob holds. */
let standing = old

/** What stands with another start, and the patch that makes it. */
function edited(seed: number) {
  const data = noise(1000, seed)
  const bytes = Buffer.concat([data, standing.subarray(1000)])
  const hex = sha256(bytes)
  return { data, bytes, hex, wire: ['p', `d-${hex}`, [[wireOf(sha256(standing))], [1000, [0, 1000, SIZE - 1000]]]] }
}

const staging = nodes.place('bob').at('.systemsync/staging')
/** The inode of what bob made; `undefined` while it is not whole. */
function made(hex: Digest): number | undefined {
  const found = statSync(`${staging}/p-${hex}`, { throwIfNoEntry: false })
  return found?.size === SIZE && !existsSync(`${staging}/l-${hex}`) ? found.ino : undefined
}
const isMade = (hex: Digest) =>
  nodes.eventually(() => made(hex) !== undefined || `there is ${readdirSync(staging).join(' ')}`)
const isGone = () =>
  nodes.eventually(() => readdirSync(staging).length === 0 || `there is ${readdirSync(staging).join(' ')}`)

t.afterEach(() => {
  nodes.beforeAssembly = () => Promise.resolve(undefined)
})

t.test('a content is made while the coordinator makes it, and seen only when it is committed', async (t) => {
  const { data, bytes, hex, wire } = edited(2)
  let ino: number | undefined
  nodes.beforeAssembly = async () => {
    await isMade(hex)
    ino = made(hex)
    t.ok(nodes.place('bob').bytes('big').equals(standing), 'nothing is seen before the commit')
    return undefined
  }
  await stage(`d-${hex}`, data)
  t.type(await propose(hex, bytes.length, wire), 'number')
  await nodes.inStep()
  t.ok(nodes.place('bob').bytes('big').equals(bytes))
  t.equal(statSync(nodes.place('bob').at('big')).ino, ino, 'it is the very file that was made ahead')
  t.same(readdirSync(staging), [])
  standing = bytes
})

t.test('when the commit does not come nothing is left, and the old file stands', async (t) => {
  const before = nodes.place('bob').bytes('big')
  const { data, bytes, hex, wire } = edited(3)
  nodes.beforeAssembly = async () => {
    await isMade(hex)
    return 'fail'
  }
  await stage(`d-${hex}`, data)
  t.equal(await propose(hex, bytes.length, wire), 'need')
  await isGone()
  t.ok(nodes.place('bob').bytes('big').equals(before))
})

t.test('a patch that makes other bytes than were named leaves nothing', async (t) => {
  const { bytes, hex, wire } = edited(4)
  await stage(`d-${hex}`, noise(1000, 5))
  t.equal(await propose(hex, bytes.length, wire), 'need')
  await isGone()
  t.equal(nodes.replica('bob').status().state, 'in step')
})

/** A hint of a content that can be made of what stands alone. */
function useful() {
  const sha = sha256(Buffer.concat([standing.subarray(1000), Buffer.alloc(1000)]))
  const patch = {
    sources: [sha256(standing)],
    ops: [
      { kind: 'copy' as const, source: 0, offset: 1000, length: SIZE - 1000 },
      { kind: 'zero' as const, length: 1000 },
    ],
  }
  return { sha256: sha, size: SIZE, patch }
}

t.test('a hint that is of no use is left alone, and does not keep one that is from being taken', async (t) => {
  const from = (sources: Digest[], offset = 0) => ({
    sources,
    ops: [{ kind: 'copy' as const, source: 0, offset, length: SIZE }],
  })
  const bob = nodes.replica('bob')
  const good = useful()
  for (const [what, patch] of Object.entries({
    unheld: from([sha256(Buffer.from('not here'))]),
    sourceless: from([]),
    replaced: from([oldHex]),
    'too short': from([sha256(standing)], 1000),
    unsent: { sources: [], ops: [{ kind: 'data' as const, length: SIZE }] },
  })) {
    bob.coming({ sha256: sha256(Buffer.from(what)), size: SIZE, patch })
    bob.coming(good)
    await isMade(good.sha256)
    await nodes.eventually(() => readdirSync(staging).length === 1 || `${what}: ${readdirSync(staging).join(' ')}`)
    t.not(made(good.sha256), undefined, what)
    bob.coming({ sha256: good.sha256, size: SIZE, end: 0 })
    await isGone()
  }
  t.equal(bob.status().state, 'in step')
})

t.test('what is withdrawn, or whose link breaks, leaves nothing', async (t) => {
  const { sha256: moved, patch } = useful()
  const bob = nodes.replica('bob')
  bob.coming({ sha256: moved, size: SIZE, patch })
  await isMade(moved)
  bob.coming({ sha256: moved, size: SIZE, end: 0 })
  await isGone()
  bob.coming({ sha256: moved, size: SIZE, patch })
  await isMade(moved)
  await nodes.stopClient('bob')
  t.same(readdirSync(staging), [])
})
