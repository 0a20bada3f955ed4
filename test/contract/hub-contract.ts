// The contract of a hub, whoever stands behind it: what a replica may count on.
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { treeMark } from '../../lib/core/tree-mark.ts'
import { openStagedToSend } from '../../lib/disk/open-to-send.ts'
import { Refused } from '../../lib/errors.ts'
import type { HeadPlace, Source, SourcedProposal } from '../../lib/model/content.ts'
import { EMPTY_DIGEST, type Digest } from '../../lib/model/digest.ts'
import type { Entry, FileEntry } from '../../lib/model/entry.ts'
import { hostPath } from '../../lib/model/path.ts'
import type { TreeMove } from '../../lib/model/revision.ts'
import type { Hub, PlacedContent } from '../../lib/replica/ports.ts'
import type { FolderHub } from '../../lib/server/folder-hub.ts'
import { dir, rel, symlink } from '../support/builders.ts'
import { noise } from '../support/contents.ts'

/** A hub to be tested, and the folder behind it, to set the scene as another peer. */
export interface Subject {
  readonly hub: Hub
  readonly behind: FolderHub
}

const MIB = 1024 * 1024
const never = new AbortController().signal

/** Runs the suite; `open` makes a hub of an empty folder that ends with the test. */
export function testHub(t: Test, name: string, open: (t: Test) => Promise<Subject>): void {
  const test = (promise: string, run: (t: Test, subject: Subject, scratch: Scratch) => Promise<void>) =>
    t.test(`${name}: ${promise}`, async (t) => {
      const scratch = new Scratch(t)
      await run(t, await open(t), scratch)
    })

  test('an empty folder has no changes', async (t, { hub }) => {
    t.same(await hub.changes(0, never), { heads: [], upTo: 0, more: false })
    t.type(hub.clockOffsetMs(), 'number')
  })

  test('what is proposed is accepted in order, and is told of once', async (t, { hub }) => {
    const reply = await hub.propose([put('d', 0, dir()), put('d/l', 0, symlink('to'))], never)
    t.same(reply, {
      outcomes: [
        { kind: 'accepted', seq: 1 },
        { kind: 'accepted', seq: 2 },
      ],
      heads: [],
      prev: 0,
      upTo: 2,
    })
    const page = await hub.changes(0, never)
    t.same(
      page.heads.map(({ head }) => [head.path, head.seq, head.entry]),
      [
        ['d', 1, dir()],
        ['d/l', 2, symlink('to')],
      ],
    )
    t.match(page, { upTo: 2, more: false })
    t.match(await hub.changes(1, never), { heads: [{ head: { path: 'd/l' } }], upTo: 2, more: false })
    t.same(await hub.changes(2, never), { heads: [], upTo: 2, more: false })
  })

  test('proposed again, it is a duplicate, and nothing is added', async (t, { hub }) => {
    await hub.propose([put('d', 0, dir())], never)
    const again = await hub.propose([put('d', 0, dir())], never)
    t.match(again, { outcomes: [{ kind: 'duplicate', seq: 1 }], prev: 1, upTo: 1 })
    t.match(again.heads, [{ head: { path: 'd', seq: 1 } }], 'and the head is told')
  })

  test('a delete is a tombstone to who knew the path, and nothing to who did not', async (t, { hub }) => {
    await hub.propose([put('a', 0, dir()), put('b', 0, dir())], never)
    await hub.propose([put('a', 1, undefined)], never)
    t.same(
      (await hub.changes(2, never)).heads.map(({ head }) => [head.path, head.entry]),
      [['a', undefined]],
    )
    t.same(
      (await hub.changes(0, never)).heads.map(({ head }) => head.path),
      ['b'],
    )
  })

  test('who loses against another peer is told so, with the head that won', async (t, { hub, behind }) => {
    await hub.propose([put('l', 0, symlink('base'))], never)
    // A write counts as no earlier than the version it was made from: in the same millisecond names would decide.
    await new Promise((done) => setTimeout(done, 5))
    const now = Date.now()
    await behind.propose('other', [put('l', 1, symlink('theirs'), { writtenAtMs: now })], never)
    const reply = await hub.propose([put('l', 1, symlink('ours'), { writtenAtMs: now - 60_000 })], never)
    t.match(reply.outcomes, [{ kind: 'superseded' }])
    t.match(reply.heads, [{ head: { path: 'l', entry: symlink('theirs') } }])
    t.equal(reply.heads.length, 1)
  })

  test('a content that is not held is needed, and one that came as another is refused', async (t, { hub }) => {
    const body = Buffer.from('a body')
    t.match(await hub.propose([put('f', 0, fileOf(body))], never), { outcomes: [{ kind: 'need' }], upTo: 0 })
    await hub.depot.putPack('p1', Buffer.from('other!'), never)
    const refused = await hub.propose([put('f', 0, fileOf(body), { source: packed('p1', 0) })], never)
    t.match(refused, { outcomes: [{ kind: 'refused', status: 409 }], upTo: 0 })
  })

  test('a pack of bodies is committed and read back, each body by itself', async (t, { hub }) => {
    const bodies = ['one', 'twotwo', '', 'x'.repeat(200_000)].map((text) => Buffer.from(text))
    const pack = Buffer.concat(bodies)
    await hub.depot.putPack('p1', pack, never)
    let offset = 0
    const batch = bodies.map((body, index) => {
      const source: Source = body.length === 0 ? { kind: 'held' } : packed('p1', offset)
      offset += body.length
      return put(`f${String(index)}`, 0, fileOf(body), { source })
    })
    t.match(await hub.propose(batch, never), { outcomes: bodies.map(() => ({ kind: 'accepted' })) })
    const digests = bodies.map(digestOf)
    const places = await hub.places([...digests, digestOf(Buffer.from('unknown'))], never)
    t.equal(places.at(-1), undefined, 'what is not held has no place')
    const wanted = [3, 0, 1].map((index) => placed(bodies[index], places[index]))
    let moved = 0
    const read = await hub.depot.read(wanted, (bytes) => (moved += bytes), never)
    t.same(
      read.map((bytes) => digestOf(bytes)),
      [digests[3], digests[0], digests[1]],
      'in the order asked for',
    )
    t.equal(moved, 200_009)
    const [, head] = (await hub.changes(0, never)).heads
    t.match(head?.place, { kind: 'pack', offset: 3 }, 'changes tell where contents are')
    t.equal(digests[2], EMPTY_DIGEST)
  })

  test('of a content it is said whether it is held', async (t, { hub }) => {
    const body = Buffer.from('held')
    await hub.depot.putPack('p1', body, never)
    await hub.propose([put('f', 0, fileOf(body), { source: packed('p1', 0) })], never)
    const contents = [
      { sha256: digestOf(body), size: 4 },
      { sha256: digestOf(Buffer.from('not')), size: 3 },
      { sha256: EMPTY_DIGEST, size: 0 },
    ]
    t.same(await hub.holdings(contents, never), [{ kind: 'have' }, { kind: 'go', staged: 0 }, { kind: 'have' }])
  })

  test('a large content is streamed up and down, from any byte on', async (t, { hub }, scratch) => {
    const body = noise(9 * MIB + 17)
    const [sha256, size] = [digestOf(body), body.length]
    const name = `o-${sha256}`
    const half = scratch.file('half', body.subarray(0, 6 * MIB))
    using first = openStagedToSend(half)
    await hub.depot.putFile({ fd: first.fd, name, size: 6 * MIB, from: 0 }, () => undefined, never)
    const [holding] = await hub.holdings([{ sha256, size }], never)
    const from = holding?.kind === 'go' ? holding.staged : 0
    t.ok(from > 0 && from <= 6 * MIB, 'an upload that stopped goes on')
    let moved = 0
    using whole = openStagedToSend(scratch.file('whole', body))
    await hub.depot.putFile({ fd: whole.fd, name, size, from }, (bytes) => (moved += bytes), never)
    t.ok(moved >= size - from, 'progress is told')
    const reply = await hub.propose([put('big', 0, fileOf(body), { source: { kind: 'staged', name } })], never)
    t.match(reply.outcomes, [{ kind: 'accepted' }])
    t.same(await hub.holdings([{ sha256, size }], never), [{ kind: 'have' }])
    const [place] = await hub.places([sha256], never)
    t.same(place, { kind: 'object' })
    for (const start of [0, 1, 5 * MIB, size - 1]) {
      const target = scratch.file('down', body.subarray(0, start))
      moved = 0
      await hub.depot.readFile(placed(body, place), { place: target, from: start }, (n) => (moved += n), never)
      t.equal(digestOf(readFileSync(target)), sha256, `from byte ${String(start)}`)
      t.equal(moved, size - start)
    }
    t.ok(statSync(scratch.path('down')).mode & 0o200, 'what came can be written on')
    const sparse = scratch.file('ranges', new Uint8Array(size))
    const ranges = [
      { offset: 3, length: 5 },
      { offset: MIB, length: 4 * MIB },
      { offset: size - 7, length: 7 },
    ]
    await hub.depot.readRanges({ sha256, size }, { place: sparse, ranges }, () => undefined, never)
    const got = readFileSync(sparse)
    for (const { offset, length } of ranges) {
      t.ok(got.subarray(offset, offset + length).equals(body.subarray(offset, offset + length)), String(offset))
    }
    t.equal(got[8], 0, 'and nothing beside them')
  })

  test('a small content in a pack can be streamed too', async (t, { hub }, scratch) => {
    const pack = Buffer.from('beforeCONTENTafter')
    const body = pack.subarray(6, 13)
    await hub.depot.putPack('p1', pack, never)
    await hub.propose([put('f', 0, fileOf(body), { source: packed('p1', 6) })], never)
    const [place] = await hub.places([digestOf(body)], never)
    for (const from of [0, 3]) {
      const target = scratch.file('down', body.subarray(0, from))
      await hub.depot.readFile(placed(body, place), { place: target, from }, () => undefined, never)
      t.equal(readFileSync(target, 'utf8'), 'CONTENT')
    }
  })

  test('a content that is gone is refused', async (t, { hub }) => {
    const gone: PlacedContent = {
      sha256: digestOf(Buffer.from('gone')),
      size: 4,
      place: { kind: 'pack', pack: 'k0123', offset: 0 },
    }
    await t.rejects(
      hub.depot.read([gone], () => undefined, never),
      Refused,
    )
    await t.rejects(
      hub.depot.read([{ ...gone, place: { kind: 'object' } }], () => undefined, never),
      Refused,
    )
    t.equal(await hub.recipe(gone.sha256, never), undefined)
  })

  test('more changes than fit one page come in pages that miss nothing', async (t, { hub, behind }) => {
    const count = 4500
    const all = Array.from({ length: count }, (_, index) => put(`${'x'.repeat(100)}${String(index)}`, 0, symlink('to')))
    for (let from = 0; from < count; from += 1500) await behind.propose('other', all.slice(from, from + 1500), never)
    const paths = new Set<string>()
    let since = 0
    let pages = 0
    for (let more = true; more; pages++) {
      const page = await hub.changes(since, never)
      for (const { head } of page.heads) paths.add(head.path)
      t.ok(page.upTo > since, 'each page goes on')
      since = page.upTo
      more = page.more
    }
    t.equal(paths.size, count)
    t.equal(since, count)
    t.ok(pages > 1)
  })

  test('the move of a directory is one proposal, however much is in it, and is told of page by page', async (t, {
    hub,
    behind,
  }) => {
    const count = 9000
    const all = [
      put('d', 0, dir()),
      ...Array.from({ length: count }, (_, i) => put(`d/${'x'.repeat(80)}${String(i)}`, 0, symlink('to'))),
    ]
    for (let from = 0; from <= count; from += 1500) await behind.propose('other', all.slice(from, from + 1500), never)
    const reply = await hub.moveTrees([moveOf(behind, 'd', 'e')], never)
    const seq = count + 2
    t.same(reply, { outcomes: [{ kind: 'accepted', seq }], heads: [], prev: count + 1, upTo: seq })
    const told = new Map<string, unknown>()
    const cursors: number[] = []
    let heads = 0
    let next: number | HeadPlace = count + 1
    for (let more = true; more;) {
      const page = await hub.changes(next, never)
      for (const { head } of page.heads) {
        heads++
        told.set(head.path, head.entry)
      }
      cursors.push(page.upTo)
      more = page.more
      next = page.rest ?? page.upTo
    }
    t.same([heads, told.size], [2 * (count + 1), 2 * (count + 1)], 'each is told once')
    t.match([told.get('e'), told.get('d')], [dir(), undefined])
    t.ok(cursors.length > 1)
    t.same([...new Set(cursors)], [count + 1, seq], 'all that was told is told only when all of it was')
  })

  test('a move that the coordinator cannot take changes nothing', async (t, { hub, behind }) => {
    await hub.propose([put('d', 0, dir()), put('d/l', 0, symlink('to')), put('e', 0, dir())], never)
    const good = moveOf(behind, 'd', 'f')
    await behind.propose('other', [put('d/new', 0, symlink('new'))], never)
    const reply = await hub.moveTrees(
      [good, { ...good, to: rel('e') }, { ...good, to: rel('d/l/x') }, { ...good, base: 9 }],
      never,
    )
    t.match(
      reply.outcomes,
      [409, 409, 400, 409].map((status) => ({ kind: 'refused', status })),
    )
    t.match(reply, { prev: 4, upTo: 4 })
    const again = await hub.moveTrees([moveOf(behind, 'd', 'f'), moveOf(behind, 'e', 'g')], never)
    t.match(again.outcomes, [
      { kind: 'accepted', seq: 5 },
      { kind: 'accepted', seq: 6 },
    ])
  })

  test('names of three bytes a character fit their messages all the same', async (t, { hub, behind }) => {
    const deep = Array.from({ length: 12 }, () => '深'.repeat(80)).join('/')
    const all = Array.from({ length: 600 }, (_, index) => put(`${deep}${String(index)}`, 0, dir()))
    for (let from = 0; from < all.length; from += 100) await behind.propose('other', all.slice(from, from + 100), never)
    const paths = new Set<string>()
    for (let since = 0, more = true; more;) {
      const page = await hub.changes(since, never)
      for (const { head } of page.heads) paths.add(head.path)
      ;({ upTo: since, more } = page)
    }
    t.ok(all.every(({ proposal }) => paths.has(proposal.path)))
  })
}

/** The move of a directory as somebody proposes it who knows all that is there. */
function moveOf({ journal }: FolderHub, from: string, to: string): TreeMove {
  const base = journal.head(rel(from))?.seq ?? 0
  const mark = treeMark(rel(from), journal.liveBelow(rel(from)))
  return { from: rel(from), to: rel(to), base, mark, writtenAtMs: Date.now() }
}

/** Files of one test. */
class Scratch {
  readonly #dir = mkdtempSync(join(tmpdir(), 'ssc-'))

  constructor(t: Test) {
    t.teardown(() => {
      rmSync(this.#dir, { recursive: true, force: true })
    })
  }

  path(name: string): string {
    return join(this.#dir, name)
  }

  file(name: string, bytes: Uint8Array) {
    rmSync(this.path(name), { force: true })
    writeFileSync(this.path(name), bytes)
    return hostPath(this.path(name))
  }
}

function digestOf(bytes: Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest('hex') as Digest
}

function fileOf(body: Uint8Array): FileEntry {
  return { kind: 'file', size: body.length, mtimeNs: '1700000000000000000', mode: 0o644, sha256: digestOf(body) }
}

function packed(pack: string, offset: number): Source {
  return { kind: 'pack', pack, offset }
}

function placed(body: Uint8Array | undefined, place: PlacedContent['place'] | undefined): PlacedContent {
  if (body === undefined || place === undefined) throw new Error('no place')
  return { sha256: digestOf(body), size: body.length, place }
}

function put(
  path: string,
  base: number,
  entry: Entry | undefined,
  { source = { kind: 'held' }, writtenAtMs = Date.now() }: { source?: Source; writtenAtMs?: number } = {},
): SourcedProposal {
  return { proposal: { path: rel(path), base, entry, writtenAtMs }, source }
}
