// Disks of their own: one of 256 KiB, for what happens when it is full, and one with times that tick. Mounting takes root: without it the test is
// skipped and says so.

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

type Use = (folder: Folder) => void | Promise<void>

/** Runs `use` on a marked folder that is a tiny disk. */
export async function withTinyDisk(t: Test, use: Use): Promise<void> {
  await withDisk(t, ['tmpfs', 'size=256k,mode=755'], use)
}

/** Runs `use` on a marked folder whose times tick 100 to 1000 times a second, whatever the kernel can do. */
export async function withTickingDisk(t: Test, use: Use): Promise<void> {
  await withDisk(t, ['ramfs', 'mode=755'], use)
}

async function withDisk(t: Test, [type, options]: readonly [string, string], use: Use): Promise<void> {
  const place = `${aFolder(t).root}/tiny`
  mkdirSync(place)
  try {
    execFileSync('mount', ['-t', type, '-o', options, type, place], { stdio: 'pipe' })
  } catch {
    t.comment('skipped: mounting is not permitted here')
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
