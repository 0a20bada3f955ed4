import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DEFAULT_RULES, compileIgnore } from '../../lib/disk/ignore.ts'
import { setTimesNs } from '../../lib/disk/native.ts'
import { lookAt, scanDir, scanTree } from '../../lib/disk/scan.ts'
import { ROOT } from '../../lib/model/path.ts'
import type { Listing } from '../../lib/model/snapshot.ts'
import { MTIME, aFolder, asNobody, rel } from './a-folder.ts'

const none = compileIgnore([])
const namesOf = (listing: Listing): string[] => listing.seen.map((seen) => seen.name).sort()

t.test('a scan sees files, directories and links as lstat does, and not .systemsync', async (t) => {
  const { root, dirs, at } = aFolder(t)
  writeFileSync(at('f'), 'hello')
  chmodSync(at('f'), 0o4640)
  setTimesNs(at('f'), MTIME)
  mkdirSync(at('d'), { mode: 0o750 })
  symlinkSync('../nowhere \u{1f600}', at('l'))
  const listing = scanDir(dirs, ROOT, none)
  t.same({ ...listing, seen: [] }, { dir: '', state: 'read', seen: [], unknown: [], problems: [] })
  const seen = new Map(listing.seen.map((one) => [one.name, one]))
  t.same([...seen.keys()].sort(), ['d', 'f', 'l'])
  t.match(seen.get('f')?.print, { kind: 'file', size: 5, mtimeNs: MTIME, mode: 0o640, ino: /^\d+$/, ctimeNs: /^\d+$/ })
  t.match(seen.get('d')?.print, { kind: 'dir', mode: 0o750 })
  t.match(seen.get('l'), { print: { kind: 'link' }, target: '../nowhere \u{1f600}' })
  t.notOk('target' in (seen.get('f') ?? {}))
  t.ok(root)
})

t.test('names are kept byte for byte', async (t) => {
  const { dirs, at } = aFolder(t)
  const names = [
    'a\nb',
    ' lead',
    'trail ',
    'a\\b',
    '\u{1f600}',
    'e\u0301',
    'é',
    '#a',
    '!a',
    'x'.repeat(255),
    '\ufffd',
    '\ufeffbom',
  ]
  for (const name of names) writeFileSync(at(name), '')
  const listing = scanDir(dirs, ROOT, none)
  t.same(namesOf(listing), [...names].sort())
  t.same(listing.problems, [])
})

t.test('a name that is not UTF-8 is a problem and nothing else', async (t) => {
  const { root, dirs, at } = aFolder(t)
  mkdirSync(at('d'))
  writeFileSync(Buffer.concat([Buffer.from(`${root}/d/caf`), Buffer.from([0xe9])]), 'x')
  writeFileSync(at('d/good'), '')
  const listing = scanDir(dirs, rel('d'), none)
  t.same(namesOf(listing), ['good'])
  t.same(listing.unknown, [])
  t.match(listing.problems, [{ path: 'd/caf\\xe9', reason: 'the name is not UTF-8', todo: /Rename it/ }])
})

t.test('a link to a target that is not UTF-8 is unknown, not gone', async (t) => {
  const { dirs, at } = aFolder(t)
  symlinkSync(Buffer.from([0x2f, 0xff]), at('l'))
  const listing = scanDir(dirs, ROOT, none)
  t.same(listing.seen, [])
  t.same(listing.unknown, ['l'])
  t.match(listing.problems, [{ path: 'l', reason: /not UTF-8/ }])
  t.match(lookAt(dirs, rel('l')), { state: 'problem', problem: { path: 'l' } })
})

t.test('special files are not seen, with a problem, unless they are ignored', async (t) => {
  const { dirs, at } = aFolder(t)
  execFileSync('mkfifo', [at('pipe'), at('pipe.tmp')])
  const listing = scanDir(dirs, ROOT, compileIgnore(['*.tmp']))
  t.match(listing, { state: 'read', seen: [], unknown: [], problems: [{ path: 'pipe', reason: /special files/ }] })
  t.equal(listing.problems.length, 1)
  t.match(lookAt(dirs, rel('pipe')), { state: 'missing', problem: { path: 'pipe' } })
})

t.test('ignored names are not seen', async (t) => {
  const { dirs, at } = aFolder(t)
  for (const name of ['a', 'a~', '.a.swp']) writeFileSync(at(name), '')
  t.same(namesOf(scanDir(dirs, ROOT, compileIgnore(DEFAULT_RULES))), ['a'])
})

t.test('a missing directory, a file and a link in its place are missing, never empty', async (t) => {
  const { root, outside, dirs, at } = aFolder(t)
  writeFileSync(join(outside, 'secret'), '')
  writeFileSync(at('f'), '')
  symlinkSync(outside, at('l'))
  for (const path of ['none', 'f', 'l', 'l/x', 'none/x']) {
    t.match(scanDir(dirs, rel(path), none), { state: 'missing', seen: [], unknown: [], problems: [] }, path)
  }
  t.same(lookAt(dirs, rel('l/secret')), { state: 'missing' })
  t.same(lookAt(dirs, rel('none')), { state: 'missing' })
  t.same(lookAt(dirs, rel('f/x')), { state: 'missing' })
  t.match(lookAt(dirs, rel('l')), { state: 'seen', seen: { name: 'l', target: outside } })
  renameSync(root, `${root}-away`)
  t.match(scanDir(dirs, ROOT, none), { state: 'missing' })
})

t.test('a tree is told parents first, without what is ignored, and links are not entered', async (t) => {
  const { outside, dirs, at } = aFolder(t)
  for (const dir of ['a/b/c', 'd', 'build/x']) mkdirSync(at(dir), { recursive: true })
  mkdirSync(join(outside, 'inner'))
  symlinkSync(outside, at('link'))
  const told: string[] = []
  scanTree(dirs, ROOT, compileIgnore(['build/']), (listing) => told.push(listing.dir))
  t.same([...told].sort(), ['', 'a', 'a/b', 'a/b/c', 'd'])
  t.ok(told.indexOf('a') < told.indexOf('a/b') && told.indexOf('a/b') < told.indexOf('a/b/c') && told[0] === '')
  const below: string[] = []
  scanTree(dirs, rel('a/b'), none, (listing) => below.push(listing.dir))
  t.same(below, ['a/b', 'a/b/c'])
})

t.test('a directory that goes while its tree is scanned is told as missing', async (t) => {
  const { dirs, at } = aFolder(t)
  mkdirSync(at('a/b'), { recursive: true })
  const told: Listing[] = []
  scanTree(dirs, ROOT, none, (listing) => {
    told.push(listing)
    if (listing.dir === '') rmSync(at('a'), { recursive: true })
  })
  t.match(told, [
    { dir: '', state: 'read' },
    { dir: 'a', state: 'missing' },
  ])
})

t.test('a thousand levels are no trouble', async (t) => {
  const { root, dirs, at } = aFolder(t)
  mkdirSync(at(Array(1000).fill('d').join('/')), { recursive: true })
  let count = 0
  scanTree(dirs, ROOT, none, () => count++)
  t.equal(count, 1001)
  t.ok(root)
})

t.test('what may not be read is told as unreadable, once, and what may not be looked at as unknown', async (t) => {
  const found = asNobody(`
    import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
    import { SafeDirs } from '@lib/disk/safe-dir.js'
    import { scanTree, lookAt } from '@lib/disk/scan.js'
    const root = mkdtempSync('/tmp/disk-nobody-')
    mkdirSync(root + '/closed/in', { recursive: true })
    mkdirSync(root + '/listed/in', { recursive: true })
    writeFileSync(root + '/listed/f', '')
    chmodSync(root + '/closed', 0)
    chmodSync(root + '/listed', 0o400)
    const dirs = new SafeDirs(root)
    const told = []
    scanTree(dirs, '', (path) => path === 'listed/ignored', (listing) => told.push(listing))
    told.push(lookAt(dirs, 'listed/f'))
    chmodSync(root + '/closed', 0o700)
    chmodSync(root + '/listed', 0o700)
    rmSync(root, { recursive: true })
    console.log(JSON.stringify(told.slice(1).sort((a, b) => String(a.dir) < String(b.dir) ? -1 : 1)))
  `)
  t.match(found, [
    {
      dir: 'closed',
      state: 'unreadable',
      seen: [],
      unknown: [],
      problems: [{ path: 'closed', reason: 'permission denied' }],
    },
    { dir: 'listed', state: 'read', seen: [], problems: [{ reason: 'permission denied' }, { path: /^listed\// }] },
    { state: 'problem', problem: { path: 'listed/f', reason: 'permission denied' } },
  ])
  t.same((found as Listing[])[1]?.unknown.toSorted(), ['f', 'in'])
})

t.test('a root that may not be read is unreadable', async (t) => {
  const found = asNobody(`
    import { chmodSync, mkdtempSync, rmdirSync } from 'node:fs'
    import { SafeDirs } from '@lib/disk/safe-dir.js'
    import { scanDir } from '@lib/disk/scan.js'
    const root = mkdtempSync('/tmp/disk-nobody-')
    chmodSync(root, 0)
    const listing = scanDir(new SafeDirs(root), '', () => false)
    rmdirSync(root)
    console.log(JSON.stringify(listing))
  `)
  t.match(found, { dir: '', state: 'unreadable', seen: [], problems: [{ path: '.', reason: 'permission denied' }] })
})

t.test('a name that goes between listing and looking is simply not there', async (t) => {
  const { dirs, at } = aFolder(t)
  for (const name of ['a', 'b']) writeFileSync(at(name), '')
  const listing = scanDir(dirs, ROOT, () => {
    rmSync(at('a'), { force: true })
    rmSync(at('b'), { force: true })
    return false
  })
  t.equal(listing.seen.length, 1)
  t.same(listing.problems, [])
})
