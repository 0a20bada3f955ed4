import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { rel } from '../support/builders.ts'
import { failingDisk } from '../support/mortal-disk.ts'
import { fileOf, put, Served } from '../support/served-folder.ts'
import { acquireDirLock } from '../../lib/disk/lock-file.ts'

const never = new AbortController().signal
const large = 'large '.repeat(60_000)
const { sha256, size } = fileOf(large)
const largePut = put('g', 0, large, { kind: 'staged', name: `o-${sha256}` })

async function filled(served: Served): Promise<void> {
  await served.open()
  await served.push('f', 'x')
  await served.rest()
}

const goAway = (served: Served): void => {
  renameSync(served.root, `${served.root}.away`)
  mkdirSync(served.root)
}

/** The folder was agreed on, and is away when it is opened: an unmounted disk is another device. */
async function openAway(served: Served, meanwhile: () => void = () => undefined): Promise<void> {
  await filled(served)
  await served.close()
  goAway(served)
  meanwhile()
  writeFileSync(join(served.root, '../state/folders/docs/device'), '1\n')
  await served.open()
}

const comeBack = (served: Served): void => {
  rmdirSync(served.root)
  renameSync(`${served.root}.away`, served.root)
}

t.test('while its disk is not mounted the folder takes nothing, and nothing is made on the mount point', async (t) => {
  const served = new Served(t)
  await filled(served)
  goAway(served)
  const refusal = { status: 423, message: /"docs": it is halted on the coordinator, its directory has lost its marker/ }
  await t.rejects(served.hub.propose('ann', [largePut], never), refusal)
  t.throws(() => served.hub.holdings('ann', [{ sha256, size }]), refusal)
  t.throws(() => served.hub.restore('ann', rel('f'), 1), refusal)
  t.throws(() => served.hub.moveTrees('ann', []), refusal)
  t.throws(() => served.hub.store.stagingOf('ann'), { message: /is not there on the coordinator/ })
  await t.rejects(served.hub.store.takeFile('ann', `o-${sha256}`, { sha256, size }, never), {
    status: 423,
    message: /is not there on the coordinator/,
  })
  t.notOk(existsSync(`${served.root}/.systemsync`))
  comeBack(served)
  served.hub.gate() // as SFTP does before anything is staged
  t.match(await served.push('f', 'y'), { kind: 'accepted' })
})

t.test(
  'bodies that came while the folder went away and back are not committed, and no pack of them stays',
  async (t) => {
    const served = new Served(t)
    await filled(served)
    const before = served.kept('packs')
    served.lanes.onTake = async (_, take) => {
      const taken = await take()
      goAway(served)
      t.throws(() => served.hub.gate(), { message: /halted on the coordinator/ })
      comeBack(served)
      served.hub.gate()
      return taken
    }
    await t.rejects(served.push('f', 'y'), { status: 423, message: /away for a moment/ })
    Reflect.deleteProperty(served.lanes, 'onTake')
    t.same(served.kept('packs'), before)
    t.match(await served.push('f', 'y'), { kind: 'accepted' })
    t.equal(served.textOf('y'), 'y')
  },
)

t.test('a folder that was away at the start is locked, claimed and cleared as soon as it is back', async (t) => {
  const served = new Served(t)
  await openAway(served, () => {
    writeFileSync(`${served.root}.away/.systemsync/packs/klitter`, 'z')
  })
  t.equal(served.folder.replica.status().state, 'halted')
  comeBack(served)
  served.hub.gate()
  t.equal(acquireDirLock(served.root), undefined, 'locked')
  t.notOk(served.kept('packs').includes('klitter'))
  t.not(readFileSync(join(served.root, '../state/folders/docs/device'), 'utf8'), '1\n')
  await served.rest()
  t.equal(served.folder.replica.status().state, 'in step')
})

t.test('a folder that comes back into the hands of another daemon stays halted until that lets go', async (t) => {
  const served = new Served(t)
  await openAway(served)
  comeBack(served)
  const other = acquireDirLock(served.root)
  t.throws(() => served.hub.gate(), { status: 423, message: /another daemon keeps its directory/ })
  t.match(served.folder.replica.status().problems[0]?.reason, /another daemon of this machine keeps/)
  other?.[Symbol.dispose]()
  served.hub.gate()
  t.not(served.folder.replica.status().state, 'halted')
})

t.test('a second daemon does not get a folder while the first is halted', async (t) => {
  const served = new Served(t)
  await filled(served)
  const marker = `${served.root}/.systemsync/marker`
  renameSync(marker, `${marker}.gone`)
  t.throws(() => served.hub.gate(), { message: /halted on the coordinator/ })
  t.equal(acquireDirLock(served.root), undefined)
  renameSync(`${marker}.gone`, marker)
  served.hub.gate()
  t.equal(acquireDirLock(served.root), undefined)
})

t.test('a store whose disk fails when it is to be claimed halts the folder, and loses nothing', async (t) => {
  const served = new Served(t)
  await filled(served)
  await served.close()
  const disk = failingDisk(`${served.root}/.systemsync/packs`, 'EIO')
  try {
    await served.open()
    t.equal(served.folder.replica.status().state, 'halted')
  } finally {
    disk[Symbol.dispose]()
  }
  served.hub.gate()
  t.equal(served.textOf('x'), 'x')
})

t.test('a disk that fails does not say that a content is lost', async (t) => {
  const served = new Served(t)
  await filled(served)
  const [pack = ''] = served.kept('packs')
  const disk = failingDisk(`${served.root}/.systemsync/packs/${pack}`, 'EIO')
  try {
    t.throws(() => served.hub.holdings('bob', [{ sha256: fileOf('x').sha256, size: 1 }]), { code: 'EIO' })
  } finally {
    disk[Symbol.dispose]()
  }
})

t.test('a directory without a marker is not marked anew for a journal with history whose base is lost', async (t) => {
  const served = new Served(t)
  await openAway(served, () => {
    for (const part of ['', '-wal', '-shm']) {
      const file = join(served.root, `../state/folders/docs/base.db${part}`)
      if (existsSync(file)) renameSync(file, `${file}.lost`)
    }
  })
  t.equal(served.folder.replica.status().state, 'halted')
  t.notOk(existsSync(`${served.root}/.systemsync`))
  comeBack(served)
  await served.rest()
  t.equal(served.folder.replica.status().state, 'in step')
})
