// Packs that were taken, and then nothing came of them.
import t, { type Test } from 'tap'
import { put, Served, fileOf } from '../support/served-folder.ts'
import { rel } from '../support/builders.ts'

const never = new AbortController().signal
const inPack = (path: string, text: string, pack: string, offset = 0) =>
  put(path, 0, text, { kind: 'pack', pack, offset })

async function opened(t: Test): Promise<Served> {
  const served = new Served(t)
  await served.open()
  await served.push('first', 'first')
  return served
}

t.test('commits that fail leave no packs behind', async (t) => {
  const served = await opened(t)
  const before = served.kept('packs')
  const { journal } = served.hub
  const { commit } = Object.getPrototypeOf(journal) as typeof journal
  journal.commit = () => {
    throw new Error('database or disk is full')
  }
  for (let i = 0; i < 3; i++) await t.rejects(served.push('h', 'y'), /full/)
  t.same(served.kept('packs'), before)
  journal.commit = commit.bind(journal)
  t.match(await served.push('h', 'y'), { kind: 'accepted' })
  t.equal(served.textOf('y'), 'y')
})

t.test('a journal that cannot be written to leaves no more than one pack behind', async (t) => {
  const served = await opened(t)
  const before = served.kept('packs').length
  const { journal } = served.hub
  const { settle } = Object.getPrototypeOf(journal) as typeof journal
  journal.commit = journal.settle = () => {
    throw new Error('database or disk is full')
  }
  for (let i = 0; i < 3; i++) await t.rejects(served.push('h', 'y'), /full/)
  t.equal(served.kept('packs').length, before + 1)
  journal.settle = settle.bind(journal)
  await t.rejects(served.push('h', 'y'), /full/)
  t.equal(served.kept('packs').length, before)
})

t.test('packs that were taken before another of the batch failed are dropped', async (t) => {
  const served = await opened(t)
  const before = served.kept('packs')
  served.stage('ann', 'p1', 'one')
  served.stage('ann', 'p2', 'two')
  let taken = 0
  served.lanes.onTake = async (_, take) => {
    if (taken++ > 0) throw new Error('no space left')
    return await take()
  }
  const batch = [inPack('a', 'one', 'p1'), inPack('b', 'two', 'p2')]
  await t.rejects(served.hub.propose('ann', batch, never), /no space left/)
  t.equal(taken, 2)
  t.same(served.kept('packs'), before)
})

t.test('a content that is twice in a pack counts once, so that the pack goes with it', async (t) => {
  const served = await opened(t)
  const { journal } = served.hub
  const known = journal.packs().map(({ id }) => id)
  served.stage('ann', 'p1', 'samesame')
  const batch = [inPack('a', 'same', 'p1'), inPack('b', 'same', 'p1', 4)]
  t.match(await served.hub.propose('ann', batch, never), { outcomes: [{ kind: 'accepted' }, { kind: 'accepted' }] })
  const pack = journal.packs().find(({ id }) => !known.includes(id))
  t.equal(pack?.liveBytes, 4)
  t.same(journal.unusedPacks(), [])
  journal.forgetContent([fileOf('same').sha256])
  t.same(journal.unusedPacks(), [pack?.id])
  t.ok(journal.head(rel('a')))
})
