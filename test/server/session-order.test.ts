// What an earlier session proposed is not committed when a later one has begun: it may have proposed something newer of the same path.
import t from 'tap'
import { methodsFor, type Caller } from '../../lib/server/rpc-methods.ts'
import type { Coordinator } from '../../lib/server/coordinator.ts'
import type { RpcContext } from '../../lib/rpc/peer.ts'
import { rel } from '../support/builders.ts'
import { fileOf, put, Served } from '../support/served-folder.ts'

const never = new AbortController().signal

for (const size of ['small', 'large'] as const) {
  t.test(`a ${size} content that is verified after its session was replaced is not committed`, async (t) => {
    const text = size === 'small' ? 'old' : 'old '.repeat(100_000)
    const it = new Served(t)
    const hub = await it.open()
    await it.rest()
    const name = size === 'small' ? 'p2' : `o-${fileOf(text).sha256}`
    const source =
      size === 'small' ? ({ kind: 'pack', pack: name, offset: 0 } as const) : ({ kind: 'staged', name } as const)
    it.stage('ann', name, text)
    let isOver = false
    it.lanes.onTake = async (_job, take) => {
      const taken = await take()
      it.lanes.onTake = undefined
      isOver = true
      t.match(await it.push('f', 'new'), { kind: 'accepted' }, 'the later session is quicker')
      return taken
    }
    await t.rejects(
      hub.propose('ann', [put('f', 0, text, source)], never, () => isOver),
      { message: /another session/ },
    )
    await it.rest()
    t.match(hub.journal.head(rel('f')), { entry: fileOf('new') })
    t.equal(hub.journal.revisionsOf(rel('f')).length, 1)
    t.equal(it.kept('packs').length, 1, 'the pack is dropped')
    t.same(it.kept('staging'), [])
    t.equal(hub.journal.holds(fileOf(text).sha256), size === 'large', 'a large one need not come again')
  })
}

t.test('whatever a replaced session asks for is refused: what it moves or restores would be of an older day', (t) => {
  const member = { name: 'ann', folders: new Set(['docs']) }
  // All that is asked of either before anything is done.
  const coordinator = { isReplaced: (one: unknown) => one === member, hub: () => t.fail('it is asked for') }
  const methods = methodsFor(coordinator as unknown as Coordinator, { member } as unknown as Caller)
  const context = { signal: never } as unknown as RpcContext // none of them asks who called
  const folder = 'docs'
  for (const [name, params] of Object.entries({
    move_dir: { folder, moves: [] },
    restore: { folder, path: rel('f'), rev: null },
    req_push_file: { folder, files: [] },
    changes: { folder, since: 0, limit: 1 },
  } as const)) {
    t.throws(
      () => methods[name as keyof typeof methods].run(params, context),
      { message: /another session has begun/ },
      name,
    )
  }
  t.end()
})
