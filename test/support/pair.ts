// A hub and two clients in one process, with every byte of contents between them counted.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { copyFile, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog, type Log } from '../../lib/daemon/log.ts'
import type { Patch, SourcedProposal } from '../../lib/model/content.ts'
import { hostPath } from '../../lib/model/path.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import { baseFileOf, openReplica } from '../../lib/replica/open-replica.ts'
import type { Depot, Hub } from '../../lib/replica/ports.ts'
import type { Replica } from '../../lib/replica/replica.ts'
import { ContentStore } from '../../lib/server/content-store.ts'
import { FolderHub } from '../../lib/server/folder-hub.ts'
import { Base } from '../../lib/store/base.ts'
import { Journal } from '../../lib/store/journal.ts'

/** Contents that one client sent and got, in bytes, and what it proposed. */
export interface Traffic {
  up: number
  down: number
  readonly proposed: SourcedProposal[]
}

export interface PairClient {
  readonly root: string
  readonly traffic: Traffic
  readonly baseFile: string
  readonly replica: Replica
  /** What its log was told, at any level. */
  readonly said: string[]
  /** Leaves the hub until it joins again. */
  leave(): void
  join(): void
}

export interface Pair {
  readonly hub: FolderHub
  readonly journal: Journal
  readonly a: PairClient
  readonly b: PairClient
  /** May be changed: what the hub answers when it is asked how a content was made. */
  recipe: (patch: Patch | undefined) => Patch | undefined
  /** May be changed: is waited for before a client reads parts of a content, so many bytes in all. */
  beforeRanges: (bytes: number) => Promise<void>
  /** Waits until `isSo`; throws when it does not come. */
  until(what: string, isSo: () => boolean): Promise<void>
  /** Waits until all who are here have everything, and keep a recipe of every large file. */
  recipesKept(): Promise<void>
}

export async function aPair(t: { teardown(fn: () => Promise<void>): void }): Promise<Pair> {
  const dir = mkdtempSync(join(tmpdir(), 'pair-'))
  const lanes = new DiskLanes()
  const journal = Journal.open(join(dir, 'hub', 'journal.db'))
  journal.create({ folderId: 'folder-1', incarnation: 'life-1' })
  const hubRoot = hostPath(join(dir, 'hub', 'folder'))
  const store = new ContentStore(hubRoot, {
    follow: (place) => lanes.follow(place),
    take: (job, signal) => lanes.take(job, signal),
    assemble: (job, signal) => lanes.assemble(job, signal),
  })
  mkdirSync(hubRoot, { recursive: true })
  store.prepare(new Set())
  const hub = new FolderHub({ name: 'docs', journal, store, conflict: 'latest', clock: systemClock, log: silentLog })
  const pair: Pick<Pair, 'recipe' | 'beforeRanges'> = {
    recipe: (patch) => patch,
    beforeRanges: () => Promise.resolve(),
  }
  const a = await aClient('a')
  const b = await aClient('b')
  t.teardown(async () => {
    for (const client of [a, b]) {
      client.leave()
      await client.replica[Symbol.asyncDispose]()
    }
    await lanes[Symbol.asyncDispose]()
    journal.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const until = async (what: string, isSo: () => boolean): Promise<void> => {
    const deadline = performance.now() + 30_000
    while (!isSo()) {
      if (performance.now() > deadline) throw new Error(`it never came that ${what}`)
      await new Promise((done) => setTimeout(done, 20))
    }
  }
  const isSettled = (client: PairClient): boolean => {
    if (client.replica.status().state === 'offline') return true
    return client.replica.isAtRest() && client.replica.cursor === journal.seq() && hasRecipes(client)
  }
  return Object.assign(pair, {
    ...{ hub, journal, a, b, until },
    recipesKept: async () => {
      let calm = 0
      await until('recipes are kept', () => {
        calm = [a, b].every(isSettled) ? calm + 1 : 0
        return calm > 10
      })
    },
  })

  async function aClient(name: string): Promise<PairClient> {
    const stateDir = hostPath(join(dir, name, 'state'))
    const root = hostPath(join(dir, name, 'folder'))
    mkdirSync(root, { recursive: true })
    const settings = {
      name: 'docs',
      root,
      ignore: [],
      maxDelete: { kind: 'off' as const },
      settleMs: 50,
      rescanMs: 3_600_000,
    }
    const said: string[] = []
    const replica = await openReplica(settings, { stateDir, lanes, clock: systemClock, log: hearing(said) })
    const traffic: Traffic = { up: 0, down: 0, proposed: [] }
    let joined = new AbortController()
    const join_ = (): void => {
      joined = new AbortController()
      const listening = hub.onCommit((news) => {
        const { prev, upTo } = news
        replica.told(news.author === name ? { prev, upTo, heads: [] } : news)
      })
      joined.signal.addEventListener('abort', () => {
        listening[Symbol.dispose]()
      })
      replica.attach(
        hubOf(name, traffic),
        { id: journal.folderId(), incarnation: journal.incarnation(), pruned: journal.pruned() },
        joined.signal,
      )
    }
    join_()
    return {
      ...{ root, traffic, replica, said, join: join_ },
      baseFile: baseFileOf(stateDir, 'docs'),
      leave: () => {
        joined.abort(new DOMException('gone', 'AbortError'))
      },
    }
  }

  function hubOf(peer: string, traffic: Traffic): Hub {
    return {
      changes: (since) => Promise.resolve(hub.changes(since, 1000)),
      holdings: (contents) => Promise.resolve(hub.holdings(peer, contents)),
      propose: (batch, signal) => {
        traffic.proposed.push(...batch)
        return hub.propose(peer, batch, signal)
      },
      moveTrees: (moves) => Promise.resolve(hub.moveTrees(peer, moves)),
      places: (digests) => Promise.resolve(hub.places(digests)),
      recipe: (sha256) => Promise.resolve(pair.recipe(hub.recipe(sha256))),
      report: () => undefined,
      clockOffsetMs: () => 0,
      depot: depotOf(peer, traffic),
    }
  }

  function depotOf(peer: string, traffic: Traffic): Depot {
    return {
      isNear: false,
      readComing: () => Promise.resolve(false),
      putPack: () => Promise.reject(new Error('no small files here')),
      discard: async (name) => {
        await rm(`${store.stagingOf(peer)}/${name}`, { force: true })
      },
      putFile: async ({ fd, name, size, from }) => {
        traffic.up += size - from
        await copyFile(`/proc/self/fd/${fd}`, `${store.stagingOf(peer)}/${name}`)
      },
      read: () => Promise.reject(new Error('no small files here')),
      readFile: async ({ sha256, size, place }, target) => {
        traffic.down += size - target.from
        await copyFile(store.hostPlace(sha256, place).file, target.place)
      },
      readRanges: async ({ sha256 }, { place, ranges }) => {
        await pair.beforeRanges(ranges.reduce((sum, { length }) => sum + length, 0))
        await using from = await open(store.hostPlace(sha256, { kind: 'object' }).file, 'r')
        await using to = await open(place, 'r+')
        for (const { offset, length } of ranges) {
          traffic.down += length
          const bytes = Buffer.alloc(length)
          await from.read(bytes, 0, length, offset)
          await to.write(bytes, 0, length, offset)
        }
      },
    }
  }
}

function hasRecipes({ baseFile }: PairClient): boolean {
  using base = Base.open(baseFile, { readOnly: true })
  return base.lackingRecipe(undefined) === undefined
}

/** A log that keeps what it is told in `said`. */
function hearing(said: string[]): Log {
  const hear = (message: string): void => void said.push(message)
  const log: Log = { error: hear, warn: hear, info: hear, debug: hear, child: () => log }
  return log
}
