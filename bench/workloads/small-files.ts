// W2: many small files, into a running contender, and from its start.

import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { Goal } from '../goal.ts'
import { makeTree } from '../trees.ts'
import { aside, type Finding, type Ground, measure, startAndRest, type Workload } from '../workload.ts'

const shape = ({ isQuick }: Ground) => ({ files: isQuick ? 2000 : 10_000, dirs: isQuick ? 40 : 200, sizeBytes: 4096 })

/** The contender runs; a directory with all the files is moved into A. */
export const smallFiles: Workload = {
  works: ['W2'],
  title: 'many small files appear',
  touchBytes: 400e6,
  run: async function* (ground): AsyncGenerator<Finding> {
    yield { work: 'W2', figures: await moveTreeIn(ground, shape(ground)) }
  },
}

/** The files are there; the contender is started. */
export const smallFilesCold: Workload = {
  works: ['W2.cold'],
  title: 'many small files, start-up included',
  touchBytes: 400e6,
  suits: ({ kind }) => kind === 'continuous',
  run: async function* (ground): AsyncGenerator<Finding> {
    const [a] = ground.arena.seats
    makeTree(a.folder, shape(ground))
    const goal = Goal.of(a.folder, a.folder)
    yield { work: 'W2.cold', figures: await measure(ground, goal, () => ground.session.start()) }
  },
}

/** Moves a tree into A in one step and measures until it is everywhere. */
export async function moveTreeIn(ground: Ground, tree: { files: number; dirs: number; sizeBytes: number }) {
  const { arena } = ground
  const ready = aside(arena, 'tree')
  makeTree(ready, tree)
  await startAndRest(ground)
  const [a] = arena.seats
  const goal = Goal.of(ready, a.folder, 'tree')
  return measure(ground, goal, () => renameSync(ready, join(a.folder, 'tree')))
}
