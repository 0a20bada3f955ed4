// Tuples inside messages: what is written is read back, and what is none of its kind is refused before any code sees it.

import fc from 'fast-check'
import t from 'tap'
import type { ContentPlace, PlacedHead, Source, SourcedProposal } from '../../lib/model/content.ts'
import {
  toWireDigest,
  toWireEntry,
  toWireHead,
  toWirePlace,
  toWireProposal,
  wireEntry,
  wireHead,
  wirePlace,
  wireProposal,
} from '../../lib/rpc/wire.ts'
import { anyEntry, anyName, plain } from '../store/samples.ts'
import { digestOf, file, rel } from '../support/builders.ts'

const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
// The wire takes 19 digits of nanoseconds.
const entry = fc.option(
  anyEntry.filter((one) => one.kind !== 'file' || one.mtimeNs.replace('-', '').length <= 19),
  { nil: undefined },
)
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/)
const place: fc.Arbitrary<ContentPlace> = fc.oneof(
  fc.constant<ContentPlace>({ kind: 'object' }),
  plain<ContentPlace>({ kind: fc.constant('pack' as const), pack: name, offset: fc.maxSafeNat() }),
)
const source: fc.Arbitrary<Source> = fc.oneof(
  fc.constant<Source>({ kind: 'held' }),
  plain<Source>({ kind: fc.constant('pack' as const), pack: name, offset: fc.maxSafeNat() }),
  plain<Source>({ kind: fc.constant('staged' as const), name }),
)

t.test('a head is read back as it was, whatever its path, entry and place', async (t) => {
  fc.assert(
    fc.property(anyName, fc.maxSafeNat(), entry, fc.option(place, { nil: undefined }), (path, seq, one, where) => {
      const placed: PlacedHead = { head: { path, seq, entry: one }, place: where }
      t.strictSame(wireHead.parse(overTheWire(toWireHead(placed))), placed)
    }),
    { numRuns: 100 },
  )
})

t.test('a proposal is read back as it was, whatever its source', async (t) => {
  const times = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((time) => !Object.is(time, -0))
  fc.assert(
    fc.property(anyName, fc.maxSafeNat(), entry, times, source, (path, base, one, writtenAtMs, from) => {
      const sourced: SourcedProposal = { proposal: { path, base, entry: one, writtenAtMs }, source: from }
      t.strictSame(wireProposal.parse(overTheWire(toWireProposal(sourced))), sourced)
    }),
    { numRuns: 100 },
  )
})

t.test('an entry that is none is refused, alone and inside others', async (t) => {
  const digest = toWireDigest(digestOf(1))
  t.ok(wireEntry.safeParse(['f', 1, '5', 0o644, digest]).success, 'the one that the others are made from')
  const wrong: unknown[] = [
    undefined,
    0,
    '',
    'f',
    {},
    { 0: 'd', 1: 1, length: 2 },
    [],
    ['x'],
    ['f'],
    ['f', 1, '5', 0o644],
    ['f', 1, '5', 0o644, digest, 0],
    ['f', -1, '5', 0o644, digest],
    ['f', 1.5, '5', 0o644, digest],
    ['f', 2 ** 53, '5', 0o644, digest],
    ['f', '1', '5', 0o644, digest],
    ['f', 1, 5, 0o644, digest],
    ['f', 1, '', 0o644, digest],
    ['f', 1, '5\n', 0o644, digest],
    ['f', 1, '+5', 0o644, digest],
    ['f', 1, '12345678901234567890', 0o644, digest],
    ['f', 1, '5', 0o1000, digest],
    ['f', 1, '5', -1, digest],
    ['f', 1, '5', null, digest],
    ['f', 1, '5', 0o644, null],
    ['f', 1, '5', 0o644, digest.slice(1)],
    ['f', 1, '5', 0o644, `${digest}A`],
    ['f', 1, '5', 0o644, `!${digest.slice(1)}`],
    ['d'],
    ['d', 0o1000],
    ['d', '7'],
    ['d', 7, 7],
    ['l'],
    ['l', ''],
    ['l', 5],
    ['l', 'a\0b'],
    ['l', '\ud800'],
    ['l', 'x'.repeat(4096)],
    ['l', 'x', 'x'],
  ]
  for (const one of wrong) {
    const shown = JSON.stringify(one)?.slice(0, 60) ?? 'undefined'
    t.notOk(wireEntry.safeParse(one).success, shown)
    t.notOk(wireHead.safeParse(['a', 1, one]).success, `head ${shown}`)
    t.notOk(wireProposal.safeParse(['a', 1, one, 1]).success, `proposal ${shown}`)
  }
  t.ok(wireEntry.safeParse(['l', 'x'.repeat(4095)]).success)
})

t.test('a place that is none is refused', async (t) => {
  t.same(wirePlace.parse(toWirePlace({ kind: 'object' })), { kind: 'object' })
  for (const one of [
    undefined,
    null,
    1,
    '0',
    [],
    ['k'],
    ['k', -1],
    ['k', '1'],
    ['k', 1, 1],
    ['../k', 1],
    ['.k', 1],
    ['', 1],
    [`k${'x'.repeat(80)}`, 1],
    ['k/k', 1],
    ['k\n', 1],
    [5, 1],
  ]) {
    const shown = JSON.stringify(one) ?? 'undefined'
    t.notOk(wirePlace.safeParse(one).success, shown)
    if (one !== undefined) t.notOk(wireHead.safeParse(['a', 1, null, one]).success, `head ${shown}`)
  }
})

t.test('a head or a proposal that is none is refused', async (t) => {
  const wire = toWireEntry(file(1))
  t.ok(wireHead.safeParse(['a', 1, wire]).success)
  t.ok(wireProposal.safeParse(['a', 1, wire, 1]).success)
  for (const path of ['', '/a', 'a/', 'a//b', '..', 'a/../b', '.systemsync/x', 'a\0', '\udc00', 5, null, ['a']]) {
    t.notOk(wireHead.safeParse([path, 1, wire]).success, `head at ${JSON.stringify(path)}`)
    t.notOk(wireProposal.safeParse([path, 1, wire, 1]).success, `proposal at ${JSON.stringify(path)}`)
  }
  for (const seq of [-1, 0.5, 2 ** 53, '1', null, Infinity]) {
    t.notOk(wireHead.safeParse(['a', seq, wire]).success, `head ${seq}`)
    t.notOk(wireProposal.safeParse(['a', seq, wire, 1]).success, `proposal on ${seq}`)
  }
  for (const time of [Infinity, -Infinity, NaN, '1', null]) {
    t.notOk(wireProposal.safeParse(['a', 1, wire, time]).success, `written at ${time}`)
  }
  t.notOk(wireProposal.safeParse(overTheWire(JSON.parse(`["a", 1, ${JSON.stringify(wire)}, 1e999]`))).success)
  for (const short of [undefined, {}, 'a', [], ['a'], ['a', 1]]) t.notOk(wireHead.safeParse(short).success)
  for (const short of [undefined, {}, 'a', [], ['a', 1, wire]]) t.notOk(wireProposal.safeParse(short).success)
  for (const from of [0, null, '', '.x', '../x', ['k'], ['k', -1], ['k', 1, 1], ['p', 'd-1', null], {}]) {
    t.notOk(wireProposal.safeParse(['a', 1, wire, 1, from]).success, `from ${JSON.stringify(from)}`)
    t.notOk(
      wireProposal.safeParse(['a', 1, wire, 1, 'd-1', from]).success,
      `from another, then ${JSON.stringify(from)}`,
    )
  }
  t.same(wireProposal.parse([rel('a'), 1, wire, 1, ['p', 5]]).source, { kind: 'pack', pack: 'p', offset: 5 })
})
