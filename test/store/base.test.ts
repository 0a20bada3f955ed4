import { statSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'

import type { ContentPlace, PlacedHead } from '../../lib/model/content.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { ROOT, isBelow, nameOf, parentOf, rebase } from '../../lib/model/path.ts'
import type { RelPath } from '../../lib/model/path.ts'
import type { Seq } from '../../lib/model/revision.ts'
import type { BaseRow } from '../../lib/model/snapshot.ts'
import { Base } from '../../lib/store/base.ts'
import { onEachEngine, tamper } from './engines.ts'
import type { Place } from './engines.ts'
import {
  anyEntry,
  anyName,
  anyPath,
  anyPrint,
  byBytes,
  digestOf,
  dir,
  file,
  path,
  plain,
  printOf,
  row,
} from './samples.ts'

function open({ file, engine }: Place): Base {
  return Base.open(file, { engine })
}

function waiting(at: string, seq: Seq, entry: Entry | undefined = file(at), place?: ContentPlace): PlacedHead {
  return { head: { path: path(at), seq, entry }, place }
}

function gone(at: string, seq: Seq): PlacedHead {
  return { head: { path: path(at), seq, entry: undefined }, place: undefined }
}

function byKey(a: { path: RelPath }, b: { path: RelPath }): number {
  return byBytes(parentOf(a.path), parentOf(b.path)) || byBytes(nameOf(a.path), nameOf(b.path))
}

onEachEngine(t, 'a row comes back exactly, whatever its entry and fingerprint', (t, place) => {
  using base = open(place)
  const seqs = fc.nat(2 ** 50)
  fc.assert(
    fc.property(anyName, seqs, anyEntry, anyPrint, (at, seq, entry, print) => {
      const one: BaseRow = { path: at, seq, entry, print }
      base.put([one])
      t.strictSame(base.row(at), one)
    }),
    { numRuns: 150 },
  )
})

onEachEngine(t, 'a waiting head comes back exactly, with the place of its content', (t, place) => {
  using base = open(place)
  const places = fc.oneof<fc.Arbitrary<ContentPlace | undefined>[]>(
    fc.constant(undefined),
    fc.constant({ kind: 'object' }),
    plain<ContentPlace>({ kind: fc.constant('pack' as const), pack: fc.uuid(), offset: fc.maxSafeNat() }),
  )
  fc.assert(
    fc.property(anyName, fc.option(anyEntry, { nil: undefined }), places, (at, entry, where) => {
      const head: PlacedHead = { head: { path: at, seq: 1, entry }, place: where }
      base.forget()
      base.takeIncoming([head], 1)
      t.strictSame(base.incoming(at), head)
    }),
    { numRuns: 100 },
  )
})

onEachEngine(t, 'names are text, even when they look like numbers', (t, place) => {
  using base = open(place)
  base.put([row('1e5', dir), row('1e5/007')])
  base.setFolderId('0123')
  base.setIncarnation('1e3')
  t.same(
    base.children(ROOT).map((r) => r.path),
    ['1e5'],
  )
  t.same(
    base.children(path('1e5')).map((r) => r.path),
    ['1e5/007'],
  )
  t.equal(base.folderId(), '0123')
  t.equal(base.incarnation(), '1e3')
})

onEachEngine(
  t,
  'plain prints are the fingerprints of a directory in numbers, null where a number cannot tell',
  (t, place) => {
    using base = open(place)
    const [link, huge] = [{ kind: 'link', target: 'x' } as const, file('huge')]
    base.put([
      row('d/f'),
      row('d/d', dir),
      { ...row('d/l', link), print: printOf(link, { ino: String(2n ** 63n - 1n) }) },
      { ...row('d/h', huge), print: printOf(huge, { mtimeNs: '9300000000000000000', ino: String(2n ** 64n - 1n) }) },
      { ...row('d/s'), print: printOf(file('d/s'), { ino: String(-(2n ** 63n) + 5n) }) },
      row('d/d/below'),
    ])
    const prints = base.plainPrints(path('d'))
    const numbers = (name: string): unknown[] => (prints.get(name) ?? []).slice(0, 8)
    t.same([...prints.keys()].sort(), ['d', 'f', 'h', 'l', 's'])
    const times = [1_700_000_000, 123_456_789, 1_700_000_000, 999_999_999]
    t.same(numbers('f'), [0o100644, 3, ...times, 0, 131])
    t.same(numbers('d'), [0o040755, 4096, 1_700_000_000, 1, 1_700_000_000, 999_999_999, 0, 131])
    t.same(numbers('l').slice(6), [2 ** 31 - 1, 2 ** 32 - 1])
    t.equal(numbers('l')[0], 0o120777)
    t.same(numbers('s').slice(6), [2 ** 31, 5], 'the halves of an inode have no sign')
    t.equal(numbers('h')[2], null)
    t.equal(numbers('h')[6], null)
  },
)

onEachEngine(t, 'children are those right in a directory; below is everything, parents first', (t, place) => {
  using base = open(place)
  const all = ['a', 'a/b', 'a/b/c', 'a/b/c/d', 'a-', 'a-/x', 'a0', 'a0/y', 'ab', 'b']
  base.put(all.map((at) => row(at, dir)))
  t.same(
    base.children(path('a')).map((r) => r.path),
    ['a/b'],
  )
  t.same(
    [...base.below(path('a'))].map((r) => r.path),
    ['a/b', 'a/b/c', 'a/b/c/d'],
  )
  t.same([...base.below(ROOT)].map((r) => r.path).sort(), [...all].sort())
  t.ok(base.hasBelow(ROOT))
  t.ok(base.hasBelow(path('a/b')))
  t.notOk(base.hasBelow(path('ab')))
  base.remove([path('a/b')])
  t.ok(base.hasBelow(path('a')), 'even when the row between is missing')
})

onEachEngine(t, 'a walk of many pages sees each row once, and may remove as it goes', (t, place) => {
  using base = open(place)
  base.put(Array.from({ length: 2300 }, (_, i) => row(i % 2 === 0 ? `d/${i}` : `d/e/${i}`)))
  const seen = new Set<string>()
  for (const found of base.below(path('d'))) {
    if (seen.has(found.path)) t.fail(found.path)
    seen.add(found.path)
    base.remove([found.path])
  }
  t.equal(seen.size, 2300)
  t.equal(base.count(), 0)
})

onEachEngine(t, 'local files are found by their content', (t, place) => {
  using base = open(place)
  base.put([row('a', file('same')), row('b', file('same')), row('c', file('other')), row('d', dir)])
  t.same(
    base
      .holding(digestOf('same'), 9)
      .map((r) => r.path)
      .sort(),
    ['a', 'b'],
  )
  t.equal(base.holding(digestOf('same'), 1).length, 1)
  t.ok(base.holds(digestOf('other')))
  base.put([row('c', file('changed'))])
  t.notOk(base.holds(digestOf('other')))
  t.same(base.holding(digestOf('other'), 9), [])
})

onEachEngine(t, 'a directory takes everything below it along, and what was in the way is forgotten', (t, place) => {
  using base = open(place)
  base.put(['a', 'a/b', 'a/b/c', 'a-/x', 'to', 'to/old', 'to/old/er'].map((at) => row(at)))
  t.equal(base.moveTree(path('a'), path('to'), 9), 3)
  t.same([...base.below(ROOT)].map((r) => `${r.path} ${r.seq}`).sort(), ['a-/x 1', 'to 9', 'to/b 9', 'to/b/c 9'])
  t.equal(base.count(), 4)
  t.equal(base.moveTree(path('gone'), path('else'), 10), 0)
})

onEachEngine(t, 'a directory cannot be moved onto, into or over itself', (t, place) => {
  using base = open(place)
  base.put([row('a/b')])
  for (const [from, to] of [
    ['a', 'a'],
    ['a', 'a/b'],
    ['a/b', 'a'],
  ] as const) {
    t.throws(() => base.moveTree(path(from), path(to), 2), /overlap/)
  }
  t.ok(base.row(path('a/b')))
})

onEachEngine(t, 'any puts, removals and moves leave what a plain map would hold', (t, place) => {
  using base = open(place)
  const step = fc.oneof(
    fc.record({ do: fc.constant('put' as const), paths: fc.array(anyPath, { maxLength: 5 }) }),
    fc.record({ do: fc.constant('remove' as const), paths: fc.array(anyPath, { maxLength: 3 }) }),
    fc.record({ do: fc.constant('move' as const), from: anyPath, to: anyPath }),
    fc.record({ do: fc.constant('fail' as const), paths: fc.array(anyPath, { maxLength: 3 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.boolean(), anyPath, (steps, counts, somewhere) => {
      base.forget()
      if (counts) base.count()
      const model = new Map<RelPath, BaseRow>()
      let seq = 0
      for (const one of steps) {
        seq++
        switch (one.do) {
          case 'put':
            base.put(one.paths.map((at) => row(at, file(`${seq}`), seq)))
            for (const at of one.paths) model.set(at, row(at, file(`${seq}`), seq))
            break
          case 'remove':
            base.remove(one.paths)
            for (const at of one.paths) model.delete(at)
            break
          case 'move':
            move(model, base, one.from, one.to, seq)
            break
          case 'fail':
            t.throws(() => {
              base.transaction(() => {
                base.put(one.paths.map((at) => row(at)))
                base.forget()
                throw new Error('stop')
              })
            }, /stop/)
            break
          default:
            one satisfies never
        }
      }
      const expected = [...model.values()].sort(byKey)
      t.strictSame([...base.below(ROOT)], expected)
      t.strictSame(
        [...base.below(somewhere)],
        expected.filter((r) => isBelow(somewhere, r.path)),
      )
      t.equal(
        base.hasBelow(somewhere),
        expected.some((r) => isBelow(somewhere, r.path)),
      )
      t.equal(base.count(), model.size)
      t.strictSame(base.row(somewhere), model.get(somewhere))
    }),
    { numRuns: 60 },
  )
})

onEachEngine(t, 'many at once do and find what one at a time would', (t, place) => {
  using base = open(place)
  using single = open({ ...place, file: `${place.file}-single` })
  // Up to more than two statements of the longest kind, with what is left over for the shorter ones.
  const some = fc.array(fc.oneof(anyPath, anyName), { maxLength: 150, size: 'max' })
  const step = fc.record({
    do: fc.constantFrom('put' as const, 'remove' as const, 'take' as const, 'drop' as const),
    paths: some,
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), some, fc.nat(7), (steps, asked, bound) => {
      base.forget()
      single.forget()
      const touched = new Set(asked)
      steps.forEach((one, index) => {
        const heads = one.paths.map((at, i) => ({
          path: at,
          seq: (index * 5 + i) % 8,
          entry: i % 3 === 0 ? undefined : file(at),
        }))
        for (const at of one.paths) touched.add(at)
        if (one.do === 'put') base.put(one.paths.map((at) => rowAt(at, index)))
        if (one.do === 'remove') base.remove(one.paths)
        if (one.do === 'take')
          base.takeIncoming(
            heads.map((head) => ({ head, place: undefined })),
            index,
          )
        if (one.do === 'drop') base.dropIncomings(one.paths.map((at) => ({ path: at, seq: bound })))
        for (const [i, at] of one.paths.entries()) {
          const head = heads[i]
          if (one.do === 'put') single.put([rowAt(at, index)])
          if (one.do === 'remove') single.remove([at])
          if (one.do === 'take' && head !== undefined) single.takeIncoming([{ head, place: undefined }], index)
          if (one.do === 'drop') single.dropIncoming(at, bound)
        }
      })
      const found = (read: (at: RelPath) => unknown): Map<RelPath, unknown> =>
        new Map([...touched].flatMap((at) => (read(at) === undefined ? [] : [[at, read(at)] as const])))
      t.strictSame(byPath(base.rows(touched)), byPath(found((at) => single.row(at))))
      t.strictSame(byPath(base.incomings(touched)), byPath(found((at) => single.incoming(at))))
      t.strictSame([...base.below(ROOT)], [...single.below(ROOT)])
      t.strictSame(base.incomingAfter(undefined, 999), single.incomingAfter(undefined, 999))
      t.strictSame(base.incomingCount(), single.incomingCount())
      t.equal(base.count(), single.count())
    }),
    { numRuns: 25 },
  )
})

onEachEngine(t, 'a path asked for twice, or not known, does no harm', (t, place) => {
  using base = open(place)
  base.put([row('a'), row('b')])
  const asked = [...Array.from({ length: 70 }, () => path('a')), path('none')]
  t.strictSame(base.rows(asked), new Map([[path('a'), row('a')]]))
  t.strictSame(base.rows([]), new Map())
  t.strictSame(base.incomings(asked), new Map())
})

onEachEngine(t, 'heads are dropped all at once, or none when it fails', (t, place) => {
  using base = open(place)
  base.takeIncoming([waiting('a', 3), waiting('b', 4)], 4)
  t.throws(() => {
    base.dropIncomings([{ path: path('a'), seq: 3 }, null as never])
  })
  t.equal(base.incomingCount().count, 2)
  base.dropIncomings([
    { path: path('a'), seq: 3 },
    { path: path('b'), seq: 3 },
  ])
  t.same([...base.incomings([path('a'), path('b')]).keys()], ['b'])
  t.equal(base.incomingCount().count, 1)
})

function rowAt(at: RelPath, seq: Seq): BaseRow {
  const entry = seq % 3 === 0 ? dir : file(`${at} ${seq}`)
  return { path: at, seq, entry, print: printOf(entry) }
}

function byPath<T>(found: ReadonlyMap<RelPath, T>): [RelPath, T][] {
  return [...found].sort(([a], [b]) => byBytes(a, b))
}

function move(model: Map<RelPath, BaseRow>, base: Base, from: RelPath, to: RelPath, seq: Seq): void {
  if (from === to || isBelow(from, to) || isBelow(to, from)) return
  base.moveTree(from, to, seq)
  for (const at of [...model.keys()]) if (at === to || isBelow(to, at)) model.delete(at)
  for (const [at, old] of [...model]) {
    if (at !== from && !isBelow(from, at)) continue
    model.delete(at)
    const now = rebase(at, from, to)
    model.set(now, { ...old, path: now, seq })
  }
}

onEachEngine(t, 'heads that wait arrive with the cursor, and the newer one of a path counts', (t, place) => {
  using base = open(place)
  t.equal(base.cursor(), 0)
  base.takeIncoming([waiting('a', 3), waiting('b', 4)], 4)
  base.takeIncoming([gone('a', 2), gone('b', 5)], 5)
  t.equal(base.cursor(), 5)
  t.same(base.incoming(path('a'))?.head, { path: 'a', seq: 3, entry: file('a') })
  t.same(base.incoming(path('b'))?.head, { path: 'b', seq: 5, entry: undefined })
  t.equal(base.incoming(path('c')), undefined)
})

onEachEngine(t, 'heads and cursor are taken together or not at all', (t, place) => {
  using base = open(place)
  const broken = { path: path('b'), seq: 2, entry: { ...file('b'), mode: undefined as never } }
  t.throws(() => {
    base.takeIncoming([waiting('a', 1), { head: broken, place: undefined }, ...[null as never]], 2)
  })
  t.equal(base.cursor(), 0)
  t.same(base.incomingAfter(undefined, 9), [])
  t.same(base.incomingCount(), { count: 0, bytes: 0 })
})

onEachEngine(t, 'waiting heads are listed in pages, a directory before what is in it', (t, place) => {
  using base = open(place)
  const all = ['z', 'a', 'a/x', 'a/x/y', 'a-', 'a0/q'].map((at, i) => waiting(at, i + 1))
  base.takeIncoming(all, 9)
  const listed: RelPath[] = []
  for (let page = base.incomingAfter(undefined, 2); page.length > 0; page = base.incomingAfter(listed.at(-1), 2)) {
    listed.push(...page.map((p) => p.head.path))
  }
  t.same(listed, ['a', 'a-', 'z', 'a/x', 'a/x/y', 'a0/q'])
  t.same(
    base.incomingBelow(path('a'), 9).map((p) => p.head.path),
    ['a/x', 'a/x/y'],
  )
  t.same(
    base.incomingBelow(path('a'), 1).map((p) => p.head.path),
    ['a/x'],
  )
  t.equal(base.incomingBelow(ROOT, 9).length, 6)
})

onEachEngine(t, 'a waiting head is dropped, unless a newer one has come', (t, place) => {
  using base = open(place)
  base.takeIncoming([waiting('a', 3, file('four')), gone('b', 4), waiting('c', 5, dir)], 5)
  t.same(base.incomingCount(), { count: 3, bytes: 4 })
  base.dropIncoming(path('a'), 2)
  t.same(base.incomingCount(), { count: 3, bytes: 4 })
  base.dropIncoming(path('a'), 3)
  base.dropIncoming(path('a'), 3)
  base.dropIncoming(path('b'), 4)
  t.same(base.incomingCount(), { count: 1, bytes: 0 })
  t.equal(base.incoming(path('a')), undefined)
  base.takeIncoming([waiting('a', 6, file('sixth'))], 6)
  t.same(base.incomingCount(), { count: 2, bytes: 5 })
})

onEachEngine(t, 'everything is there after reopening', (t, place) => {
  const first = open(place)
  first.put([row('a')])
  first.takeIncoming([waiting('b', 7)], 7)
  first.setFolderId('f')
  first.close()
  using base = open(place)
  t.strictSame(base.row(path('a')), row('a'))
  t.equal(base.count(), 1)
  t.equal(base.cursor(), 7)
  t.equal(base.incomingCount().count, 1)
  t.equal(base.folderId(), 'f')
  t.equal(base.incarnation(), undefined)
})

onEachEngine(t, 'a lost agreement is forgotten, the ids are not', (t, place) => {
  using base = open(place)
  base.put([row('a')])
  base.takeIncoming([waiting('b', 7)], 7)
  base.setFolderId('f')
  base.setIncarnation('i')
  base.forget()
  t.same([base.count(), base.cursor(), base.incomingCount().count], [0, 0, 0])
  t.same([...base.below(ROOT)], [])
  t.same([base.folderId(), base.incarnation()], ['f', 'i'])
})

onEachEngine(t, 'a reader sees what the writer has kept, and cannot write', (t, place) => {
  using base = open(place)
  base.put([row('a')])
  using reader = Base.open(place.file, { engine: place.engine, readOnly: true })
  t.equal(reader.count(), 1)
  base.put([row('b')])
  base.takeIncoming([waiting('c', 2)], 2)
  t.equal(reader.count(), 2)
  t.equal(reader.incomingCount().count, 1)
  t.throws(
    () => {
      reader.put([row('c')])
    },
    { code: 'DATABASE_UNUSABLE' },
  )
})

onEachEngine(t, 'a row without an entry, or with a short digest, is damage', (t, place) => {
  const { engine, file } = place
  open(place).close()
  const wrong = [
    `INSERT INTO base (parent, name, seq, kind, mode, ino, ctime_ns, print_size, print_mtime_ns) VALUES ('', 'a', 1, 9, 0, 1, 1, 1, 1)`,
    `INSERT OR REPLACE INTO base (parent, name, seq, kind, size, mtime_ns, mode, sha256, ino, ctime_ns) VALUES ('', 'a', 1, 1, 1, 1, 0, x'00', 1, 1)`,
    `INSERT OR REPLACE INTO base (parent, name, seq, kind, size, mtime_ns, mode, sha256, ino, ctime_ns) VALUES ('', 'a', 1, 1, 1, 1, 0, NULL, 1, 1)`,
    `INSERT OR REPLACE INTO base (parent, name, seq, kind, target, ino, ctime_ns) VALUES ('', 'a', 1, 3, NULL, 1, 1)`,
  ]
  for (const sql of wrong) {
    tamper(place, sql)
    using base = Base.open(file, { engine })
    t.throws(() => base.row(path('a')), { code: 'DATABASE_DAMAGED', message: file })
  }
})

onEachEngine(t, 'a hundred thousand rows would take some 25 MB', (t, place) => {
  using base = open(place)
  const print = { ino: '123456', ctimeNs: '1700000001123456789' }
  const rows = Array.from({ length: 5000 }, (_, i) => {
    const entry = file(`content ${i}`)
    return { ...row(`projects/some-name/src/part-${i % 50}/module-${i}.ts`, entry), print: printOf(entry, print) }
  })
  base.put(rows)
  base.close()
  const bytesPerRow = statSync(place.file).size / rows.length
  t.ok(bytesPerRow < 280, `${Math.round(bytesPerRow)} bytes a row`)
})

onEachEngine(t, 'what is agreed on and was not listed is found, page by page, by byte-exact names', (t, place) => {
  using base = open(place)
  const names = ['a', 'a/b', 'a/b/c', 'A', 'é', 'e\u0301', 'x\ny']
  base.put(names.map((name) => row(name, file(name))))
  const found = (listed: readonly string[], limit: number): RelPath[] => {
    using listing = base.list()
    base.transaction(() => {
      listing.add(listed.map(path))
      listing.add(listed.map(path))
    })
    const all: RelPath[] = []
    for (let page = listing.missing(undefined, limit); page.length > 0; page = listing.missing(all.at(-1), limit))
      all.push(...page)
    return all
  }
  for (const limit of [1, 2, 100]) {
    t.same(
      new Set(found(['a', 'A', 'é', 'not there'], limit)),
      new Set(['a/b', 'a/b/c', 'e\u0301', 'x\ny']),
      String(limit),
    )
    t.same(found(names, limit), [], 'a list begins empty')
  }
})

onEachEngine(t, 'all that waits can be dropped at once', (t, place) => {
  using base = open(place)
  base.takeIncoming([waiting('a', 3), gone('b', 4)], 4)
  t.equal(base.incomingCount().count, 2)
  base.dropAllIncoming()
  t.equal(base.incomingCount().count, 0)
  t.equal(base.incoming(path('a')), undefined)
  t.equal(base.cursor(), 4)
})
