// W5: a directory with many files gets another name.

import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { Goal } from '../goal.ts'
import { makeTree } from '../trees.ts'
import { arrive, type Finding, measure, rest, startAndRest, type Workload } from '../workload.ts'

export const rename: Workload = {
  works: ['W5'],
  title: 'a directory is renamed',
  touchBytes: 400e6,
  run: async function* (ground): AsyncGenerator<Finding> {
    const { arena, isQuick } = ground
    const [a, b] = arena.seats
    const [old, renamed] = [join(a.folder, 'old'), join(a.folder, 'renamed')]
    makeTree(old, { files: isQuick ? 1000 : 5000, dirs: isQuick ? 10 : 50, sizeBytes: 12_582 })
    await startAndRest(ground)
    await arrive(ground, Goal.of(a.folder, a.folder), [b.folder])
    await rest(ground)
    const goal = Goal.of(old, a.folder, 'renamed')
    yield { work: 'W5', figures: await measure(ground, goal, () => renameSync(old, renamed)) }
  },
}
