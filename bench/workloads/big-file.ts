// W3: one big file; W4: the same with a little inserted in front and a little overwritten in its middle.

import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { Goal } from '../goal.ts'
import { makeFile, spliceFile } from '../trees.ts'
import {
  aside,
  type Figures,
  type Finding,
  type Ground,
  measure,
  rest,
  startAndRest,
  type Workload,
} from '../workload.ts'

const MIB = 1024 * 1024
const EDIT_BYTES = 1024

export const bigFile: Workload = {
  works: ['W3', 'W4'],
  title: 'one big file, and a small edit of it',
  touchBytes: 5e9,
  run: async function* (ground, isWanted): AsyncGenerator<Finding> {
    const figures = await putBigFile(ground, ground.isQuick ? 128 * MIB : 1024 * MIB)
    yield { work: 'W3', figures }
    if (isWanted('W4')) yield { work: 'W4', figures: await editBigFile(ground) }
  },
}

/** Moves a file of `sizeBytes` into A of a running contender. */
export async function putBigFile(ground: Ground, sizeBytes: number): Promise<Figures> {
  const ready = aside(ground.arena, 'big')
  mkdirSync(ready)
  makeFile(join(ready, 'big'), sizeBytes)
  await startAndRest(ground)
  const { folder } = ground.arena.seats[0]
  const goal = Goal.of(ready, folder)
  return measure(ground, goal, () => renameSync(join(ready, 'big'), join(folder, 'big')))
}

/** Saves it the way editors do: the new file is written beside, and renamed over the old one. */
export async function editBigFile(ground: Ground): Promise<Figures> {
  await rest(ground)
  const ready = aside(ground.arena, 'edited')
  mkdirSync(ready)
  const { folder } = ground.arena.seats[0]
  const edit = { front: randomBytes(EDIT_BYTES), middle: randomBytes(EDIT_BYTES) }
  spliceFile(join(folder, 'big'), join(ready, 'big'), edit)
  const goal = Goal.of(ready, folder)
  return measure(ground, goal, () => renameSync(join(ready, 'big'), join(folder, 'big')))
}
