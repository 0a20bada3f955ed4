// A disk of 256 KiB, for what happens when it is full. Mounting takes root: without it the test is skipped and says so.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { writeMarker } from '../../lib/disk/marker.ts'
import { SafeDirs } from '../../lib/disk/safe-dir.ts'
import { hostPath } from '../../lib/model/path.ts'
import { aFolder, printAt } from './a-folder.ts'
import type { Folder } from './a-folder.ts'

interface Test {
  teardown(fn: () => void): void
  comment(text: string): void
  pass(text: string): void
}

/** Runs `use` on a marked folder that is a tiny disk. */
export async function withTinyDisk(t: Test, use: (folder: Folder) => void | Promise<void>): Promise<void> {
  const place = `${aFolder(t).root}/tiny`
  mkdirSync(place)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=755', 'tmpfs', place], { stdio: 'pipe' })
  } catch {
    t.comment('skipped: mounting a tmpfs is not permitted here')
    t.pass('no mount')
    return
  }
  const root = hostPath(place)
  const dirs = new SafeDirs(root)
  try {
    writeMarker(root, 'tiny')
    await use({
      root,
      outside: place,
      dirs,
      at: (path) => `${root}/${path}`,
      print: (path) => printAt(`${root}/${path}`),
      staged: () => readdirSync(`${root}/.systemsync/staging`),
    })
  } finally {
    dirs.close()
    execFileSync('umount', ['-l', place])
  }
}
