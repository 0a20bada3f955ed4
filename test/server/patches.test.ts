// Patches at the coordinator: what is proposed is made only of what it holds, verified, and committed; anything else is refused or asked for whole.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { assembleObject, type AssembleObject } from '../../lib/disk/assemble.ts'
import { digestOfFile, takeStaged } from '../../lib/disk/take-staged.ts'
import type { Patch, PatchOp, Source } from '../../lib/model/content.ts'
import { hostPath } from '../../lib/model/path.ts'
import type { Outcome } from '../../lib/model/revision.ts'
import { ContentStore } from '../../lib/server/content-store.ts'
import { FolderHub } from '../../lib/server/folder-hub.ts'
import type { ContentJobs, Patching } from '../../lib/server/ports.ts'
import type { Space } from '../../lib/server/room.ts'
import { Journal } from '../../lib/store/journal.ts'
import { fileEntry, rel, sha256 } from '../disk/a-folder.ts'
import { noise } from '../support/contents.ts'

const signal = new AbortController().signal
const old = noise(500_000, 1)

/** A hub that holds `old` as the head of `big`. */
async function aHub(t: Test, { space }: { space?: Space } = {}) {
  const patchings: Patching[] = []
  const made: AssembleObject[] = []
  const dir = t.testdir()
  const journal = Journal.open(join(dir, 'journal.db'))
  t.teardown(() => {
    journal.close()
  })
  journal.create({ folderId: 'f', incarnation: 'i' })
  const root = join(dir, 'folder')
  mkdirSync(root)
  const jobs: ContentJobs = {
    follow: () => ({
      reached: () => undefined,
      digest: (place) => Promise.resolve(digestOfFile(place)),
      [Symbol.dispose]: () => undefined,
    }),
    take: (job) => Promise.resolve(takeStaged(job)),
    assemble: (job) => {
      made.push(job)
      return Promise.resolve(assembleObject(job))
    },
  }
  const store = new ContentStore(hostPath(root), jobs, space && (() => space))
  store.prepare(new Set())
  const hub = new FolderHub({ name: 'docs', journal, store, conflict: 'latest', clock: systemClock, log: silentLog })
  hub.onPatch = (patching) => void patchings.push(patching)
  const stage = (name: string, bytes: Uint8Array): void => {
    writeFileSync(`${store.stagingOf('a')}/${name}`, bytes)
  }
  const propose = async (bytes: Uint8Array, source: Source): Promise<Outcome | undefined> => {
    const base = journal.head(rel('big'))?.seq ?? 0
    const proposal = { path: rel('big'), base, entry: fileEntry(bytes), writtenAtMs: 1 }
    return (await hub.propose('a', [{ proposal, source }], signal)).outcomes[0]
  }
  stage('o-1', old)
  await propose(old, { kind: 'staged', name: 'o-1' })
  const objectOf = (bytes: Uint8Array): string =>
    `${root}/.systemsync/objects/${sha256(bytes).slice(0, 2)}/${sha256(bytes)}`
  const left = (): string[] => [...readdirSync(`${root}/.systemsync/staging`), ...readdirSync(store.stagingOf('a'))]
  return { hub, journal, store, stage, propose, objectOf, left, patchings, made }
}

const from = (ops: readonly PatchOp[], sources = [sha256(old)]): Patch => ({ sources, ops })
const head: PatchOp = { kind: 'copy', source: 0, offset: 0, length: 400_000 }
const fresh = Buffer.concat([old.subarray(0, 400_000), noise(10, 2)])
const ops: readonly PatchOp[] = [head, { kind: 'data', length: 10 }]

t.test('a content is made of what is held and what was staged, and told to those who ask', async (t) => {
  const { hub, stage, propose, objectOf, left } = await aHub(t)
  stage('d-1', noise(10, 2))
  t.same(await propose(fresh, { kind: 'patch', name: 'd-1', patch: from(ops) }), { kind: 'accepted', seq: 2 })
  t.ok(readFileSync(objectOf(fresh)).equals(fresh))
  t.same(hub.recipe(sha256(fresh)), from(ops))
  t.equal(hub.recipe(sha256(old)), undefined)
  t.same(left(), ['a'], 'nothing is left in staging')
})

t.test('a source that is not held, wrong data or none at all: the whole is asked for', async (t) => {
  const { stage, propose, objectOf, left } = await aHub(t)
  const patch = from(ops, [sha256('not held')])
  t.same(await propose(fresh, { kind: 'patch', name: 'd-1', patch }), { kind: 'need' })
  stage('d-1', noise(10, 99))
  t.same(await propose(fresh, { kind: 'patch', name: 'd-1', patch: from(ops) }), { kind: 'need' })
  t.same(await propose(fresh, { kind: 'patch', name: 'd-gone', patch: from(ops) }), { kind: 'need' })
  t.notOk(existsSync(objectOf(fresh)))
  t.same(left(), ['a'])
})

t.test('a patch that is none is refused as malformed', async (t) => {
  const { stage, propose, journal } = await aHub(t)
  stage('d-1', noise(10, 2))
  const seq = journal.seq()
  for (const wrong of [
    [head],
    [...ops, { kind: 'zero', length: 1 }],
    [
      { ...head, offset: 100_001 },
      { kind: 'data', length: 10 },
    ],
    [
      { ...head, source: 1 },
      { kind: 'data', length: 10 },
    ],
  ] as const)
    t.match(await propose(fresh, { kind: 'patch', name: 'd-1', patch: from(wrong) }), { kind: 'refused', status: 400 })
  t.match(await propose(fresh, { kind: 'patch', name: undefined, patch: from(ops) }), { kind: 'refused', status: 400 })
  t.equal(journal.seq(), seq)
})

t.test('a patch of what is held already needs nothing', async (t) => {
  const { propose } = await aHub(t)
  const patch = from([{ ...head, length: old.length }])
  t.match(await propose(old, { kind: 'patch', name: undefined, patch }), { kind: 'duplicate' })
})

t.test('a content without data of its own is made without a staged file', async (t) => {
  const { propose, objectOf } = await aHub(t)
  const cut = Buffer.concat([old.subarray(5000), Buffer.alloc(100_000)])
  const patch = from([
    { kind: 'copy', source: 0, offset: 5000, length: 495_000 },
    { kind: 'zero', length: 100_000 },
  ])
  t.match(await propose(cut, { kind: 'patch', name: undefined, patch }), { kind: 'accepted' })
  t.ok(readFileSync(objectOf(cut)).equals(cut))
})

t.test('a patch that copies one source again and again is not made where the disk has no room for it', async (t) => {
  const space = { total: 1e12, free: 1e12 }
  const { stage, propose, left, made, patchings } = await aHub(t, { space })
  const copies = Array.from({ length: 5 }, (): PatchOp => ({ kind: 'copy', source: 0, offset: 0, length: old.length }))
  const zeros: PatchOp = { kind: 'zero', length: 8 * 1024 * 1024 }
  const bytes = Buffer.concat([...copies.map(() => old), Buffer.alloc(zeros.length), Buffer.from('data')])
  const patch = from([...copies, zeros, { kind: 'data', length: 4 }])
  const floor = 64 * 1024 * 1024
  space.free = floor + 5 * old.length + 3
  stage('d-1', Buffer.from('data'))
  await t.rejects(propose(bytes, { kind: 'patch', name: 'd-1', patch }), { status: 507, message: /are kept free/ })
  t.same([made, patchings], [[], []], 'nobody is told of it')
  t.same(left(), ['a'])
  space.free++
  stage('d-1', Buffer.from('data'))
  t.match(await propose(bytes, { kind: 'patch', name: 'd-1', patch }), { kind: 'accepted' }, 'zeros take no room')
  t.equal(patchings.length, 1)
})
