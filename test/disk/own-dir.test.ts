import { closeSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeOwnDirs, openOwnDir, openStaging, syncDir } from '../../lib/disk/own-dir.ts'
import { hostPath } from '../../lib/model/path.ts'

t.test('the directories of ours are made once and opened', async (t) => {
  const root = hostPath(t.testdir({}))
  t.throws(() => openStaging(root), { code: 'ENOENT' })
  makeOwnDirs(root)
  makeOwnDirs(root)
  const fd = openStaging(root)
  t.equal(readlinkSync(`/proc/self/fd/${fd}`), join(root, '.systemsync/staging'))
  syncDir(fd)
  closeSync(fd)
  closeSync(openOwnDir(root))
})

t.test('a link or a file in their place is refused, and nothing is made behind it', async (t) => {
  for (const arrange of [
    (root: string) => symlinkSync('..', join(root, '.systemsync')),
    (root: string) => writeFileSync(join(root, '.systemsync'), ''),
    (root: string) => {
      mkdirSync(join(root, '.systemsync'))
      symlinkSync('..', join(root, '.systemsync/staging'))
    },
  ]) {
    const root = hostPath(t.testdir({}))
    arrange(root)
    t.throws(() => openStaging(root), { code: 'ENOTDIR' })
    t.throws(() => makeOwnDirs(root), { code: 'OWN_DIR' })
  }
})

t.test('a directory that cannot be flushed is an error', async (t) => {
  t.throws(() => syncDir(-1), { code: 'ENOENT' })
})
