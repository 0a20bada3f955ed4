// Patches inside messages: what is written is read back, and what is hostile is refused before any code sees it.

import t from 'tap'
import type { Patch, SourcedProposal } from '../../lib/model/content.ts'
import { toCoordinator } from '../../lib/rpc/contract.ts'
import { toWireDigest, toWirePatch, toWireProposal, wirePatch, wireProposal } from '../../lib/rpc/wire.ts'
import { digestOf, file, rel } from '../support/builders.ts'

const patch: Patch = {
  sources: [digestOf(1), digestOf(2)],
  ops: [
    { kind: 'copy', source: 1, offset: 5, length: 2 ** 40 },
    { kind: 'data', length: 3 },
    { kind: 'zero', length: 4096 },
  ],
}
const wire = (ops: unknown, sources: unknown = [toWireDigest(digestOf(1))]): unknown => [sources, ops]

t.test('a proposal with a patch is read back as it was', async (t) => {
  const proposal = { path: rel('a'), base: 3, entry: file(1), writtenAtMs: 1.5 }
  for (const name of ['d-1', undefined]) {
    const sourced: SourcedProposal = { proposal, source: { kind: 'patch', name, patch } }
    t.same(wireProposal.parse(JSON.parse(JSON.stringify(toWireProposal(sourced)))), sourced)
  }
})

t.test('an answer with a patch is read back as it was', async (t) => {
  const answer = { patch: toWirePatch(patch) }
  t.same(toCoordinator.recipe.result.parse(JSON.parse(JSON.stringify(answer))), { patch })
  t.same(toCoordinator.recipe.result.parse({ patch: null }), { patch: null })
})

t.test('a patch of many steps fits one message', async (t) => {
  const ops = Array.from({ length: 5000 }, () => ({
    kind: 'copy' as const,
    source: 15,
    offset: 2 ** 34,
    length: 2 ** 34,
  }))
  t.ok(JSON.stringify(toWirePatch({ sources: [], ops })).length < 512 * 1024)
})

t.test('hostile steps are refused', async (t) => {
  for (const ops of [
    [],
    [0],
    [1.5],
    [2 ** 53],
    ['5'],
    [null],
    [[0, 0]],
    [[0, 0, 0]],
    [[0, -1, 5]],
    [[-1, 0, 5]],
    [[16, 0, 5]],
    [[0, 0, -5]],
    [[0, 0, 5, 5]],
    [[0, 2 ** 60, 5]],
    [{ kind: 'zero', length: 5 }],
    Array.from({ length: 5001 }, () => 1),
    'x',
  ])
    t.notOk(wirePatch.safeParse(wire(ops)).success, JSON.stringify(ops).slice(0, 60))
  t.ok(wirePatch.safeParse(wire([5])).success, 'a harmless one is not')
})

t.test('hostile sources and names are refused', async (t) => {
  t.notOk(wirePatch.safeParse(wire([5], ['x'])).success)
  t.notOk(
    wirePatch.safeParse(
      wire(
        [5],
        Array.from({ length: 17 }, () => toWireDigest(digestOf(1))),
      ),
    ).success,
  )
  const tuple = ['a', 0, null, 0]
  for (const name of ['../x', '.', 'a/b', '', 5])
    t.notOk(wireProposal.safeParse([...tuple, ['p', name, toWirePatch(patch)]]).success, String(name))
  t.notOk(wireProposal.safeParse([...tuple, ['p', 'd-1']]).success)
})
