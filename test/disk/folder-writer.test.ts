import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FolderWriter } from '../../lib/disk/folder-writer.ts'
import { SafeDirs } from '../../lib/disk/safe-dir.ts'
import { StagedFile } from '../../lib/disk/staged-file.ts'
import { samePrint } from '../../lib/model/entry.ts'
import type { DirPath } from '../../lib/model/path.ts'
import type { WriteResult, WriteStep } from '../../lib/model/write-step.ts'
import { MTIME, aFolder, asNobody, fileEntry, makeDir, makeLink, place, rel, remove } from './a-folder.ts'
import { withTinyDisk } from './tiny-disk.ts'

/** A folder and its writer; `run` applies steps and answers the kinds, `apply` the results. */
function aWriter(t: { teardown(fn: () => void): void }) {
  const folder = aFolder(t)
  const writer = new FolderWriter(folder.root, folder.dirs)
  t.teardown(() => writer.close())
  const apply = (...steps: WriteStep[]): WriteResult[] => writer.apply(steps)
  const run = (...steps: WriteStep[]): string[] => apply(...steps).map((result) => result.kind)
  const read = (path: string): string => readFileSync(folder.at(path), 'utf8')
  return { ...folder, writer, apply, run, read }
}

t.test('a file comes whole, with its mode and mtime, and the answer is what stands there', async (t) => {
  const { apply, read, at, print, staged } = aWriter(t)
  const [result] = apply({
    do: 'place-file',
    path: rel('a/b/f'),
    entry: fileEntry('hello', 0o751),
    body: { kind: 'bytes', bytes: Buffer.from('hello') },
    expect: undefined,
  })
  t.same(result, { kind: 'done', print: print('a/b/f') })
  t.match(print('a/b/f'), { kind: 'file', size: 5, mode: 0o751, mtimeNs: MTIME })
  t.equal(read('a/b/f'), 'hello')
  t.equal(lstatSync(at('a/b')).mode & 0o777, 0o755)
  t.same(staged(), [])
})

t.test('an expected file or link is replaced, an edited one is not', async (t) => {
  const { run, read, at, print, staged } = aWriter(t)
  run(place('f', 'one'), makeLink('l', 'target'))
  const before = print('f')
  t.same(run(place('f', 'two', before), place('l', 'file now', print('l'))), ['done', 'done'])
  t.equal(read('f') + read('l'), 'twofile now')
  const edits = [
    () => appendFileSync(at('f'), '!'),
    () => chmodSync(at('f'), 0o600),
    () => rmSync(at('f')),
    () => {
      rmSync(at('f'))
      mkdirSync(at('f'))
    },
  ]
  for (const edit of edits) {
    rmSync(at('f'), { force: true })
    run(place('f', 'two'))
    const expect = print('f')
    edit()
    t.same(run(place('f', 'three', expect)), ['differs'])
  }
  t.ok(lstatSync(at('f')).isDirectory())
  t.same(run(place('l', 'x')), ['differs'], 'nothing was expected, but something is there')
  t.same(staged(), [])
})

t.test('many files take one flush, and each has its own answer', async (t) => {
  const { apply, read, at, staged } = aWriter(t)
  writeFileSync(at('f5'), 'mine')
  const results = apply(...Array.from({ length: 20 }, (_, i) => place(`f${i}`, `text ${i}`)))
  t.same(
    results.map((result) => result.kind),
    Array.from({ length: 20 }, (_, i) => (i === 5 ? 'differs' : 'done')),
  )
  t.equal(read('f5'), 'mine')
  t.equal(read('f19'), 'text 19')
  t.same(staged(), [])
})

t.test('steps are done in order', async (t) => {
  const { run, at, print } = aWriter(t)
  run(place('d/f', 'x'))
  const [d, f] = [print('d'), print('d/f')]
  t.same(run(remove('d', d), remove('d/f', f), remove('d', d), place('d', 'now a file')), [
    'not-empty',
    'done',
    'done',
    'done',
  ])
  t.ok(lstatSync(at('d')).isFile())
})

t.test('bytes that are not those of the entry never come into sight', async (t) => {
  const { apply, at, staged, root } = aWriter(t)
  const entry = fileEntry('right')
  const wrong = [Buffer.from('wrong'), Buffer.from('righ')]
  for (const bytes of wrong) {
    const results = apply({
      do: 'place-file',
      path: rel('f'),
      entry,
      body: { kind: 'bytes', bytes },
      expect: undefined,
    })
    t.match(results, [{ kind: 'problem', problem: { path: 'f', reason: /damaged/ } }])
  }
  const short = StagedFile.create(root, 'short')
  short.writeAt(0, Buffer.from('righ'))
  short.close()
  const body = { kind: 'staged', place: short.place } as const
  t.match(apply({ do: 'place-file', path: rel('f'), entry, body, expect: undefined }), [{ kind: 'problem' }])
  t.throws(() => lstatSync(at('f')), { code: 'ENOENT' })
  t.same(staged(), ['short'], 'a staged file stays with whom staged it')
})

t.test('a staged file is taken when it is published, and left when it is not', async (t) => {
  const { run, read, root, staged, at, print } = aWriter(t)
  const file = StagedFile.create(root, 'big')
  file.writeAt(0, Buffer.from('staged'))
  file.close()
  const step = (expect?: ReturnType<typeof print>): WriteStep => ({
    do: 'place-file',
    path: rel('f'),
    entry: fileEntry('staged', 0o640),
    body: { kind: 'staged', place: file.place },
    expect,
  })
  writeFileSync(at('f'), 'mine')
  t.same(run(step()), ['differs'])
  t.same(staged(), ['big'])
  t.same(run(step(print('f'))), ['done'])
  t.equal(read('f'), 'staged')
  t.match(print('f'), { mode: 0o640, mtimeNs: MTIME })
  t.same(staged(), [])
  t.same(run(step(print('f'))), ['differs'], 'it cannot be taken twice')
})

t.test('a staged file with a second name is copied, so that the other keeps its mode', async (t) => {
  const { run, read, root, at, outside } = aWriter(t)
  const file = StagedFile.create(root, 'object')
  file.writeAt(0, Buffer.from('shared'))
  file.close()
  linkSync(file.place, join(outside, 'object'))
  const body = { kind: 'staged', place: file.place } as const
  t.same(run({ do: 'place-file', path: rel('f'), entry: fileEntry('shared'), body, expect: undefined }), ['done'])
  t.equal(read('f'), 'shared')
  t.equal(lstatSync(join(outside, 'object')).mode & 0o777, 0o600)
  t.not(lstatSync(at('f')).ino, lstatSync(join(outside, 'object')).ino)
})

t.test('a copy is verified, keeps its holes, and never takes what was edited', async (t) => {
  const { run, at, print, staged } = aWriter(t)
  const bytes = Buffer.alloc(3 * 1024 * 1024 + 5)
  bytes.write('data', 2_000_000)
  writeFileSync(at('from'), bytes)
  const copy = (path: string, entry = fileEntry(bytes)): WriteStep => ({
    do: 'place-file',
    path: rel(path),
    entry,
    body: { kind: 'copy', from: rel('from'), expectFrom: print('from') },
    expect: undefined,
  })
  t.same(run(copy('d/to')), ['done'])
  t.ok(readFileSync(at('d/to')).equals(bytes))
  t.ok(lstatSync(at('d/to')).blocks * 512 < bytes.length / 2, 'zeros take no room')
  const stale = copy('x')
  writeFileSync(at('from'), bytes.fill(1))
  t.same(run(stale), ['differs'])
  const other = fileEntry(Buffer.alloc(bytes.length, 2))
  t.match(run(copy('x', other)), [/differs|problem/])
  rmSync(at('from'))
  t.same(run(stale), ['differs'])
  t.throws(() => lstatSync(at('x')), { code: 'ENOENT' })
  t.same(staged(), [])
})

t.test('nothing is ever written through a link', async (t) => {
  const { run, at, outside, print, root } = aWriter(t)
  writeFileSync(join(outside, 'victim'), 'keep')
  mkdirSync(join(outside, 'dir'))
  symlinkSync(outside, at('link'))
  writeFileSync(at('f'), 'f')
  mkdirSync(at('d'))
  const f = print('f')
  const victim = print('link/victim')
  const results = run(
    place('link/new', 'evil'),
    place('link/victim', 'evil', victim),
    place('link/deep/er/new', 'evil'),
    makeDir('link/newdir'),
    makeDir('link/a/b'),
    makeLink('link/newlink', 'evil'),
    remove('link/victim', victim),
    remove('link/dir', print('link/dir')),
    { do: 'set-meta', path: rel('link/victim'), entry: fileEntry('keep', 0o777), expect: victim },
    { do: 'move', from: rel('link/victim'), path: rel('stolen'), expectFrom: victim, entry: fileEntry('keep') },
    { do: 'move', from: rel('f'), path: rel('link/f'), expectFrom: f, entry: fileEntry('f') },
    place('f/below', 'below a file'),
  )
  t.same(results, Array(12).fill('differs'))
  t.same(readdirSync(outside).sort(), ['dir', 'victim'])
  t.same(print('link/victim'), victim)
  t.same(print('f'), f)
  t.ok(root)
})

t.test('a directory swapped for a link between two calls is not written through', async (t) => {
  const { run, at, outside } = aWriter(t)
  t.same(run(place('d/one', '1')), ['done'])
  renameSync(at('d'), join(outside, 'd'))
  symlinkSync(join(outside, 'd'), at('d'))
  t.same(run(place('d/two', '2'), place('d/one', 'x')), ['differs', 'differs'])
  t.same(readdirSync(join(outside, 'd')), ['one'])
  rmSync(at('d'))
  t.same(run(place('d/two', '2')), ['done'])
  t.same(readdirSync(at('d')), ['two'])
  t.same(readdirSync(join(outside, 'd')), ['one'])
})

t.test('a link in place of a directory within one batch of writes is not written through', async (t) => {
  const { root, run, at, outside, print } = aWriter(t)
  run(makeDir('d'))
  t.same(run(place('e', '1'), makeLink('d', outside, print('d')), place('d/f', 'x')), ['done', 'done', 'differs'])
  t.same(readdirSync(outside), [])
  rmSync(at('d'))
  run(place('d/0', '0'))
  const elsewhere = join(outside, 'd')
  let isSwapped = false
  class Swapped extends SafeDirs {
    override open(dir: DirPath): number | undefined {
      const fd = super.open(dir)
      if (dir !== 'd' || isSwapped) return fd
      isSwapped = true
      renameSync(at('d'), elsewhere)
      symlinkSync(outside, at('d'))
      return fd
    }
  }
  using dirs = new Swapped(root)
  using writer = new FolderWriter(root, dirs)
  writer.apply([place('d/1', '1'), place('d/2', '2')])
  t.same(readdirSync(elsewhere).sort(), ['0', '1', '2'], 'as if it had been moved a moment later')
  t.same(writer.apply([place('d/3', '3')]), [{ kind: 'differs' }])
  t.same(readdirSync(outside), ['d'], 'and nothing went where the link leads')
})

t.test('a file is moved from the directory it is in, however many others are opened for that', async (t) => {
  const { root, run, read, print } = aWriter(t)
  run(place('a/f', 'x'), place('b/c/f', 'y'))
  using dirs = new SafeDirs(root, 4)
  using writer = new FolderWriter(root, dirs)
  const step = { do: 'move', from: rel('a/f'), path: rel('b/c/d/e/g/f'), entry: fileEntry('x') } as const
  t.match(writer.apply([{ ...step, expectFrom: print('a/f') }]), [{ kind: 'done' }])
  t.equal(read('b/c/d/e/g/f') + read('b/c/f'), 'xy')
})

t.test('a directory is made with its mode, adopted, or put in the place of a file', async (t) => {
  const { run, apply, at, print, staged } = aWriter(t)
  const [made] = apply(makeDir('a', undefined, 0o500))
  t.match(made, { kind: 'done', print: { kind: 'dir', mode: 0o500 } })
  t.match(apply(makeDir('a', undefined, 0o755)), [{ kind: 'done', print: { mode: 0o755 } }])
  t.equal(lstatSync(at('a')).mode & 0o777, 0o755)
  run(place('f', 'x'))
  t.same(run(makeDir('f')), ['differs'])
  t.same(run(makeDir('f', print('a'))), ['differs'])
  const f = print('f')
  t.same(run(makeDir('f', f)), ['done'])
  t.ok(lstatSync(at('f')).isDirectory())
  const d = print('f')
  chmodSync(at('f'), 0o711)
  t.same(run(makeDir('f', d, 0o700)), ['differs'], 'its mode was edited')
  t.same(run(makeDir('none', d)), ['differs'])
  t.same(run(makeDir('l/x/y')), ['done'])
  t.same(staged(), [])
})

t.test('a link is made, replaced and kept as a link', async (t) => {
  const { run, at, print, staged } = aWriter(t)
  t.same(run(makeLink('l', '/etc/passwd'), place('f', 'x')), ['done', 'done'])
  t.equal(readlinkSync(at('l')), '/etc/passwd')
  t.same(run(makeLink('l', 'other', print('l')), makeLink('f', 'l', print('f'))), ['done', 'done'])
  t.equal(readlinkSync(at('l')) + readlinkSync(at('f')), 'otherl')
  t.same(run(makeLink('l', 'no')), ['differs'])
  mkdirSync(at('d/full'), { recursive: true })
  t.same(run(makeLink('d', 'x', print('d'))), ['not-empty'])
  rmSync(at('d/full'), { recursive: true })
  t.same(run(makeLink('d', 'x', print('d'))), ['done'])
  t.same(staged(), [])
})

t.test('mode and mtime are set on what is expected only', async (t) => {
  const { run, apply, at, print } = aWriter(t)
  run(place('f', 'x'), makeDir('d'))
  const f = print('f')
  const entry = fileEntry('x', 0o604, '1600000000000000001')
  const [result] = apply({ do: 'set-meta', path: rel('f'), entry, expect: f })
  t.same(result, { kind: 'done', print: print('f') })
  t.match(print('f'), { mode: 0o604, mtimeNs: '1600000000000000001' })
  t.same(run({ do: 'set-meta', path: rel('f'), entry: fileEntry('x'), expect: f }), ['differs'])
  t.same(run({ do: 'set-meta', path: rel('d'), entry: { kind: 'dir', mode: 0o700 }, expect: print('d') }), ['done'])
  t.equal(lstatSync(at('d')).mode & 0o777, 0o700)
  t.same(run({ do: 'set-meta', path: rel('d'), entry, expect: print('d') }), ['differs'])
  t.same(run({ do: 'set-meta', path: rel('none'), entry, expect: f }), ['differs'])
  symlinkSync('f', at('l'))
  t.same(run({ do: 'set-meta', path: rel('l'), entry, expect: print('f') }), ['differs'])
})

t.test('a move renames files, links and whole directories, and never onto something', async (t) => {
  const { run, apply, read, at, print } = aWriter(t)
  run(place('d/f', 'x'), makeLink('l', 'y'), place('g', 'g'), makeDir('sealed', undefined, 0o555))
  const dir = { kind: 'dir', mode: 0o755 } as const
  const [moved] = apply({ do: 'move', from: rel('d'), path: rel('e/deep/d'), expectFrom: print('d'), entry: dir })
  t.same(moved, { kind: 'done', print: print('e/deep/d') })
  t.equal(read('e/deep/d/f'), 'x')
  const g = print('g')
  const entry = fileEntry('g', 0o600, '1')
  t.same(run({ do: 'move', from: rel('g'), path: rel('e/deep/d/f'), expectFrom: g, entry }), ['differs'])
  t.equal(read('e/deep/d/f'), 'x')
  t.match(apply({ do: 'move', from: rel('g'), path: rel('h'), expectFrom: g, entry }), [
    { kind: 'done', print: { ino: g.ino, mode: 0o600, mtimeNs: '1' } },
  ])
  const l = print('l')
  t.same(run({ do: 'move', from: rel('l'), path: rel('m'), expectFrom: l, entry: { kind: 'link', target: 'y' } }), [
    'done',
  ])
  t.same(run({ do: 'move', from: rel('l'), path: rel('n'), expectFrom: l, entry: { kind: 'link', target: 'y' } }), [
    'differs',
  ])
  t.same(run({ do: 'move', from: rel('m'), path: rel('n'), expectFrom: l, entry }), ['differs'])
  const h = print('h')
  appendFileSync(at('h'), 'edited')
  t.same(run({ do: 'move', from: rel('h'), path: rel('i'), expectFrom: h, entry }), ['differs'])
  t.equal(read('h'), 'gedited')
  const into = run({ do: 'move', from: rel('e'), path: rel('e/x'), expectFrom: print('e'), entry: dir })
  t.same(into, ['problem'], 'a directory does not go into itself')
  t.same(
    run({
      do: 'move',
      from: rel('sealed'),
      path: rel('e/s'),
      expectFrom: print('sealed'),
      entry: { kind: 'dir', mode: 0o555 },
    }),
    ['done'],
  )
  t.equal(lstatSync(at('e/s')).mode & 0o777, 0o555)
})

t.test('only what is expected is removed, and a directory only when empty', async (t) => {
  const { run, apply, at, print, staged } = aWriter(t)
  run(place('f', 'x'), makeLink('l', 'f'), place('d/f', 'x'))
  const f = print('f')
  appendFileSync(at('f'), '!')
  t.same(run(remove('f', f)), ['differs'])
  t.same(apply(remove('f', print('f')), remove('l', print('l'))), [
    { kind: 'done', print: undefined },
    { kind: 'done', print: undefined },
  ])
  t.same(run(remove('f', f), remove('d', f), remove('none/x', f)), ['differs', 'differs', 'differs'])
  t.same(run(remove('d', print('d'))), ['not-empty'])
  rmSync(at('d/f'))
  t.same(run(remove('d', print('d'))), ['done'])
  t.same(readdirSync(at('')).sort(), ['.systemsync'])
  t.same(staged(), [])
})

t.test('names are written byte for byte', async (t) => {
  const { run, read, at } = aWriter(t)
  const names = ['a\nb', ' lead', 'trail ', 'a\\b', '\u{1f600}', 'x'.repeat(255), '\u{1f600}'.repeat(63), '-rf', '%s']
  t.same(
    run(...names.map((name) => place(name, name))),
    names.map(() => 'done'),
  )
  t.same(readdirSync(at('')).sort(), [...names, '.systemsync'].sort())
  for (const name of names) t.equal(read(name), name)
})

t.test('a special file in the place is never touched', async (t) => {
  const { run, at, print } = aWriter(t)
  run(place('f', 'x'))
  const f = print('f')
  rmSync(at('f'))
  execFileSync('mkfifo', [at('f')])
  const meta = { do: 'set-meta', path: rel('f'), entry: fileEntry('x', 0o600), expect: f } as const
  t.same(run(place('f', 'y'), place('f', 'y', f), makeDir('f'), remove('f', f), meta), Array(5).fill('differs'))
  t.ok(lstatSync(at('f')).isFIFO())
})

t.test('a full disk is a problem of its path, leaves no litter, and what fits still comes', async (t) => {
  await withTinyDisk(t, ({ root, dirs, at, staged }) => {
    using writer = new FolderWriter(root, dirs)
    const results = writer.apply([place('big', 'x'.repeat(400_000)), place('small', 'fits')])
    t.match(results, [
      { kind: 'problem', problem: { path: 'big', reason: /no space left/, todo: /Free/ } },
      { kind: 'done' },
    ])
    t.equal(readFileSync(at('small'), 'utf8'), 'fits')
    t.same(staged(), [])
    const many = writer.apply(Array.from({ length: 12 }, (_, i) => place(`m${i}`, 'x'.repeat(40_000))))
    t.ok(many.some((result) => result.kind === 'problem') && many.some((result) => result.kind === 'done'))
    t.same(staged(), [])
  })
})

t.test('a file system of its own below the folder is told as a problem, and its files can be removed', async (t) => {
  const { apply, run, root, at } = aWriter(t)
  mkdirSync(at('mnt'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', at('mnt')], { stdio: 'pipe' })
  } catch {
    t.pass('mounting a tmpfs is not permitted here')
    return
  }
  try {
    t.match(apply(place('mnt/f', 'x')), [
      { kind: 'problem', problem: { path: 'mnt/f', reason: /another file system/ } },
    ])
    writeFileSync(at('mnt/g'), 'x')
    const { printAt } = await import('./a-folder.ts')
    t.same(run(remove('mnt/g', printAt(at('mnt/g')))), ['done'])
    t.same(readdirSync(at('mnt')), [])
  } finally {
    execFileSync('umount', ['-l', `${root}/mnt`])
  }
})

t.test('a folder that vanished, or lost its staging, is an error of the whole call', async (t) => {
  const { writer, root, dirs, outside, at } = aWriter(t)
  const other = new FolderWriter(root, dirs)
  other.close()
  other.close()
  renameSync(at('.systemsync/staging'), join(outside, 'staging'))
  t.throws(() => writer.apply([place('f', 'x')]), { code: 'ROOT_GONE', retry: 'later' })
  t.throws(() => new FolderWriter(root, dirs), { code: 'ROOT_GONE' })
  renameSync(join(outside, 'staging'), at('.systemsync/staging'))
  t.match(writer.apply([place('f', 'x')]), [{ kind: 'done' }])
  renameSync(root, `${root}-away`)
  t.throws(() => writer.apply([place('g', 'x')]), { code: 'ROOT_GONE' })
  mkdirSync(root)
  t.throws(() => writer.apply([place('g', 'x')]), { code: 'ROOT_GONE' }, 'another directory of its name is not it')
  t.same(readdirSync(root), [])
})

t.test('a read-only directory of ours does not keep changes out, and stays read-only', async (t) => {
  const found = asNobody(`
    import { chmodSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
    import { createHash } from 'node:crypto'
    import { SafeDirs } from '@lib/disk/safe-dir.js'
    import { FolderWriter } from '@lib/disk/folder-writer.js'
    import { writeMarker } from '@lib/disk/marker.js'
    import { printOf } from '@lib/disk/fingerprint.js'
    const root = mkdtempSync('/tmp/disk-nobody-')
    writeMarker(root, 'x')
    mkdirSync(root + '/ro/inner', { recursive: true })
    mkdirSync(root + '/sealed')
    writeFileSync(root + '/ro/old', 'old')
    for (const dir of ['/ro/inner', '/ro', '/sealed']) chmodSync(root + dir, 0o555)
    const print = (path) => printOf(lstatSync(root + path, { bigint: true }))
    const place = (path, text, expect) => ({ do: 'place-file', path, expect, body: { kind: 'bytes', bytes: Buffer.from(text) },
      entry: { kind: 'file', size: text.length, mtimeNs: '1', mode: 0o400, sha256: createHash('sha256').update(text).digest('hex') } })
    const writer = new FolderWriter(root, new SafeDirs(root))
    const results = writer.apply([
      place('ro/new', 'new'), place('ro/old', 'newer', print('/ro/old')), place('ro/inner/deep/new', 'deep'),
      { do: 'make-dir', path: 'ro/d', entry: { kind: 'dir', mode: 0o500 } },
      { do: 'move', from: 'sealed', path: 'ro/sealed', expectFrom: print('/sealed'), entry: { kind: 'dir', mode: 0o555 } },
    ])
    const removed = writer.apply([{ do: 'remove', path: 'ro/new', expect: results[0].print }])
    const modes = ['/ro', '/ro/inner', '/ro/sealed', '/ro/d'].map((path) => (lstatSync(root + path).mode & 0o777).toString(8))
    const text = readFileSync(root + '/ro/old', 'utf8')
    for (const dir of ['/ro', '/ro/inner', '/ro/sealed', '/ro/d']) chmodSync(root + dir, 0o700)
    rmSync(root, { recursive: true })
    console.log(JSON.stringify([results.map((one) => one.kind), removed, modes, text]))
  `)
  t.same(found, [['done', 'done', 'done', 'done', 'done'], [{ kind: 'done' }], ['555', '555', '555', '500'], 'newer'])
})

t.test('the answer to an unchanged folder is a fingerprint that the next scan finds again', async (t) => {
  const { apply, print } = aWriter(t)
  const results = apply(place('f', 'x'), makeDir('d'), makeLink('l', 'y'))
  for (const [i, path] of ['f', 'd', 'l'].entries()) {
    const result = results[i]
    t.ok(result?.kind === 'done' && result.print !== undefined && samePrint(result.print, print(path)), path)
  }
})
