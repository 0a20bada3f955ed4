import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { rel } from '../support/builders.ts'
import { mortalDisk } from '../support/mortal-disk.ts'
import { fileOf, Served } from '../support/served-folder.ts'
import { JOURNAL_SCHEMA } from '../../lib/store/journal-schema.ts'
import { openDatabase } from '../../lib/store/database.ts'

/** As a version left it that gave no names to journals. */
function forgetNames(served: Served): void {
  const file = join(served.root, '../state/folders/docs/journal.db')
  const journal = openDatabase(file, JOURNAL_SCHEMA, { sync: 'full' })
  journal.run("DELETE FROM meta WHERE key = 'ownName'")
  journal.close()
  rmSync(join(served.root, '.systemsync/journal'))
}

/** A folder with two versions of a file, closed; as it was before journals had names unless `isNamed`. */
async function filled(served: Served, { isNamed }: { readonly isNamed: boolean }): Promise<void> {
  await served.open()
  await served.push('f', 'precious')
  await served.push('f', 'second')
  await served.rest()
  await served.close()
  if (!isNamed) forgetNames(served)
}

/** Opens the folder with a disk that dies after so many changes in it; whether it died. */
async function openMortal(served: Served, diesAfter: number): Promise<boolean> {
  using disk = mortalDisk({ diesAfter, below: served.root })
  await served.open().catch((error: unknown) => {
    if (error !== disk.death) throw error
  })
  await served.close()
  return disk.isDead
}

const precious = { sha256: fileOf('precious').sha256, size: 8 }

for (const isNamed of [true, false]) {
  const what = isNamed ? 'a journal with a name' : 'the first start of a version that names journals'
  t.test(`${what} that died at any step of its start finds all its contents again`, async (t) => {
    let step = 0
    for (let isDead = true; isDead; step++) {
      const served = new Served(t)
      await filled(served, { isNamed })
      isDead = await openMortal(served, step)
      const hub = await served.open()
      t.same(hub.holdings('bob', [precious]), [{ kind: 'have' }], `after ${String(step)} steps`)
      t.equal(served.textOf('second'), 'second')
      t.match(hub.version(rel('f'), 1), { seq: 1 })
      await served.close()
    }
    t.ok(step > 1, `${String(step)} steps`)
  })

  t.test(`${what} beside another state that died at any step leaves both whole`, async (t) => {
    let step = 0
    for (let isDead = true; isDead; step++) {
      const served = new Served(t)
      await filled(served, { isNamed })
      served.state = 'another'
      isDead = await openMortal(served, step)
      await served.open()
      t.match(await served.push('g', 'of the other'), { kind: 'accepted' })
      await served.rest()
      await served.close()
      served.state = 'state'
      isDead = (await openMortal(served, step)) || isDead
      const hub = await served.open()
      t.same(hub.holdings('bob', [precious]), [{ kind: 'have' }], `after ${String(step)} steps`)
      await served.close()
      served.state = 'another'
      await served.open()
      t.equal(served.textOf('of the other'), 'of the other')
      await served.close()
    }
    t.ok(step > 3, `${String(step)} steps`)
  })
}

t.test('a store without an owner that was set aside for another state comes back with its own', async (t) => {
  const served = new Served(t)
  await filled(served, { isNamed: false })
  served.state = 'another'
  await served.open()
  await served.rest()
  await served.close()
  t.ok(existsSync(`${served.root}/.systemsync/kept-unknown`))
  served.state = 'state'
  const hub = await served.open()
  t.same(hub.holdings('bob', [precious]), [{ kind: 'have' }])
  t.notOk(existsSync(`${served.root}/.systemsync/kept-unknown`))
})
