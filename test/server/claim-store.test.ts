import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { hostPath } from '../../lib/model/path.ts'
import { claimStore } from '../../lib/server/claim-store.ts'

function folder(t: Test) {
  const root = hostPath(t.testdir())
  const own = `${root}/.systemsync`
  const put = (pack: string, object: string): void => {
    mkdirSync(`${own}/packs`, { recursive: true })
    mkdirSync(`${own}/objects/aa`, { recursive: true })
    writeFileSync(`${own}/packs/${pack}`, pack)
    writeFileSync(`${own}/objects/aa/${object}`, object)
  }
  const packs = (): string[] => (existsSync(`${own}/packs`) ? readdirSync(`${own}/packs`) : [])
  const claim = (name: string, isNew: boolean) => claimStore(root, name, { isNew })
  return { own, put, packs, claim }
}

t.test('contents of another journal are set aside, and are back when it is', (t) => {
  const { own, put, packs, claim } = folder(t)
  t.equal(claim('first', true), undefined)
  put('k1', 'o1')
  t.equal(claim('first', false), undefined)
  t.same(packs(), ['k1'], 'its own stay')
  t.equal(claim('second', true), `${own}/kept-first`)
  t.same(packs(), [])
  put('k2', 'o2')
  t.equal(claim('first', false), `${own}/kept-second`)
  t.same(packs(), ['k1'])
  t.equal(readFileSync(`${own}/objects/aa/o1`, 'utf8'), 'o1')
  t.same(readdirSync(`${own}/kept-second/packs`), ['k2'])
  t.notOk(existsSync(`${own}/kept-first`))
  t.end()
})

t.test('what lies there without an owner is of a journal that was used before, never of a new one', (t) => {
  const known = folder(t)
  known.put('k1', 'o1')
  t.equal(known.claim('old', false), undefined)
  t.same(known.packs(), ['k1'])
  const fresh = folder(t)
  fresh.put('k1', 'o1')
  t.equal(fresh.claim('new', true), `${fresh.own}/kept-unknown`)
  t.same(fresh.packs(), [])
  fresh.put('k2', 'o2')
  t.equal(fresh.claim('newer', true), `${fresh.own}/kept-new`)
  t.end()
})

t.test('a claim that was broken off at any point is gone on with', (t) => {
  const { own, put, packs, claim } = folder(t)
  claim('first', true)
  put('k1', 'o1')
  claim('second', true)
  put('k2', 'o2')
  // It died after half of what is set aside.
  mkdirSync(`${own}/kept-second`)
  mkdirSync(`${own}/kept-second/packs`)
  t.equal(claim('first', false), `${own}/kept-second-2`, 'nothing is put over what was set aside before')
  t.same(packs(), ['k1'])
  // It died after it had named the owner, with half of its own brought back.
  mkdirSync(`${own}/kept-first`)
  renameSync(`${own}/packs`, `${own}/kept-first/packs`)
  t.equal(claim('first', false), undefined)
  t.same(packs(), ['k1'])
  t.end()
})

t.test('what somebody else put beside what is kept keeps nobody from starting', (t) => {
  const { own, put, packs, claim } = folder(t)
  claim('first', true)
  put('k1', 'o1')
  claim('second', true)
  writeFileSync(`${own}/kept-first/note`, 'mine')
  t.equal(claim('first', false), undefined)
  t.same(packs(), ['k1'])
  t.same(readdirSync(`${own}/kept-first`), ['note'])
  t.end()
})

t.test('an owner file with nonsense in it names nobody', (t) => {
  const { own, put, packs, claim } = folder(t)
  put('k1', 'o1')
  writeFileSync(`${own}/journal`, '../../elsewhere')
  t.equal(claim('old', false), undefined)
  t.same(packs(), ['k1'])
  t.equal(readFileSync(`${own}/journal`, 'utf8'), 'old\n')
  t.end()
})
