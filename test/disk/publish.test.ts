import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { lookAtPlace } from '../../lib/disk/native-files.ts'
import { discardStaged, publish, publishNew, publishOver, takeOut } from '../../lib/disk/publish.ts'
import { printAt } from './a-folder.ts'

/** A directory with a staged file `new` and whatever else. */
function arrange(t: Test, tree: Readonly<Record<string, string | Record<string, string>>> = {}) {
  const dir = t.testdir({ new: 'NEW', ...tree })
  const at = (name: string): string => join(dir, name)
  return {
    at,
    staged: { place: at('new'), print: printAt(at('new')) },
    read: (name: string) => readFileSync(at(name), 'utf8'),
  }
}

t.test('what is staged comes where nothing stands, or what is expected', async (t) => {
  const { at, staged, read } = arrange(t, { old: 'OLD' })
  t.equal(publish(staged, at('old'), printAt(at('old'))), 'done')
  t.equal(read('old'), 'NEW')
  t.equal(existsSync(at('new')), false, 'and what it replaced is gone')
  writeFileSync(at('new'), 'NEWER')
  t.equal(publish({ place: at('new'), print: printAt(at('new')) }, at('free'), undefined), 'done')
  t.equal(read('free'), 'NEWER')
})

t.test('what is not expected stays', async (t) => {
  const { at, staged, read } = arrange(t, { old: 'OLD', other: 'OTHER', dir: {} })
  t.equal(publish(staged, at('old'), undefined), 'differs')
  t.equal(publish(staged, at('old'), printAt(at('other'))), 'differs')
  t.equal(publish(staged, at('none'), printAt(at('other'))), 'differs')
  t.equal(publish(staged, at('dir'), undefined), 'differs')
  t.equal(read('old'), 'OLD')
  t.equal(read('new'), 'NEW')
})

t.test('an edit in the window between the look and the swap is put back', async (t) => {
  const { at, staged, read } = arrange(t, { old: 'OLD' })
  const expect = printAt(at('old'))
  writeFileSync(at('old'), 'EDITED')
  t.equal(publishOver(staged, at('old'), expect), 'differs')
  t.equal(read('old'), 'EDITED')
  t.equal(read('new'), 'NEW')
})

t.test('a directory or special file that came in the window is put back, a removal is not undone', async (t) => {
  const { at, staged, read } = arrange(t, { old: 'OLD', dir: { f: 'F' } })
  const expect = printAt(at('old'))
  t.equal(publishOver(staged, at('dir'), expect), 'differs')
  t.equal(read('dir/f'), 'F')
  execFileSync('mkfifo', [at('pipe')])
  t.equal(publishOver(staged, at('pipe'), expect), 'differs')
  t.equal(lookAtPlace(at('pipe')), 'special')
  t.equal(publishOver(staged, at('none'), expect), 'differs')
  t.equal(existsSync(at('none')), false)
})

t.test('a file made in the window is not replaced', async (t) => {
  const { at, staged, read } = arrange(t, { old: 'OLD' })
  t.equal(publishNew(staged, at('old')), 'differs')
  t.equal(read('old'), 'OLD')
})

t.test('what is taken out is gone when it is what was expected, else it is back', async (t) => {
  const { at, read } = arrange(t, { old: 'OLD' })
  const expect = printAt(at('old'))
  writeFileSync(at('old'), 'EDITED')
  t.equal(takeOut(at('old'), at('out'), expect), 'differs')
  t.equal(read('old'), 'EDITED')
  t.equal(existsSync(at('out')), false)
  t.equal(takeOut(at('old'), at('out'), printAt(at('old'))), 'done')
  t.equal(existsSync(at('old')) || existsSync(at('out')), false)
  t.throws(() => takeOut(at('none'), at('out'), expect), { code: 'ENOENT' })
  execFileSync('mkfifo', [at('pipe')])
  t.equal(takeOut(at('pipe'), at('out'), expect), 'differs')
  t.ok(lstatSync(at('pipe')).isFIFO())
})

t.test('only what was staged is discarded', async (t) => {
  const { at, staged, read } = arrange(t, { old: 'OLD' })
  discardStaged({ place: at('old'), print: staged.print })
  t.equal(read('old'), 'OLD')
  discardStaged(staged)
  discardStaged(staged)
  t.equal(existsSync(at('new')), false)
  mkdirSync(at('d'))
  discardStaged({ place: at('d'), print: printAt(at('d')) })
  t.equal(existsSync(at('d')), false)
})

t.test('a trouble of the disk is an error, and nothing changes', async (t) => {
  const { at, staged, read } = arrange(t, { file: 'FILE' })
  t.throws(() => publish(staged, at('file/x'), undefined), { code: 'ENOTDIR' })
  t.throws(() => publishNew(staged, at('none/x')), { code: 'ENOENT' })
  t.equal(read('new'), 'NEW')
})
