import { existsSync, utimesSync } from 'node:fs'
import t from 'tap'
import { maintain } from '../../lib/server/maintain.ts'
import { rel } from '../support/builders.ts'
import { Served, fileOf, put } from '../support/served-folder.ts'

const DAY_MS = 86_400_000
type Versions = Parameters<typeof maintain>[1]['versions']

function keep(served: Served, versions: Versions, { passed = 0 } = {}) {
  return maintain(served.hub, { versions, nowMs: Date.now() + served.aheadMs, passed })
}

/** Whether the bytes of a text are still on the disk, wherever the journal says. */
function isHeld(served: Served, text: string): boolean {
  return served.hub.journal.place(fileOf(text).sha256) !== undefined && served.textOf(text) === text
}

async function aFolder(t: ConstructorParameters<typeof Served>[0]): Promise<Served> {
  const served = new Served(t)
  await served.open()
  return served
}

t.test('days: what was superseded longer ago goes, with its bytes; what lives and what is younger stays', async (t) => {
  const served = await aFolder(t)
  await served.push('f', 'one')
  await served.push('untouched', 'never edited')
  await served.push('f', 'two')
  served.aheadMs = 5 * DAY_MS
  await served.push('f', 'three')
  await served.push('gone', 'deleted')
  await served.remove('gone')
  const packs = served.kept('packs').length
  t.same(keep(served, { kind: 'days', days: 7 }), { revisions: 0, contents: 0 })
  served.aheadMs = 8 * DAY_MS
  t.same(keep(served, { kind: 'days', days: 7 }), { revisions: 1, contents: 1 })
  t.notOk(isHeld(served, 'one'))
  t.equal(served.kept('packs').length, packs - 1, 'its pack is unlinked')
  for (const text of ['two', 'three', 'deleted', 'never edited']) t.ok(isHeld(served, text), text)
  served.aheadMs = 400 * DAY_MS
  keep(served, { kind: 'days', days: 7 })
  for (const text of ['two', 'deleted']) t.notOk(isHeld(served, text), text)
  for (const text of ['three', 'never edited']) t.ok(isHeld(served, text), `${text} is a head: it never goes`)
  t.same(
    served.kept('packs'),
    served.hub.journal
      .packs()
      .map(({ id }) => id)
      .sort(),
  )
})

t.test('count: so many versions of each path stay, however old', async (t) => {
  const served = await aFolder(t)
  for (const text of ['one', 'two', 'three', 'four']) await served.push('f', text)
  await served.push('g', 'alone')
  served.aheadMs = 1000 * DAY_MS
  t.same(keep(served, { kind: 'count', count: 2 }), { revisions: 1, contents: 1 })
  t.notOk(isHeld(served, 'one'))
  for (const text of ['two', 'three', 'four', 'alone']) t.ok(isHeld(served, text), text)
  t.same(keep(served, { kind: 'count', count: 2 }), { revisions: 0, contents: 0 }, 'once is enough')
})

t.test('none keeps only what lives; all keeps everything', async (t) => {
  const served = await aFolder(t)
  for (const text of ['one', 'two']) await served.push('f', text)
  served.aheadMs = 1000 * DAY_MS
  t.same(keep(served, { kind: 'all' }), { revisions: 0, contents: 0 })
  t.same(keep(served, { kind: 'none' }), { revisions: 1, contents: 1 })
  t.notOk(isHeld(served, 'one'))
  t.ok(isHeld(served, 'two'))
})

t.test('the loser of a collision stays thirty days, whichever side lost', async (t) => {
  for (const [winner, laterMs] of [
    ['bob', 1000],
    ['ann', -1000],
  ] as const) {
    const served = await aFolder(t)
    const now = Date.now()
    await served.push('f', 'base', { writtenAtMs: now - 60_000 })
    const base = served.headSeq('f')
    await served.push('f', 'by ann', { base, writtenAtMs: now - 10_000 })
    await served.push('f', 'by bob', { peer: 'bob', base, writtenAtMs: now - 10_000 + laterMs })
    const [collision] = served.hub.journal.collisions()
    t.equal(collision?.winner.peer, winner)
    const loser = winner === 'ann' ? 'by bob' : 'by ann'
    for (const versions of [{ kind: 'none' }, { kind: 'count', count: 0 }] as const) {
      served.aheadMs = 29 * DAY_MS
      keep(served, versions)
      t.ok(isHeld(served, loser), `${versions.kind}: ${loser} is there after 29 days`)
      t.equal(served.hub.journal.collisions().length, 1, 'and so is the record of the collision')
    }
    served.aheadMs = 31 * DAY_MS
    keep(served, { kind: 'none' })
    t.notOk(isHeld(served, loser))
    t.same(served.hub.journal.collisions(), [])
    t.ok(isHeld(served, `by ${winner}`))
  }
})

t.test('a content that any kept revision names stays', async (t) => {
  const served = await aFolder(t)
  await served.push('f', 'shared')
  await served.push('f', 'other')
  await served.push('copy', 'shared')
  served.aheadMs = DAY_MS
  keep(served, { kind: 'none' })
  t.ok(isHeld(served, 'shared'), 'it lives on under another name')
  await served.remove('copy')
  served.aheadMs = 2 * DAY_MS
  keep(served, { kind: 'none' }, { passed: served.hub.journal.seq() })
  t.notOk(isHeld(served, 'shared'))
})

t.test('a large content is an object: it is unlinked when it goes', async (t) => {
  const served = await aFolder(t)
  const text = 'x'.repeat(300_000)
  const { sha256 } = fileOf(text)
  served.stage('ann', 'o-1', text)
  const proposal = { path: rel('big'), base: 0, entry: fileOf(text), writtenAtMs: Date.now() }
  await served.hub.propose('ann', [{ proposal, source: { kind: 'staged', name: 'o-1' } }], new AbortController().signal)
  await served.rest()
  const object = `${served.root}/.systemsync/objects/${sha256.slice(0, 2)}/${sha256}`
  t.ok(existsSync(object))
  await served.push('big', 'small now')
  await served.rest()
  keep(served, { kind: 'none' })
  t.notOk(existsSync(object))
  t.equal(served.textOf('small now'), 'small now')
})

t.test('tombstones go when everyone has passed them, and not before', async (t) => {
  const served = await aFolder(t)
  await served.push('f', 'text')
  await served.remove('f')
  await served.push('g', 'after')
  const [dead, now] = [served.headSeq('f'), served.hub.journal.seq()]
  keep(served, { kind: 'all' }, { passed: dead - 1 })
  t.equal(served.headSeq('f'), dead, 'someone has not passed it')
  keep(served, { kind: 'all' }, { passed: now })
  t.equal(served.headSeq('f'), 0)
  t.equal(served.hub.journal.revisionsOf(rel('f')).length, 2, 'its history stays as long as history is kept')
  t.match(await served.push('f', 'again'), { kind: 'accepted' }, 'and the path can be used again')
  t.ok(isHeld(served, 'after'))
})

t.test('what a death between journal and disk left over goes the next time', async (t) => {
  const served = await aFolder(t)
  await served.push('f', 'one')
  await served.push('f', 'two')
  const { journal } = served.hub
  const dropped = journal.place(fileOf('one').sha256)?.place
  t.equal(dropped?.kind, 'pack')
  journal.deleteRevisions([1])
  journal.forgetContent([fileOf('one').sha256])
  t.equal(served.kept('packs').length, 2, 'forgotten, not yet unlinked')
  keep(served, { kind: 'all' })
  t.equal(served.kept('packs').length, 1)
  t.ok(isHeld(served, 'two'))
})

t.test('an upload that nobody went on with for a week is given up', async (t) => {
  const served = await aFolder(t)
  served.stage('ann', 'o-old', 'half')
  served.stage('ann', 'o-new', 'half')
  const place = `${served.hub.store.stagingOf('ann')}/o-old`
  const weekAgo = Date.now() / 1000 - 7 * 86_400 - 60
  utimesSync(place, weekAgo, weekAgo)
  keep(served, { kind: 'all' })
  t.same(served.kept('staging'), ['o-new'])
})

t.test('an upload of what came from elsewhere meanwhile is not kept', async (t) => {
  const served = await aFolder(t)
  const text = 'x'.repeat(300_000)
  const name = `o-${fileOf(text).sha256}`
  const signal = new AbortController().signal
  served.stage('ann', name, text)
  served.stage('bob', name, text)
  const outcomes = ['ann', 'bob'].map((peer) =>
    served.hub.propose(peer, [put(`by ${peer}`, 0, text, { kind: 'staged', name })], signal),
  )
  t.match(await Promise.all(outcomes), [{ outcomes: [{ kind: 'accepted' }] }, { outcomes: [{ kind: 'accepted' }] }])
  served.stage('bob', name, text)
  t.match(await served.hub.propose('bob', [put('again', 0, text, { kind: 'staged', name })], signal), {
    outcomes: [{ kind: 'accepted' }],
  })
  await served.rest()
  t.same(served.kept('staging'), [])
  t.equal(served.textOf(text), text)
})
