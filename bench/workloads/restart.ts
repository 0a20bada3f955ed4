// W6: restart on many unchanged files with one changed meanwhile; W1.100k: saves among as many files.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Goal } from '../goal.ts'
import { makeTree } from '../trees.ts'
import { arrive, type Finding, measure, rest, startAndRest, type Workload } from '../workload.ts'
import { saveOften } from './latency.ts'

export const restart: Workload = {
  works: ['W6', 'W1.100k'],
  title: 'restart on 100,000 files, then saves among them',
  touchBytes: 1e9,
  run: async function* (ground, isWanted): AsyncGenerator<Finding> {
    const { arena, session, isQuick } = ground
    const shape = { files: isQuick ? 10_000 : 100_000, dirs: isQuick ? 100 : 1000, sizeBytes: 512 }
    const folder = arena.seats[0].folder
    makeTree(folder, shape)
    // All stand at the same already: what is measured is the start after that is known.
    for (const other of [arena.hub, arena.seats[1].folder])
      // cp, because Node sets times to the microsecond only, and then every file would differ.
      await arena.brood.run({ name: 'cp', command: 'cp', args: ['-a', `${folder}/.`, other] })
    await startAndRest(ground)
    await arrive(ground, Goal.of(folder, folder), [arena.seats[1].folder])
    await rest(ground)
    await session.stop()
    const changed = join(folder, 'd7', 'f7')
    writeFileSync(changed, randomBytes(700))
    const goal = Goal.of(folder, folder)
    yield { work: 'W6', figures: await measure(ground, goal, () => session.start()) }
    await rest(ground)
    if (isWanted('W1.100k'))
      yield { work: 'W1.100k', figures: await saveOften(ground, { saves: isQuick ? 8 : 20, dirs: shape.dirs }) }
  },
}
