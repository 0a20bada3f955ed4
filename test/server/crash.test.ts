import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Source } from '../../lib/model/content.ts'
import { rel } from '../support/builders.ts'
import { Served, fileOf, put } from '../support/served-folder.ts'

const SMALL = 'a small text'
const LARGE = 'x'.repeat(300_000)
const signal = new AbortController().signal

/** Where the coordinator dies while it commits; `isKept`: whether the revision exists from then on. */
const deaths: readonly {
  readonly when: string
  readonly isKept: boolean
  readonly arm: (served: Served, die: () => void) => void
}[] = [
  {
    when: 'when the staged file is out of its writer’s reach',
    isKept: false,
    arm: ({ lanes }, die) => {
      lanes.onTake = () => {
        die()
        return new Promise(() => undefined)
      }
    },
  },
  {
    when: 'when the content is durable, right before the commit',
    isKept: false,
    arm: ({ lanes }, die) => {
      lanes.onTake = async (_, take) => {
        await take()
        die()
        return await new Promise(() => undefined)
      }
    },
  },
  {
    when: 'in the commit',
    isKept: false,
    arm: ({ hub }, die) => {
      hub.journal.commit = () => {
        die()
        throw new Error('died')
      }
    },
  },
  {
    when: 'right after the commit, before anyone is told',
    isKept: true,
    arm: ({ hub }, die) => {
      const { journal } = hub
      const commit = journal.commit.bind(journal)
      journal.commit = (what) => {
        commit(what)
        die()
        throw new Error('died')
      }
    },
  },
  {
    when: 'when others are being told',
    isKept: true,
    arm: ({ hub }, die) => {
      hub.onCommit(() => {
        die()
        throw new Error('died')
      })
    },
  },
]

for (const { when, isKept, arm } of deaths) {
  for (const [size, text] of [
    ['small', SMALL],
    ['large', LARGE],
  ] as const) {
    t.test(`a coordinator that dies ${when} of a ${size} content loses nothing and leaves nothing`, async (t) => {
      const served = new Served(t)
      await served.open()
      t.match(await served.push('before', 'acknowledged'), { kind: 'accepted' })
      await served.rest()
      const name = size === 'small' ? 'p2' : `o-${fileOf(text).sha256}`
      const source: Source = size === 'small' ? { kind: 'pack', pack: name, offset: 0 } : { kind: 'staged', name }
      served.stage('ann', name, text)
      const died = new Promise<void>((resolve) => {
        arm(served, resolve)
      })
      void served.hub.propose('ann', [put('f', 0, text, source)], signal).catch(() => undefined)
      await died
      await served.close()
      served.lanes.onTake = undefined

      const hub = await served.open()
      await served.rest()
      t.equal(served.textOf('acknowledged'), 'acknowledged', 'what was acknowledged is there')
      t.equal(readFileSync(`${served.root}/before`, 'utf8'), 'acknowledged')
      t.equal(hub.journal.head(rel('f')) !== undefined, isKept)
      const packs = hub.journal.packs().map(({ id }) => id)
      t.same(served.kept('packs'), packs.sort(), 'no pack that the journal does not know')
      const { sha256 } = fileOf(text)
      t.same(served.kept('objects'), isKept && size === 'large' ? [sha256] : [], 'no such object')
      t.same(served.kept('staging'), [], 'nothing is left staged')

      served.stage('ann', name, text)
      const { outcomes } = await hub.propose('ann', [put('f', 0, text, source)], signal)
      t.match(outcomes, [{ kind: isKept ? 'duplicate' : 'accepted' }], 'proposed again')
      t.same(hub.journal.collisions(), [])
      t.equal(hub.journal.revisionsOf(rel('f')).length, 1, 'it was committed once')
      t.equal(served.textOf(text), text)
      await served.rest()
      t.equal(readFileSync(`${served.root}/f`, 'utf8'), text)
    })
  }
}
