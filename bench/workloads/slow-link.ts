// W9: saves, many small files and a small edit of a big one over 20 ms and 100 Mbit/s.

import { makeTree } from '../trees.ts'
import { Goal } from '../goal.ts'
import { arrive, type Finding, type Ground, rest, startAndRest, type Workload } from '../workload.ts'
import { editBigFile, putBigFile } from './big-file.ts'
import { saveOften } from './latency.ts'
import { moveTreeIn } from './small-files.ts'

const MIB = 1024 * 1024
const DIRS = 20

export const slowSaves: Workload = {
  works: ['W9.W1'],
  title: 'save to visible over 20 ms, 100 Mbit/s',
  isSlow: true,
  touchBytes: 64e6,
  run: async function* (ground): AsyncGenerator<Finding> {
    const [a, b] = ground.arena.seats
    makeTree(a.folder, { files: 200, dirs: DIRS, sizeBytes: 1024 })
    await startAndRest(ground)
    await arrive(ground, Goal.of(a.folder, a.folder), [b.folder])
    await rest(ground)
    yield { work: 'W9.W1', figures: await saveOften(ground, { saves: ground.isQuick ? 5 : 10, dirs: DIRS }) }
  },
}

export const slowSmallFiles: Workload = {
  works: ['W9.W2'],
  title: 'many small files over 20 ms, 100 Mbit/s',
  isSlow: true,
  touchBytes: 400e6,
  run: async function* (ground): AsyncGenerator<Finding> {
    const shape = ground.isQuick ? { files: 1000, dirs: 20 } : { files: 10_000, dirs: 200 }
    yield { work: 'W9.W2', figures: await moveTreeIn(ground, { ...shape, sizeBytes: 4096 }) }
  },
}

export const slowEdit: Workload = {
  works: ['W9.W4'],
  title: 'a small edit of a big file over 20 ms, 100 Mbit/s',
  isSlow: true,
  touchBytes: 2e9,
  run: async function* (ground: Ground): AsyncGenerator<Finding> {
    // A smaller file than W4's: it has to come over the slow link once before it can be edited.
    await putBigFile(ground, (ground.isQuick ? 32 : 256) * MIB)
    yield { work: 'W9.W4', figures: await editBigFile(ground) }
  },
}
