import { renameSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fileOf, Served } from '../support/served-folder.ts'
import { rel } from '../support/builders.ts'

const content = { sha256: fileOf('precious').sha256, size: 8 }

const never = new AbortController().signal

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

t.test('contents of a pack that is away are asked for, and are held again when it is back', async (t) => {
  const served = new Served(t)
  await served.open()
  await served.push('f', 'precious')
  await served.close()
  const packs = join(served.root, '.systemsync/packs')
  renameSync(packs, `${packs}.away`)
  await served.open()
  t.same(served.hub.holdings('bob', [content]), [{ kind: 'go', staged: 0 }])
  t.same(served.hub.places([content.sha256]), [undefined])
  await served.close()
  rmdirSync(packs)
  renameSync(`${packs}.away`, packs)
  await served.open()
  t.same(served.hub.holdings('bob', [content]), [{ kind: 'have' }])
  t.equal(served.textOf('precious'), 'precious')
})

t.test('while the disk is away nothing is forgotten, whatever clients propose', async (t) => {
  const served = new Served(t)
  await served.open()
  await served.push('f', 'precious')
  await served.rest()
  renameSync(served.root, `${served.root}.away`)
  const held = { path: rel('g'), base: 0, entry: fileOf('precious'), writtenAtMs: Date.now() }
  const proposed = served.hub.propose('bob', [{ proposal: held, source: { kind: 'held' } }], never)
  await t.rejects(proposed, {
    status: 423,
    message: /"docs": it is halted on the coordinator, its directory is missing/,
  })
  renameSync(`${served.root}.away`, served.root)
  t.same(served.hub.holdings('bob', [content]), [{ kind: 'have' }])
  t.equal(served.textOf('precious'), 'precious')
})

t.test('a large content that is lost rests anew where it comes again', async (t) => {
  const served = new Served(t)
  await served.open()
  const large = 'large '.repeat(60_000)
  const { sha256, size } = fileOf(large)
  const send = async (path: string) => {
    served.stage('ann', `o-${sha256}`, large)
    const proposal = { path: rel(path), base: 0, entry: fileOf(large), writtenAtMs: Date.now() }
    const source = { kind: 'staged', name: `o-${sha256}` } as const
    return (await served.hub.propose('ann', [{ proposal, source }], never)).outcomes[0]
  }
  t.match(await send('f'), { kind: 'accepted' })
  rmSync(served.hub.store.hostPlace(sha256, { kind: 'object' }).file)
  t.same(served.hub.holdings('bob', [{ sha256, size }]), [{ kind: 'go', staged: 0 }])
  t.match(await send('g'), { kind: 'accepted' })
  t.equal(served.textOf(large), large)
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
