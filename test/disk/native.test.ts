import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import t from 'tap'
import {
  lockFile,
  renameExchange,
  renameNoReplace,
  setFdTimesNs,
  setTimesNs,
  syncFileSystem,
} from '../../lib/disk/native.ts'

const mtimeOf = (place: string): string => lstatSync(place, { bigint: true }).mtimeNs.toString()

t.test('an mtime keeps all nine digits, before 1970 too, and the atime stays', async (t) => {
  const file = join(t.testdir({ file: 'x' }), 'file')
  const { atimeNs } = lstatSync(file, { bigint: true })
  const moments = fc.bigInt({ min: -2_000_000_000n * 10n ** 9n, max: 4_000_000_000n * 10n ** 9n })
  fc.assert(
    fc.property(moments, (ns) => {
      setTimesNs(file, ns.toString())
      t.equal(mtimeOf(file), ns.toString())
    }),
    { numRuns: 50 },
  )
  const fd = openSync(file, 'r+')
  setFdTimesNs(fd, '123456789987654321')
  closeSync(fd)
  t.equal(mtimeOf(file), '123456789987654321')
  t.equal(lstatSync(file, { bigint: true }).atimeNs, atimeNs)
})

t.test('times of a link are set on the link, not on what it points to', async (t) => {
  const dir = t.testdir({ file: 'x' })
  const before = mtimeOf(join(dir, 'file'))
  symlinkSync('file', join(dir, 'link'))
  setTimesNs(join(dir, 'link'), '1700000000000000001')
  t.equal(mtimeOf(join(dir, 'file')), before)
  t.equal(mtimeOf(join(dir, 'link')), '1700000000000000001')
})

t.test('an error of libc carries its code', async (t) => {
  const gone = join(t.testdir(), 'gone')
  t.throws(() => setTimesNs(gone, '0'), { code: 'ENOENT', syscall: 'utimensat', path: gone })
  t.throws(() => setFdTimesNs(-1, '0'), { code: 'EBADF' })
  t.throws(() => syncFileSystem(-1), { code: 'EBADF' })
  t.throws(() => lockFile(-1), { code: 'EBADF' })
  t.throws(() => renameNoReplace(gone, `${gone}2`), { code: 'ENOENT' })
})

t.test('a file system is flushed through any open directory of it', async (t) => {
  const fd = openSync(t.testdir(), 'r')
  syncFileSystem(fd)
  closeSync(fd)
  t.pass('no error')
})

t.test('a lock is held by one descriptor, until it is closed', async (t) => {
  const file = join(t.testdir({ lock: '' }), 'lock')
  const [a, b] = [openSync(file, 'r+'), openSync(file, 'r+')]
  t.equal(lockFile(a), true)
  t.equal(lockFile(b), false)
  closeSync(a)
  t.equal(lockFile(b), true)
  closeSync(b)
})

t.test('a rename that must not replace does not', async (t) => {
  const dir = t.testdir({ a: 'A', b: 'B' })
  t.equal(renameNoReplace(join(dir, 'a'), join(dir, 'b')), 'exists')
  t.equal(readFileSync(join(dir, 'b'), 'utf8'), 'B')
  t.equal(renameNoReplace(join(dir, 'a'), join(dir, 'c\n\u{1f600}')), 'done')
  t.equal(readFileSync(join(dir, 'c\n\u{1f600}'), 'utf8'), 'A')
})

t.test('an exchange swaps a link and a directory, and says when one is missing', async (t) => {
  const dir = t.testdir({})
  mkdirSync(join(dir, 'd'))
  symlinkSync('x', join(dir, 'l'))
  t.equal(renameExchange(join(dir, 'd'), join(dir, 'l')), 'done')
  t.equal(readlinkSync(join(dir, 'd')), 'x')
  t.ok(lstatSync(join(dir, 'l')).isDirectory())
  t.equal(renameExchange(join(dir, 'd'), join(dir, 'none')), 'missing')
})

t.test('a file system that cannot is told apart from a trouble', async (t) => {
  // A directory into itself is EINVAL, the answer of file systems that know no flags.
  const dir = t.testdir({ d: {} })
  t.equal(renameNoReplace(join(dir, 'd'), join(dir, 'd', 'inner')), 'unsupported')
})

t.test('it works in a worker thread as well', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file')
  writeFileSync(file, 'x')
  const native = new URL('../../lib/disk/native.js', import.meta.url).href
  const code = `import(${JSON.stringify(native)}).then((n) => n.setTimesNs(${JSON.stringify(file)}, '1234567890123456789'))`
  const status = await new Promise((resolve) => new Worker(code, { eval: true }).once('exit', resolve))
  t.equal(status, 0)
  t.equal(mtimeOf(file), '1234567890123456789')
})
