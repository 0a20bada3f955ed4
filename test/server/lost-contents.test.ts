import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fileOf, Served } from '../support/served-folder.ts'
import { rel } from '../support/builders.ts'

const content = { sha256: fileOf('precious').sha256, size: 8 }

function losePacks(served: Served): void {
  for (const pack of served.kept('packs')) rmSync(join(served.root, '.systemsync/packs', pack))
}

t.test('a new file whose content the coordinator has lost is asked for, not accepted without its bytes', async (t) => {
  const served = new Served(t)
  await served.open()
  t.match(await served.push('f', 'precious'), { kind: 'accepted' })
  losePacks(served)
  t.same(served.hub.holdings('bob', [content]), [{ kind: 'go', staged: 0 }])
  t.match(await served.push('g', 'precious'), { kind: 'accepted' })
  t.equal(served.textOf('precious'), 'precious')
  t.same(served.hub.holdings('bob', [content]), [{ kind: 'have' }])
})

t.test('a pack that is gone at the start is struck, and its contents are asked for again', async (t) => {
  const served = new Served(t)
  await served.open()
  await served.push('f', 'precious')
  await served.close()
  losePacks(served)
  await served.open()
  t.same(served.hub.journal.packs(), [])
  t.same(served.hub.holdings('bob', [content]), [{ kind: 'go', staged: 0 }])
})

t.test('a coordinator with another state on the same folder takes nothing from the first', async (t) => {
  const served = new Served(t)
  await served.open()
  await served.push('f', 'precious')
  await served.push('f', 'second')
  await served.rest()
  await served.close()
  const before = served.kept('packs')
  served.state = 'another'
  await served.open()
  t.same(
    served.kept('packs').filter((pack) => before.includes(pack)),
    [],
  )
  await served.rest()
  await served.close()
  served.state = 'state'
  await served.open()
  t.same(served.kept('packs'), before)
  t.equal(served.textOf('precious'), 'precious')
  t.match(served.hub.version(rel('f'), 1), { seq: 1 })
})
