import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  closeSync,
  writeSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { printOf } from '../../lib/disk/fingerprint.ts'
import { closeFile, lookAtPlace, openFile, printOfFile, printOfStatx } from '../../lib/disk/native-files.ts'
import { atOf, setTimesNs } from '../../lib/disk/native.ts'
import { openRoot, placeAt } from '../../lib/disk/safe-dir.ts'

const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

t.test('a look says what lstat says, by a path and by an open directory, whatever the mtime', (t) => {
  const root = t.testdir({ file: 'four', dir: {} })
  symlinkSync('nowhere', join(root, 'link'))
  chmodSync(join(root, 'file'), 0o4751)
  const dir = openRoot(root as never)
  const same = (name: string): void => {
    const expected = printOf(lstatSync(join(root, name), { bigint: true }))
    t.same(lookAtPlace(join(root, name)), expected)
    t.same(lookAtPlace(placeAt(dir, name)), expected)
  }
  for (const name of ['file', 'dir', 'link']) same(name)
  const moments = fc.bigInt({ min: -2_000_000_000n * 10n ** 9n, max: 4_000_000_000n * 10n ** 9n })
  fc.assert(
    fc.property(fc.oneof(moments, fc.constantFrom(0n, 1n, -1n, 999_999_999n, 1_000_000_000n, 5_000_000_001n)), (ns) => {
      setTimesNs(join(root, 'file'), ns.toString())
      same('file')
    }),
    { numRuns: 60 },
  )
  t.equal(lookAtPlace(placeAt(dir, 'none')), undefined)
  t.equal(lookAtPlace('/dev/null'), 'special')
  t.throws(() => lookAtPlace(placeAt(dir, 'file') + '/below'), { code: 'ENOTDIR' })
  execFileSync('mkfifo', [join(root, 'pipe')])
  t.equal(lookAtPlace(placeAt(dir, 'pipe')), 'special')
  closeSync(dir)
  t.end()
})

t.test(
  'a file whose inode has its highest bit set is known again by whoever looks: with the sign that Node gives it',
  (t) => {
    const bytes = Buffer.alloc(256)
    bytes.writeUInt16LE(0o100640, 28)
    bytes.writeBigUInt64LE(2n ** 63n + 5n, 32)
    bytes.writeBigUInt64LE(7n, 40)
    bytes.writeBigInt64LE(1n, 96)
    bytes.writeUInt32LE(2, 104)
    bytes.writeBigInt64LE(-1n, 112)
    bytes.writeUInt32LE(3, 120)
    const raw = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
    const halves = new Uint16Array(raw)
    const quarters = new Uint32Array(raw)
    const eighths = new BigInt64Array(raw)
    const print = printOfStatx({ halves, quarters, eighths })
    t.same(print, {
      ...{ kind: 'file', size: 7, mtimeNs: '-999999997', ctimeNs: '1000000002', mode: 0o640 },
      ino: BigInt.asIntN(64, 2n ** 63n + 5n).toString(),
    })
    const stats = { ...lstatSync(t.testdir(), { bigint: true }), mode: 0o100640n, ino: -(2n ** 63n) + 5n }
    t.equal(printOf(stats)?.ino, print?.ino, 'as lstat of Node, which has signed numbers only')
    t.end()
  },
)

t.test('a file is made, written and looked at by its descriptor; what cannot be opened says why', (t) => {
  const root = t.testdir({ dir: {} })
  const dir = openRoot(root as never)
  const place = placeAt(dir, 'ne\u00fc')
  const fd = openFile(place, CREATE, 0o600)
  writeSync(fd, 'bytes')
  t.same(printOfFile(fd), lookAtPlace(place))
  t.match(printOfFile(fd), { kind: 'file', size: 5, mode: 0o600 })
  closeFile(fd)
  t.throws(() => printOfFile(fd), { code: 'EBADF' })
  t.equal(readFileSync(join(root, 'ne\u00fc'), 'utf8'), 'bytes')
  t.throws(() => openFile(place, CREATE, 0o600), { code: 'EEXIST', path: place })
  t.throws(() => openFile(placeAt(dir, 'none'), constants.O_RDONLY), { code: 'ENOENT' })
  symlinkSync('dir', join(root, 'link'))
  t.throws(() => openFile(placeAt(dir, 'link'), constants.O_RDONLY | constants.O_NOFOLLOW), { code: 'ELOOP' })
  const special = openFile('/dev/null', constants.O_RDONLY)
  t.equal(printOfFile(special), undefined)
  t.match(
    readFileSync(`/proc/self/fdinfo/${String(special)}`, 'utf8'),
    /flags:\s+0?2[0-7]{6}\n/,
    'not inherited by programs',
  )
  closeFile(special)
  closeSync(dir)
  t.end()
})

t.test('only a name right in an open directory goes as directory and name', (t) => {
  t.same(atOf('/proc/self/fd/17/name'), { dirFd: 17, name: 'name' })
  t.same(atOf('/proc/self/fd/17/..'), { dirFd: 17, name: '..' })
  for (const place of [
    '/a/b',
    '/proc/self/fd/17',
    '/proc/self/fd/17/',
    '/proc/self/fd/17/../..',
    '/proc/self/fd/7/a/b',
  ])
    t.same(atOf(place), { dirFd: -100, name: place })
  t.end()
})

t.test('a directory that is replaced between two looks at names in it is still the one that was opened', (t) => {
  const root = t.testdir({ dir: { f: '1' } })
  const dir = openSync(join(root, 'dir'), constants.O_RDONLY | constants.O_DIRECTORY)
  const before = lookAtPlace(placeAt(dir, 'f'))
  execFileSync('mv', [join(root, 'dir'), join(root, 'other')])
  mkdirSync(join(root, 'dir'))
  t.same(lookAtPlace(placeAt(dir, 'f')), before)
  closeSync(dir)
  t.end()
})
