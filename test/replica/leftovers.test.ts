import { readdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { systemClock, type Clock } from '../../lib/daemon/clock.ts'
import { makeOwnDirs } from '../../lib/disk/own-dir.ts'
import { hostPath } from '../../lib/model/path.ts'
import { Leftovers } from '../../lib/replica/leftovers.ts'
import type { ReplicaParts } from '../../lib/replica/folder-state.ts'
import { Base } from '../../lib/store/base.ts'
import { file, head, rel } from '../support/builders.ts'

function folder(t: Test) {
  const root = hostPath(t.testdir({ folder: {} }) + '/folder')
  makeOwnDirs(root)
  const base = Base.open(`${root}/../base.db`)
  t.teardown(() => {
    base.close()
  })
  const used = new Set<string>()
  const timers: (() => void)[] = []
  const clock: Clock = {
    ...systemClock,
    after: (_, run) => {
      timers.push(run)
      return { [Symbol.dispose]: () => void timers.splice(timers.indexOf(run), 1) }
    },
  }
  const parts = { root, base, clock, keepStaged: (name: string) => name === 'ann' } as unknown as ReplicaParts
  const leftovers = new Leftovers(parts, { isUsing: (name) => used.has(name) })
  const stage = (...names: string[]): void => {
    for (const name of names) writeFileSync(`${root}/.systemsync/staging/${name}`, 'x')
  }
  return { base, leftovers, used, stage, timers, staged: () => readdirSync(`${root}/.systemsync/staging`).sort() }
}

t.test(
  'at the start all goes but what is not ours and what may be gone on with; that, too, when nobody asks for it',
  (t) => {
    const { leftovers, stage, staged, timers } = folder(t)
    stage('ann', 'write-1', 'o-1')
    leftovers.opened()
    t.same(staged(), ['ann', 'o-1'])
    leftovers.begun()
    leftovers.tidy()
    t.same(staged(), ['ann', 'o-1'], 'it is waited for')
    leftovers.caughtUp()
    timers[0]?.()
    t.same(staged(), ['ann'])
    t.end()
  },
)

t.test('what a fetch left goes as soon as no head waits and it is not in use', (t) => {
  const { base, leftovers, used, stage, staged } = folder(t)
  leftovers.opened()
  stage('o-1', 'o-2')
  leftovers.tidy()
  t.same(staged(), ['o-1', 'o-2'], 'nothing was begun')
  leftovers.begun()
  base.takeIncoming([{ head: head('big', 1, file(1)), place: undefined }], 1)
  leftovers.tidy()
  t.same(staged(), ['o-1', 'o-2'], 'a head waits, for one of them perhaps')
  base.dropIncomings([{ path: rel('big'), seq: 1 }])
  used.add('o-2')
  leftovers.tidy()
  t.same(staged(), ['o-2'])
  used.clear()
  leftovers.tidy()
  t.same(staged(), [])
  t.end()
})
