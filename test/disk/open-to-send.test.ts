import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { openStagedToSend, openToSend } from '../../lib/disk/open-to-send.ts'
import { StagedFile, stagedPlace } from '../../lib/disk/staged-file.ts'
import { hostPath } from '../../lib/model/path.ts'
import { aFolder, rel, type Folder } from './a-folder.ts'

const opened = () => readdirSync('/proc/self/fd').length

t.test('a file that is as it was hashed is sent', async (t) => {
  const { root, at, print } = aFolder(t)
  mkdirSync(at('dir'))
  writeFileSync(at('dir/file'), 'body')
  const before = opened()
  {
    using file = openToSend(root, { path: rel('dir/file'), print: print('dir/file') })
    t.equal(file && readFileSync(file.fd, 'utf8'), 'body')
  }
  t.equal(opened(), before, 'and closed')
})

const SWAPS: Readonly<Record<string, (folder: Folder) => void>> = {
  'another file': ({ at }) => {
    writeFileSync(at('new'), 'body')
    renameSync(at('new'), at('dir/file'))
  },
  'a pipe, which nobody waits for': ({ at }) => {
    rmSync(at('dir/file'))
    execFileSync('mkfifo', [at('dir/file')])
  },
  'a link to what is outside': ({ at, outside }) => {
    rmSync(at('dir/file'))
    writeFileSync(`${outside}/secret`, 'body')
    symlinkSync(`${outside}/secret`, at('dir/file'))
  },
  'a directory above it that is a link to the outside': ({ at, outside }) => {
    renameSync(at('dir'), `${outside}/dir`)
    symlinkSync(`${outside}/dir`, at('dir'))
  },
  nothing: ({ at }) => {
    rmSync(at('dir'), { recursive: true })
  },
}

for (const [what, swap] of Object.entries(SWAPS)) {
  t.test(`a file that was swapped after it was hashed is not sent: ${what}`, async (t) => {
    const folder = aFolder(t)
    mkdirSync(folder.at('dir'))
    writeFileSync(folder.at('dir/file'), 'body')
    const print = folder.print('dir/file')
    swap(folder)
    const before = opened()
    t.equal(openToSend(folder.root, { path: rel('dir/file'), print }), undefined)
    t.equal(opened(), before)
  })
}

t.test('what is set aside is sent from staging, and nothing but a file is', async (t) => {
  const { root, outside } = aFolder(t)
  const staged = StagedFile.create(root, 'd-1')
  staged.writeAt(0, Buffer.from('data'))
  staged.close()
  {
    using file = openStagedToSend(staged.place)
    t.equal(readFileSync(file.fd, 'utf8'), 'data')
  }
  writeFileSync(`${outside}/secret`, 'x')
  symlinkSync(`${outside}/secret`, stagedPlace(root, 'link'))
  t.throws(() => openStagedToSend(stagedPlace(root, 'link')), { code: 'ELOOP' })
  const before = opened()
  t.throws(() => openStagedToSend(hostPath(outside)), /not a regular file/)
  t.equal(opened(), before)
})
