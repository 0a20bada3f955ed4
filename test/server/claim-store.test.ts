import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { hostPath } from '../../lib/model/path.ts'
import { claimStore } from '../../lib/server/claim-store.ts'
import { failingDisk, mortalDisk } from '../support/mortal-disk.ts'

/** A journal with its name, and what was committed to it. */
interface Owner {
  readonly name: string
  readonly packs: readonly string[]
  readonly objects: readonly string[]
}

const first: Owner = { name: 'first', packs: ['k1', 'k1b'], objects: ['a1'.repeat(32), 'b1'.repeat(32)] }
const second: Owner = { name: 'second', packs: ['k2'], objects: ['a2'.repeat(32)] }
const fresh: Owner = { name: 'fresh', packs: [], objects: [] }

function folder(t: Test) {
  const root = hostPath(t.testdir())
  const own = `${root}/.systemsync`
  /** Where each content of the owner is put. */
  const put = ({ packs, objects }: Owner, at = own): void => {
    mkdirSync(`${at}/packs`, { recursive: true })
    for (const pack of packs) writeFileSync(`${at}/packs/${pack}`, pack)
    for (const object of objects) {
      mkdirSync(`${at}/objects/${object.slice(0, 2)}`, { recursive: true })
      writeFileSync(`${at}/objects/${object.slice(0, 2)}/${object}`, object)
    }
  }
  const claim = ({ name, packs, objects }: Owner) =>
    claimStore(root, name, { packs: new Set(packs), hasObject: (sha256) => objects.includes(sha256) })
  const namesIn = (dir: string): string[] =>
    existsSync(dir)
      ? readdirSync(dir, { recursive: true, withFileTypes: true }).flatMap((one) => (one.isDirectory() ? [] : one.name))
      : []
  const held = (at = own): string[] => [...namesIn(`${at}/packs`), ...namesIn(`${at}/objects`)].sort()
  return { root, own, put, claim, held, all: () => namesIn(own).sort() }
}

const contentsOf = (...owners: readonly Owner[]): string[] =>
  owners.flatMap(({ packs, objects }) => [...packs, ...objects]).sort()

t.test('contents of another journal are set aside, and are back when it is', (t) => {
  const { own, put, claim, held } = folder(t)
  t.equal(claim(first), undefined)
  put(first)
  t.equal(claim(first), undefined)
  t.same(held(), contentsOf(first), 'its own stay')
  t.equal(claim(second), `${own}/kept-first`)
  t.same(held(), [])
  put(second)
  t.equal(claim(first), `${own}/kept-second`)
  t.same(held(), contentsOf(first))
  t.same(held(`${own}/kept-second`), contentsOf(second))
  t.notOk(existsSync(`${own}/kept-first`))
  t.end()
})

t.test('what lies there without an owner is of the journal that knows it, and of no other', (t) => {
  const known = folder(t)
  known.put(first)
  t.equal(known.claim(first), undefined)
  t.same(known.held(), contentsOf(first))
  const unknown = folder(t)
  unknown.put(first)
  t.equal(unknown.claim(fresh), `${unknown.own}/kept-unknown`)
  t.same(unknown.held(), [])
  unknown.put(second)
  t.equal(unknown.claim({ ...fresh, name: 'newer' }), `${unknown.own}/kept-fresh`)
  t.end()
})

t.test('one known object is enough to know a store without an owner', (t) => {
  const { claim, put, held } = folder(t)
  put(first)
  t.equal(claim({ ...first, packs: [] }), undefined)
  t.same(held(), contentsOf(first))
  t.end()
})

t.test('a store that was set aside without an owner is back when a journal that knows it is', (t) => {
  const { own, put, claim, held } = folder(t)
  put(first)
  writeFileSync(`${own}/packs/litter`, 'x')
  claim(second)
  put(second)
  t.equal(claim(first), `${own}/kept-second`)
  t.same(held(), contentsOf(first))
  t.same(held(`${own}/kept-unknown`), ['litter'], 'what nobody knows stays where it was')
  t.same(held(`${own}/kept-second`), contentsOf(second))
  t.end()
})

t.test('a journal that was given another name finds what it knows under the old one, and takes nothing else', (t) => {
  const { own, put, claim, held } = folder(t)
  claim(first)
  put(first)
  put(second)
  const renamed = { ...first, name: 'renamed' }
  t.equal(claim(renamed), `${own}/kept-first`)
  t.same(held(), contentsOf(first))
  t.same(held(`${own}/kept-first`), contentsOf(second))
  t.equal(claim(first), `${own}/kept-renamed`)
  t.same(held(), contentsOf(first, second), 'and so does the old one')
  t.end()
})

t.test('nothing is put over what was set aside before', (t) => {
  const { own, put, claim, held } = folder(t)
  claim(first)
  put(first)
  put({ ...first, packs: ['older'], objects: [] }, `${own}/kept-first`)
  t.equal(claim(second), `${own}/kept-first-2`)
  t.equal(claim(first), undefined)
  t.same(held(), [...contentsOf(first), 'older'].sort())
  t.end()
})

t.test('a claim that died at any point loses nothing, whoever comes next', (t) => {
  for (const next of [first, second, fresh]) {
    for (let step = 0, isOver = false; !isOver; step++) {
      const { own, put, claim, held, all, root } = folder(t)
      claim(first)
      put(first)
      claim(second)
      put(second)
      put({ name: 'unknown', packs: ['k1c'], objects: [] }, `${own}/kept-unknown`)
      const before = all()
      const disk = mortalDisk({ diesAfter: step, below: root })
      try {
        claim({ ...first, packs: [...first.packs, 'k1c'] })
        isOver = true
      } catch (error) {
        t.equal(error, disk.death, `step ${String(step)}`)
      } finally {
        disk[Symbol.dispose]()
      }
      claim(next)
      if (next !== fresh)
        t.same(
          contentsOf(next).filter((one) => !held().includes(one)),
          [],
          `at step ${String(step)}`,
        )
      t.same(
        all().filter((one) => one !== 'journal.new'),
        before,
        `all is there after step ${String(step)}`,
      )
      claim(second)
      t.same(held(), contentsOf(second), `the second has its own after step ${String(step)}`)
      rmSync(own, { recursive: true })
    }
  }
  t.end()
})

t.test('a disk that fails is not taken for an empty one', (t) => {
  for (const code of ['EIO', 'EACCES']) {
    const { own, put, claim, held } = folder(t)
    claim(first)
    put(first)
    for (const place of [`${own}/packs`, `${own}/objects`, `${own}/journal`]) {
      const disk = failingDisk(place, code)
      try {
        t.throws(() => claim(second), { code }, `${code} of ${place}`)
      } finally {
        disk[Symbol.dispose]()
      }
    }
    claim(first)
    t.same(held(), contentsOf(first))
  }
  t.end()
})

t.test('what somebody else put beside what is kept keeps nobody from starting', (t) => {
  const { own, put, claim, held } = folder(t)
  claim(first)
  put(first)
  claim(second)
  writeFileSync(`${own}/kept-first/note`, 'mine')
  writeFileSync(`${own}/kept-note`, 'mine')
  mkdirSync(`${own}/kept-odd`)
  writeFileSync(`${own}/kept-odd/objects`, 'mine')
  t.equal(claim(first), undefined)
  t.same(held(), contentsOf(first))
  t.same(readdirSync(`${own}/kept-first`), ['note'])
  t.end()
})

t.test('an owner file with nonsense in it names nobody', (t) => {
  const { own, put, claim, held } = folder(t)
  put(first)
  writeFileSync(`${own}/journal`, '../../elsewhere')
  t.equal(claim(first), undefined)
  t.same(held(), contentsOf(first))
  t.equal(readFileSync(`${own}/journal`, 'utf8'), 'first\n')
  t.end()
})

t.test('a claim makes nothing where the folder is away', (t) => {
  const { root, claim } = folder(t)
  renameSync(root, `${root}.away`)
  t.throws(() => claim(first), { code: 'ENOENT' })
  t.notOk(existsSync(root))
  renameSync(`${root}.away`, root)
  t.end()
})
