import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import t from 'tap'
import { unlockDirs } from '../../lib/disk/unlock-dirs.ts'
import { aFolder, asNobody, rel } from './a-folder.ts'

t.test('only what stands in the way is lifted, and all of it comes back', async (t) => {
  const { dirs, at } = aFolder(t)
  mkdirSync(at('open/sealed/in'), { recursive: true })
  const modeOf = (path: string): string => (lstatSync(at(path)).mode & 0o7777).toString(8)
  chmodSync(at('open/sealed'), 0o1555)
  chmodSync(at('open/sealed/in'), 0o040)
  {
    using unlocked = unlockDirs(dirs, [rel('open/sealed/in/f'), rel('open/sealed/none/f')])
    t.equal(unlocked.isAny, true)
    t.same(['open', 'open/sealed', 'open/sealed/in'].map(modeOf), ['755', '1755', '740'])
  }
  t.same(['open', 'open/sealed', 'open/sealed/in'].map(modeOf), ['755', '1555', '40'])
  using nothing = unlockDirs(dirs, [rel('open/f')])
  t.equal(nothing.isAny, false)
})

t.test('a directory of another user is not touched', async (t) => {
  const found = asNobody(`
    import { SafeDirs } from '@lib/disk/safe-dir.js'
    import { unlockDirs } from '@lib/disk/unlock-dirs.js'
    console.log(JSON.stringify(unlockDirs(new SafeDirs('/'), ['usr/bin/x', 'none/x', 'root/x/y']).isAny))
  `)
  t.equal(found, false)
})
