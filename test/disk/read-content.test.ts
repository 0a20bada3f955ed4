import { appendFileSync, mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { hashFile, readFile } from '../../lib/disk/read-content.ts'
import { aFolder, asNobody, printAt, rel, sha256 } from './a-folder.ts'

t.test('a content is hashed and read as it is, whatever its size', async (t) => {
  const { dirs, at, print } = aFolder(t)
  for (const size of [0, 1, 1024 * 1024, 1024 * 1024 + 1, 3_000_000]) {
    const bytes = Buffer.alloc(size, 'abc')
    writeFileSync(at('f'), bytes)
    t.same(hashFile(dirs, rel('f'), print('f')), { kind: 'read', sha256: sha256(bytes) })
    const read = readFile(dirs, { path: rel('f'), print: print('f') })
    t.match(read, { kind: 'read', sha256: sha256(bytes) })
    t.ok(read.kind === 'read' && Buffer.compare(read.bytes, bytes) === 0)
  }
})

t.test('a file that is not as expected is changed', async (t) => {
  const { outside, dirs, at, print } = aFolder(t)
  writeFileSync(at('f'), 'one')
  const before = print('f')
  for (const arrange of [
    () => appendFileSync(at('f'), '!'),
    () => {
      writeFileSync(at('g'), 'one')
      renameSync(at('g'), at('f'))
    },
    () => {
      unlinkSync(at('f'))
      writeFileSync(join(outside, 'f'), 'one')
      symlinkSync(join(outside, 'f'), at('f'))
    },
    () => {
      unlinkSync(at('f'))
      execFileSync('mkfifo', [at('f')])
    },
    () => unlinkSync(at('f')),
    () => mkdirSync(at('f')),
  ]) {
    arrange()
    t.same(hashFile(dirs, rel('f'), before), { kind: 'changed' })
    t.same(readFile(dirs, { path: rel('f'), print: before }), { kind: 'changed' })
  }
})

t.test('a file behind a link, in a directory that is gone, or expected to be none is changed', async (t) => {
  const { outside, dirs, at, print } = aFolder(t)
  writeFileSync(join(outside, 'f'), 'secret')
  symlinkSync(outside, at('d'))
  mkdirSync(at('e'))
  t.same(hashFile(dirs, rel('d/f'), printAt(join(outside, 'f'))), { kind: 'changed' })
  t.same(hashFile(dirs, rel('none/f'), printAt(join(outside, 'f'))), { kind: 'changed' })
  t.same(hashFile(dirs, rel('e'), print('e')), { kind: 'changed' })
})

t.test('a file that grows, shrinks or is rewritten while it is read is changed', async (t) => {
  const { dirs, at, print } = aFolder(t)
  const edits = [
    () => appendFileSync(at('f'), 'more'),
    () => writeFileSync(at('f'), Buffer.alloc(10)),
    () => writeFileSync(at('f'), Buffer.alloc(2_000_000, 'z')),
  ]
  for (const edit of edits) {
    writeFileSync(at('f'), Buffer.alloc(2_000_000, 'a'))
    let left = 1
    const onProgress = (): void => {
      if (left-- > 0) edit()
    }
    t.same(hashFile(dirs, rel('f'), print('f'), { onProgress }), { kind: 'changed' })
  }
})

t.test('progress is told in blocks, and a stop stops', async (t) => {
  const { dirs, at, print } = aFolder(t)
  writeFileSync(at('f'), Buffer.alloc(2_500_000))
  const blocks: number[] = []
  hashFile(dirs, rel('f'), print('f'), { onProgress: (bytes) => blocks.push(bytes) })
  t.same(blocks, [1_048_576, 1_048_576, 402_848])
  let asked = 0
  t.same(hashFile(dirs, rel('f'), print('f'), { shouldStop: () => ++asked === 2 }), { kind: 'changed' })
  t.equal(asked, 2)
})

t.test('a file that may not be read is a problem, never an empty file', async (t) => {
  const found = asNobody(`
    import { lstatSync, chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
    import { SafeDirs } from '@lib/disk/safe-dir.js'
    import { printOf } from '@lib/disk/fingerprint.js'
    import { hashFile, readFile } from '@lib/disk/read-content.js'
    const root = mkdtempSync('/tmp/disk-nobody-')
    writeFileSync(root + '/f', 'x')
    chmodSync(root + '/f', 0)
    const print = printOf(lstatSync(root + '/f', { bigint: true }))
    const dirs = new SafeDirs(root)
    const found = [hashFile(dirs, 'f', print), readFile(dirs, { path: 'f', print })]
    rmSync(root, { recursive: true })
    console.log(JSON.stringify(found))
  `)
  const problem = { path: 'f', reason: 'permission denied', todo: /access/ }
  t.match(found, [
    { kind: 'problem', problem },
    { kind: 'problem', problem },
  ])
})
