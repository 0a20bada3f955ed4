import { chmodSync, linkSync, mkdirSync, openSync, closeSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { setTimesNs } from '../../lib/disk/native.ts'
import { PlainStat } from '../../lib/disk/plain-stat.ts'
import { MTIME, aFolder } from './a-folder.ts'

const KINDS = { file: 0o100000, dir: 0o040000, link: 0o120000 }
const NS_PER_S = 1_000_000_000n

t.test('a plain print says what lstat says', async (t) => {
  const { root, at, print } = aFolder(t)
  writeFileSync(at('f'), 'hello')
  chmodSync(at('f'), 0o4640)
  setTimesNs(at('f'), MTIME)
  linkSync(at('f'), at('hard \u{1f600}'))
  mkdirSync(at('d'), { mode: 0o1750 })
  symlinkSync('f', at('l'))
  const stat = new PlainStat()
  const fd = openSync(root, 'r')
  t.teardown(() => {
    closeSync(fd)
  })
  for (const name of ['f', 'hard \u{1f600}', 'd', 'l']) {
    const { kind, mode, size, mtimeNs, ctimeNs, ino } = print(name)
    const [mtime, ctime, inode] = [BigInt(mtimeNs), BigInt(ctimeNs), BigInt(ino)]
    const times = [mtime / NS_PER_S, mtime % NS_PER_S, ctime / NS_PER_S, ctime % NS_PER_S]
    const expected = [KINDS[kind] | mode, size, ...times, inode >> 32n, inode & 0xffffffffn].map(Number)
    t.same(stat.look(fd, name), expected, name)
  }
})

t.test('where nothing stands, or nothing can be told, there is no plain print', async (t) => {
  const { root } = aFolder(t)
  const stat = new PlainStat()
  const fd = openSync(root, 'r')
  t.equal(stat.look(fd, 'nothing'), undefined)
  closeSync(fd)
  t.equal(stat.look(fd, '.systemsync'), undefined)
})
