// W10: one file of 64 MiB and 1,000 small ones to eight clients.

import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { Goal } from '../goal.ts'
import { makeFile, makeTree } from '../trees.ts'
import { aside, type Figures, type Finding, type Ground, measure, startAndRest, type Workload } from '../workload.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB

/** To eight clients. */
export const fanOut: Workload = fan('W10', 8)

/** The same to one: what the coordinator's share of W10 is compared with. */
export const fanToOne: Workload = fan('W10.one', 1)

function fan(work: string, receivers: number): Workload {
  return {
    works: [work],
    title: receivers === 1 ? 'the same as W10, to one client' : `fan-out to ${receivers} clients`,
    receivers,
    touchBytes: 1.5e9,
    run: async function* (ground): AsyncGenerator<Finding> {
      yield { work, figures: await fanTo(ground, receivers) }
    },
  }
}

async function fanTo(ground: Ground, receivers: number): Promise<Figures> {
  const { arena, session, isQuick } = ground
  const ready = aside(arena, 'fan')
  mkdirSync(ready)
  makeTree(join(ready, 'small'), { files: isQuick ? 200 : 1000, dirs: 10, sizeBytes: 4096 })
  makeFile(join(ready, 'large'), (isQuick ? 16 : 64) * MIB)
  await startAndRest(ground)
  const [a] = arena.seats
  const goal = Goal.of(ready, a.folder, 'fan')
  const coordinatorCpu = () => arena.meter.cpuSecondsBelow(session.coordinatorPid() ?? 0)
  const before = coordinatorCpu()
  const figures = await measure(ground, goal, () => renameSync(ready, join(a.folder, 'fan')))
  const delivered = (goal.bytes * receivers) / GIB
  return { ...figures, coordinator_cpu_per_gib_s: (coordinatorCpu() - before) / delivered }
}
