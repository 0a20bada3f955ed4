// Journeys of plain edits: what one person does in one folder stands in all of them.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  openSync,
  closeSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import t from 'tap'
import { Journey } from '../support/journey.ts'

const j = await Journey.open(t, { clients: ['a', 'b'] })
const [server, a, b] = [j.server, j.client('a'), j.client('b')]
await j.start()

t.test('a created file is on the coordinator and on the other client, byte for byte', async (t) => {
  const body = randomBytes(5000)
  a.put('note.bin', body)
  await j.inStep()
  t.equal(b.read('note.bin'), body.toString('utf8'))
  t.equal(server.read('note.bin'), body.toString('utf8'))
})

t.test('an edit goes both ways', async (t) => {
  a.put('talk.txt', 'one')
  await j.inStep()
  b.put('talk.txt', 'two')
  await j.inStep()
  t.equal(a.read('talk.txt'), 'two')
  server.put('talk.txt', 'three')
  await j.inStep()
  t.equal(b.read('talk.txt'), 'three')
})

t.test('files of every size around the limits of packs and blocks arrive', async (t) => {
  for (const size of [0, 1, 65_535, 65_536, 65_537, 262_144, 4_194_303, 4_194_305])
    a.put(`sizes/${size}`, randomBytes(size))
  await j.inStep()
  t.equal(lstatSync(b.at('sizes/0')).size, 0)
  t.equal(lstatSync(b.at('sizes/4194305')).size, 4_194_305)
})

t.test('a deleted file is gone everywhere', async (t) => {
  a.put('short-lived', 'x')
  await j.inStep()
  b.remove('short-lived')
  await j.inStep()
  t.notOk(a.has('short-lived'))
  t.notOk(server.has('short-lived'))
})

t.test('a deep tree made at once arrives whole, its empty directories too', async (t) => {
  const deep = Array.from({ length: 40 }, (_, i) => `d${i}`).join('/')
  a.put(`deep/${deep}/leaf`, 'leaf')
  a.mkdir('deep/empty/inner')
  await j.inStep()
  t.ok(lstatSync(b.at('deep/empty/inner')).isDirectory())
  t.equal(b.read(`deep/${deep}/leaf`), 'leaf')
})

t.test('a removed directory is gone everywhere with all it held', async (t) => {
  for (let i = 0; i < 5; i++) a.put(`going/sub${i}/file`, `${i}`)
  await j.inStep()
  b.remove('going')
  await j.inStep()
  t.notOk(a.has('going'))
})

t.test('a symbolic link stays a link, whatever it points at', async (t) => {
  a.mkdir('links')
  symlinkSync('nowhere', a.at('links/dangling'))
  symlinkSync('/etc/hostname', a.at('links/absolute'))
  symlinkSync('../talk.txt', a.at('links/relative'))
  symlinkSync('..', a.at('links/loop'))
  await j.inStep()
  t.equal(readlinkSync(b.at('links/absolute')), '/etc/hostname')
  a.remove('links/dangling')
  symlinkSync('elsewhere', a.at('links/dangling'))
  await j.inStep()
  t.equal(readlinkSync(b.at('links/dangling')), 'elsewhere')
})

t.test('permission bits follow a file, and change without its content', async (t) => {
  const mode = (place: string) => lstatSync(place).mode & 0o7777
  a.put('modes/run', '#!/bin/sh\n')
  chmodSync(a.at('modes/run'), 0o755)
  a.put('modes/secret', 's')
  chmodSync(a.at('modes/secret'), 0o600)
  a.put('modes/fixed', 'f')
  chmodSync(a.at('modes/fixed'), 0o444)
  a.mkdir('modes/private')
  chmodSync(a.at('modes/private'), 0o700)
  await j.inStep()
  t.equal(mode(b.at('modes/run')), 0o755)
  t.equal(mode(b.at('modes/private')), 0o700)
  chmodSync(b.at('modes/run'), 0o640)
  chmodSync(b.at('modes/private'), 0o750)
  await j.inStep()
  t.equal(mode(a.at('modes/run')), 0o640)
  t.equal(mode(a.at('modes/private')), 0o750)
})

t.test('setuid and setgid stay at home', async (t) => {
  a.put('modes/suid', 'x')
  chmodSync(a.at('modes/suid'), 0o6755)
  await j.inStep()
  t.equal(lstatSync(b.at('modes/suid')).mode & 0o7777, 0o755)
})

t.test('mtime is kept to the nanosecond, before 1970 too', async (t) => {
  a.put('times/exact', 'x')
  execFileSync('touch', ['-d', '2001-02-03 04:05:06.123456789', a.at('times/exact')])
  a.put('times/old', 'x')
  execFileSync('touch', ['-d', '1960-01-01 00:00:00.5', a.at('times/old')])
  await j.inStep()
  const exact = lstatSync(b.at('times/exact'), { bigint: true }).mtimeNs
  t.equal(exact % 1_000_000_000n, 123_456_789n)
  utimesSync(b.at('times/exact'), 1_000_000_000, 1_000_000_000)
  await j.inStep()
  t.equal(lstatSync(a.at('times/exact'), { bigint: true }).mtimeNs, 1_000_000_000_000_000_000n)
})

t.test('one path may become a file, a directory, a link, and a file again', async (t) => {
  a.put('shape', 'file')
  await j.inStep()
  a.remove('shape')
  a.put('shape/inner/file', 'in a directory')
  await j.inStep()
  t.equal(b.read('shape/inner/file'), 'in a directory')
  b.remove('shape')
  symlinkSync('talk.txt', b.at('shape'))
  await j.inStep()
  t.equal(readlinkSync(a.at('shape')), 'talk.txt')
  a.remove('shape')
  a.put('shape', 'file again')
  await j.inStep()
  t.equal(b.read('shape'), 'file again')
})

t.test('a hard link becomes a file of its own elsewhere', async (t) => {
  a.put('hard/one', 'same')
  linkSync(a.at('hard/one'), a.at('hard/two'))
  await j.inStep()
  t.not(lstatSync(b.at('hard/one')).ino, lstatSync(b.at('hard/two')).ino)
  appendFileSync(b.at('hard/one'), ' no more')
  await j.inStep()
  t.equal(a.read('hard/one'), 'same no more')
})

t.test('holes stay holes', async (t) => {
  const file = openSync(a.at('sparse'), 'w')
  writeSync(file, 'start', 0)
  writeSync(file, 'end', 64 * 1024 * 1024)
  closeSync(file)
  await j.inStep()
  const { size, blocks } = lstatSync(b.at('sparse'))
  t.equal(size, 64 * 1024 * 1024 + 3)
  t.ok(blocks * 512 < 8 * 1024 * 1024, `${blocks * 512} bytes on disk`)
  a.remove('sparse')
  await j.inStep()
})

t.test('a file that stays open is taken when it is quiet, and again when it is closed', async (t) => {
  const file = openSync(a.at('open.log'), 'w')
  writeSync(file, 'first\n')
  await j.eventually('the open file is on B', () => b.has('open.log') && b.read('open.log') === 'first\n')
  writeSync(file, 'second\n')
  closeSync(file)
  await j.inStep()
  t.equal(b.read('open.log'), 'first\nsecond\n')
})

t.test('what comes and goes between two looks leaves nothing behind', async (t) => {
  for (let i = 0; i < 50; i++) {
    a.put(`flash/${i}`, 'x')
    a.remove(`flash/${i}`)
  }
  for (let i = 0; i < 50; i++) a.put('flash/last', `version ${i}`)
  await j.inStep({ until: () => b.has('flash/last') && b.read('flash/last') === 'version 49' })
  t.same(
    [...b.tree().keys()].filter((path) => path.startsWith('flash/')),
    ['flash/last'],
  )
})

t.test('the coordinator is in step with itself: nothing is left in any staging', async (t) => {
  await j.settled()
  for (const node of j.nodes) t.same(node.staged(), [], node.name)
})
