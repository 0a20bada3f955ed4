import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { systemClock, type Clock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { makeOwnDirs } from '../../lib/disk/own-dir.ts'
import { hostPath } from '../../lib/model/path.ts'
import { Leftovers } from '../../lib/replica/leftovers.ts'
import type { ReplicaParts } from '../../lib/replica/folder-state.ts'
import { Base } from '../../lib/store/base.ts'
import { file, head, rel } from '../support/builders.ts'

const ONE = `o-${'1'.repeat(64)}`
const TWO = `o-${'2'.repeat(64)}`

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
  const parts = {
    root,
    base,
    clock,
    keepStaged: (name: string) => /^(ann|o-brien)$/.test(name),
    log: silentLog,
    name: 'docs',
  } as unknown as ReplicaParts
  let isHalted = false
  const leftovers = new Leftovers(parts, { isUsing: (sha256) => used.has(sha256) }, () => isHalted)
  const halt = (): void => {
    isHalted = true
  }
  const stage = (...names: string[]): void => {
    for (const name of names) writeFileSync(`${root}/.systemsync/staging/${name}`, 'x')
  }
  return {
    root,
    halt,
    base,
    leftovers,
    used,
    stage,
    timers,
    staged: () => readdirSync(`${root}/.systemsync/staging`).sort(),
  }
}

t.test(
  'at the start all goes but what is not ours and what may be gone on with; that, too, when nobody asks for it',
  (t) => {
    const { leftovers, stage, staged, timers } = folder(t)
    stage('ann', 'write-1', ONE)
    leftovers.opened()
    t.same(staged(), ['ann', ONE])
    leftovers.begun()
    leftovers.tidy()
    t.same(staged(), ['ann', ONE], 'it is waited for')
    leftovers.caughtUp()
    timers[0]?.()
    t.same(staged(), ['ann'])
    t.end()
  },
)

t.test('what a fetch left goes as soon as no head waits and it is not in use', (t) => {
  const { base, leftovers, used, stage, staged } = folder(t)
  leftovers.opened()
  stage(ONE, TWO)
  leftovers.tidy()
  t.same(staged(), [], 'nothing waits')
  stage(ONE, TWO)
  leftovers.tidy()
  t.same(staged(), [ONE, TWO], 'nothing was begun')
  leftovers.begun()
  base.takeIncoming([{ head: head('big', 1, file(1)), place: undefined }], 1)
  leftovers.tidy()
  t.same(staged(), [ONE, TWO], 'a head waits, for one of them perhaps')
  base.dropIncomings([{ path: rel('big'), seq: 1 }])
  used.add('2'.repeat(64))
  leftovers.tidy()
  t.same(staged(), [TWO])
  used.clear()
  leftovers.tidy()
  t.same(staged(), [])
  t.end()
})

t.test('what was put together and did not get into its place, or its data, does not stay until the next start', (t) => {
  const { leftovers, used, stage, staged } = folder(t)
  leftovers.opened()
  const made = ['1', '2'].flatMap((digit) => [`l-${digit.repeat(64)}`, `p-${digit.repeat(64)}`]).sort()
  stage('write-1', ...made)
  used.add('1'.repeat(64))
  leftovers.begun()
  leftovers.tidy()
  t.same(
    staged(),
    [...made.filter((name) => name.includes('1')), 'write-1'],
    'what is in use stays, and what is not ours',
  )
  used.clear()
  leftovers.tidy()
  t.same(staged(), ['write-1'])
  stage(...made)
  leftovers.opened()
  t.same(staged(), [], 'nor is it gone on with')
  t.end()
})

t.test('a client whose name looks like a content keeps its staging', (t) => {
  const { leftovers, stage, staged } = folder(t)
  stage('o-brien')
  leftovers.opened()
  leftovers.begun()
  leftovers.tidy()
  t.same(staged(), ['o-brien'])
  t.end()
})

t.test('a link that goes again before the wait is over keeps what it left', (t) => {
  const { leftovers, stage, staged, timers } = folder(t)
  stage(ONE)
  leftovers.opened()
  leftovers.caughtUp()
  leftovers.detached()
  t.same(timers, [])
  leftovers.tidy()
  t.same(staged(), [ONE])
  t.end()
})

t.test('where another folder may stand, or the disk cannot be read, nothing is removed and nothing breaks', (t) => {
  const { root, leftovers, stage, staged, timers, halt } = folder(t)
  stage(ONE)
  leftovers.opened()
  leftovers.caughtUp()
  renameSync(`${root}/.systemsync/staging`, `${root}/elsewhere`)
  writeFileSync(`${root}/.systemsync/staging`, 'no directory')
  timers[0]?.()
  rmSync(`${root}/.systemsync/staging`)
  renameSync(`${root}/elsewhere`, `${root}/.systemsync/staging`)
  halt()
  leftovers.begun()
  leftovers.tidy()
  t.same(staged(), [ONE])
  t.end()
})
