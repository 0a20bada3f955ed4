import fc from 'fast-check'
import t from 'tap'
import { withoutUnused } from '../../lib/core/delta.ts'
import {
  codeOf,
  literalBytes,
  literalRuns,
  parseCode,
  patchFault,
  throughSource,
  writtenBytes,
} from '../../lib/core/patch.ts'
import { PATCH_MAX, PATCH_OPS, type PatchOp } from '../../lib/model/content.ts'
import { digestOf } from '../support/builders.ts'
import { noise, patched } from '../support/contents.ts'

const copy = (source: number, offset: number, length: number): PatchOp => ({ kind: 'copy', source, offset, length })
const data = (length: number): PatchOp => ({ kind: 'data', length })
const zero = (length: number): PatchOp => ({ kind: 'zero', length })

t.test('a step is written down and read back', async (t) => {
  for (const op of [copy(15, 0, 1), copy(0, 2 ** 40, 2 ** 41), data(7), zero(2 ** 50)])
    t.same(parseCode(codeOf(op)), op)
})

t.test('what is no step is none', async (t) => {
  const wrong = [
    0,
    1.5,
    NaN,
    Infinity,
    2 ** 53,
    '5',
    null,
    undefined,
    {},
    [],
    [0, 1],
    [0, 1, 2, 3],
    [0, 0, 0],
    [-1, 0, 1],
  ]
  for (const code of [...wrong, [0, -1, 1], [0, 0, -1], [16, 0, 1], [0, 0.5, 1], [0, 0, 2 ** 53], ['0', 0, 1]])
    t.equal(parseCode(code), undefined, JSON.stringify(code))
})

t.test('a patch that makes what it should has no fault', async (t) => {
  const patch = { sources: [digestOf(1)], ops: [copy(0, 10, 90), data(5), zero(5)] }
  t.equal(
    patchFault(patch, 100, () => 100),
    undefined,
  )
  t.equal(
    patchFault(patch, 100, () => undefined),
    undefined,
    'a source that is not known may be of any size',
  )
})

t.test('a patch that reaches outside, overflows or makes another size has a fault', async (t) => {
  const fault = (ops: readonly PatchOp[], size = 100): string | undefined =>
    patchFault({ sources: [digestOf(1)], ops }, size, () => 100)
  t.match(fault([copy(0, 1, 100)]), 'outside')
  t.match(fault([copy(0, 2 ** 53 - 1, 100)]), 'outside')
  t.match(fault([copy(0, -1, 100)]), 'outside')
  t.match(fault([copy(1, 0, 100)]), 'no source')
  t.match(fault([copy(-1, 0, 100)]), 'no source')
  t.match(fault([data(0), data(100)]), 'no length')
  t.match(fault([data(-5), data(105)]), 'no length')
  t.match(fault([data(99)]), 'size')
  t.match(fault([data(101)]), 'size')
  t.match(fault([zero(2 ** 53 - 1), zero(2 ** 53 - 1)]), 'size')
  t.match(fault([]), 'size')
  t.match(fault([zero(PATCH_MAX + 1)], PATCH_MAX + 1), 'too large')
  t.match(
    fault(
      Array.from({ length: PATCH_OPS + 1 }, () => data(1)),
      PATCH_OPS + 1,
    ),
    'too many',
  )
})

t.test('literals are counted, and found in the new content', async (t) => {
  const ops = [data(5), copy(0, 0, 10), data(7), zero(3), data(1)]
  t.equal(literalBytes(ops), 13)
  t.equal(writtenBytes(ops), 23)
  t.same(literalRuns(ops), [
    { offset: 0, length: 5 },
    { offset: 15, length: 7 },
    { offset: 25, length: 1 },
  ])
})

t.test('through the patch of a source, the same content is made of the source of the source', async (t) => {
  const first = noise(50_000, 41)
  const other = noise(50_000, 42)
  const step = fc.tuple(fc.nat(2), fc.nat(40_000), fc.integer({ min: 1, max: 9000 }))
  const opsFrom = (steps: readonly (readonly [number, number, number])[]): PatchOp[] =>
    steps.map(([kind, offset, length]) =>
      kind === 0 ? data(length) : kind === 1 ? zero(length) : copy(0, offset, length),
    )
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 5, maxLength: 20 }),
      fc.array(step, { minLength: 1, maxLength: 20 }),
      (a, b) => {
        const innerOps = opsFrom(a)
        const middle = patched(innerOps, [first], noise(200_000, 43))
        const outerOps = [
          copy(1, 5, 300),
          ...opsFrom(b).filter((op) => op.kind !== 'copy' || op.offset + op.length <= middle.length),
        ]
        const last = patched(outerOps, [middle, other], noise(200_000, 44))
        const through = throughSource({ sources: [digestOf(2), digestOf(3)], ops: outerOps }, 0, {
          sources: [digestOf(1)],
          ops: innerOps,
        })
        const places = new Map([
          [digestOf(1), first],
          [digestOf(2), middle],
          [digestOf(3), other],
        ])
        const sources = through.sources.map((sha256) => places.get(sha256) ?? Buffer.alloc(0))
        const usesMiddle = through.ops.some((op) => op.kind === 'copy' && through.sources[op.source] === digestOf(2))
        return !usesMiddle && patched(through.ops, sources, last).equals(last)
      },
    ),
    { numRuns: 60 },
  )
  t.pass()
})

t.test('a source of a source that is a source already is named once', async (t) => {
  const patch = { sources: [digestOf(2), digestOf(1)], ops: [copy(0, 0, 10), copy(1, 10, 10)] }
  t.same(throughSource(patch, 0, { sources: [digestOf(1)], ops: [copy(0, 0, 10)] }), {
    sources: [digestOf(2), digestOf(1)],
    ops: [copy(1, 0, 20)],
  })
})

t.test('a step that names no source names none afterwards, and is found out', async (t) => {
  const bad = { sources: [digestOf(1)], ops: [copy(0, 0, 10), copy(3, 0, 10)] }
  const kept = throughSource({ sources: [digestOf(2), digestOf(4)], ops: [copy(0, 0, 20), copy(1, 0, 5)] }, 0, bad)
  for (const patch of [kept, withoutUnused(kept), withoutUnused(bad)]) {
    const size = patch.ops.reduce((sum, { length }) => sum + length, 0)
    t.equal(
      patchFault(patch, size, () => undefined),
      'a step of the patch names no source',
    )
  }
})
