import t from 'tap'
import { FolderState, type ReplicaParts } from '../../lib/replica/folder-state.ts'
import type { PlacedHead } from '../../lib/model/content.ts'
import { rel } from '../support/builders.ts'

function heads(from: number, count: number): PlacedHead[] {
  return Array.from({ length: count }, (_, index) => ({
    head: { path: rel(`f${String(from + index)}`), seq: from + index, entry: undefined },
    place: undefined,
  }))
}

t.test('heads that keep coming while others are applied are named only up to a thousand', async (t) => {
  const base = { takeIncoming: () => undefined }
  const state = new FolderState({ base } as unknown as ReplicaParts)
  state.takeHeads(heads(1, 600), 600)
  t.equal(state.fresh !== 'all' && state.fresh.size, 600)
  state.takeHeads(heads(601, 400), 1000)
  t.equal(state.fresh !== 'all' && state.fresh.size, 1000)
  state.takeHeads(heads(1001, 1), 1001)
  t.equal(state.fresh, 'all')
  state.takeHeads(heads(1002, 10), 1011)
  t.equal(state.fresh, 'all', 'until they have been searched for')
})
