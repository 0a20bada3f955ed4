import { appendFileSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hostPath } from '../../lib/model/path.ts'
import type { Body } from '../../lib/model/write-step.ts'
import { stageBody } from '../../lib/disk/stage-body.ts'
import { MTIME, aFolder, fileEntry, printAt, rel } from './a-folder.ts'

t.test('a staged body has the content, mode and mtime of its entry', async (t) => {
  const { dirs, at, root } = aFolder(t)
  const place = `${root}/.systemsync/staging/x`
  const bytes = Buffer.concat([Buffer.from('x'), Buffer.alloc(20_000)])
  const body: Body = { kind: 'bytes', bytes }
  const staged = stageBody(dirs, { entry: fileEntry(bytes, 0o4755), body, place, isSynced: true })
  t.same(staged, { place, print: printAt(place) })
  t.match(printAt(place), { mode: 0o755, mtimeNs: MTIME, size: 20_001 })
  t.ok(readFileSync(place).equals(bytes))
  t.ok(at)
})

t.test('what cannot be staged leaves nothing in staging', async (t) => {
  const { dirs, at, root, outside, staged, print } = aFolder(t)
  const place = `${root}/.systemsync/staging/x`
  writeFileSync(at('f'), 'right')
  writeFileSync(join(outside, 'f'), 'right')
  symlinkSync(join(outside, 'f'), at('l'))
  const stage = (body: Body, text = 'right') =>
    stageBody(dirs, { entry: fileEntry(text), body, place, isSynced: false })
  const expectFrom = print('f')
  t.equal(stage({ kind: 'bytes', bytes: Buffer.from('wrong') }), 'damaged')
  t.equal(stage({ kind: 'copy', from: rel('f'), expectFrom }, 'other'), 'differs')
  t.equal(stage({ kind: 'copy', from: rel('none/f'), expectFrom }), 'differs')
  t.throws(() => stage({ kind: 'copy', from: rel('l'), expectFrom }), { code: 'ELOOP' })
  t.throws(() => stage({ kind: 'staged', place: hostPath(at('l')) }), { code: 'ELOOP' })
  t.equal(stage({ kind: 'staged', place: hostPath(at('f')) }, 'longer than it'), 'damaged')
  appendFileSync(at('f'), '!')
  t.equal(stage({ kind: 'copy', from: rel('f'), expectFrom }), 'differs')
  t.same(staged(), [])
})

t.test('a place that is taken is not written over', async (t) => {
  const { dirs, root } = aFolder(t)
  const place = `${root}/.systemsync/staging/x`
  writeFileSync(place, 'mine')
  const body: Body = { kind: 'bytes', bytes: Buffer.from('right') }
  t.throws(() => stageBody(dirs, { entry: fileEntry('right'), body, place, isSynced: false }), { code: 'EEXIST' })
  t.equal(readFileSync(place, 'utf8'), 'mine')
})
