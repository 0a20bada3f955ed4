// One folder as the coordinator serves it, without a network: opened, crashed at a chosen step, opened again.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { systemClock, type Clock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import type { TakeStaged } from '../../lib/disk/take-staged.ts'
import type { Source, SourcedProposal } from '../../lib/model/content.ts'
import type { Digest } from '../../lib/model/digest.ts'
import type { FileEntry } from '../../lib/model/entry.ts'
import { hostPath } from '../../lib/model/path.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import type { FolderHub } from '../../lib/server/folder-hub.ts'
import { openFolder, type ServedFolder } from '../../lib/server/open-folder.ts'
import { rel } from './builders.ts'

type Take = DiskLanes['take']

/** Lanes that do something else where a staged file is taken. */
export class TappedLanes extends DiskLanes {
  /** Called in place of `take`, which it is given. */
  onTake: ((job: TakeStaged, take: () => ReturnType<Take>) => ReturnType<Take>) | undefined

  override take(...[job, signal]: Parameters<Take>): ReturnType<Take> {
    const take = () => super.take(job, signal)
    return this.onTake === undefined ? take() : this.onTake(job, take)
  }
}

export class Served {
  readonly root: string
  readonly lanes = new TappedLanes()
  /** The coordinator's state directory, below one of its own. */
  state = 'state'
  /** Added to this machine's clock, in milliseconds. */
  aheadMs = 0
  readonly #dir = mkdtempSync(join(tmpdir(), 'sss-'))
  readonly #clock: Clock = { ...systemClock, now: () => systemClock.now() + this.aheadMs }
  #open: ServedFolder | undefined
  #stop = new AbortController()

  constructor(t: Test) {
    this.root = join(this.#dir, 'docs')
    mkdirSync(this.root)
    t.teardown(async () => {
      await this.close()
      await this.lanes[Symbol.asyncDispose]()
      rmSync(this.#dir, { recursive: true, force: true })
    })
  }

  get folder(): ServedFolder {
    if (this.#open === undefined) throw new Error('the folder is closed')
    return this.#open
  }

  get hub(): FolderHub {
    return this.folder.hub
  }

  async open(): Promise<FolderHub> {
    this.#stop = new AbortController()
    const settings = { settleMs: 20, rescanMs: 3_600_000, ignore: [], maxDelete: { kind: 'off' } } as const
    this.#open = await openFolder(
      {
        folder: { name: 'docs', root: hostPath(this.root), conflict: 'latest', clients: ['ann', 'bob'], ...settings },
        stateDir: hostPath(join(this.#dir, this.state)),
        lanes: this.lanes,
        clock: this.#clock,
        log: silentLog,
      },
      this.#stop.signal,
    )
    return this.#open.hub
  }

  /** Ends without any word to what is in hand. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'))
    await this.#open?.replica[Symbol.asyncDispose]()
    this.#open?.hub.journal.close()
    this.#open = undefined
  }

  /** Stages bytes as `peer` does. */
  stage(peer: string, name: string, bytes: Uint8Array | string): void {
    writeFileSync(`${this.hub.store.stagingOf(peer)}/${name}`, bytes)
  }

  /** Stages a text in a pack of its own and proposes it, on top of the head unless told otherwise; what became of it. */
  async push(
    path: string,
    text: string,
    { peer = 'ann', base = this.headSeq(path), writtenAtMs = this.#clock.now() } = {},
  ) {
    this.stage(peer, 'p1', text)
    const source: Source = text === '' ? { kind: 'held' } : { kind: 'pack', pack: 'p1', offset: 0 }
    const { outcomes } = await this.hub.propose(peer, [put(path, base, text, source, writtenAtMs)], this.#stop.signal)
    return outcomes[0]
  }

  async remove(path: string, peer = 'ann') {
    const base = this.headSeq(path)
    const proposal = { path: rel(path), base, entry: undefined, writtenAtMs: this.#clock.now() }
    const { outcomes } = await this.hub.propose(peer, [{ proposal, source: { kind: 'held' } }], this.#stop.signal)
    return outcomes[0]
  }

  headSeq(path: string): number {
    return this.hub.journal.head(rel(path))?.seq ?? 0
  }

  /** The text of a content that the journal knows; throws when it cannot be read. */
  textOf(text: string): string {
    const { sha256, size } = fileOf(text)
    const kept = this.hub.journal.place(sha256)
    if (kept === undefined) throw new Error(`the journal does not know the content of "${text.slice(0, 20)}"`)
    const [bytes = ''] = this.hub.store.read([{ sha256, size, place: kept.place }])
    return Buffer.from(bytes).toString()
  }

  /** Files in the folder's own directories `packs` and `objects`, and in `staging` with what is not a peer's. */
  kept(dir: 'packs' | 'objects' | 'staging'): string[] {
    return readdirSync(`${this.root}/.systemsync/${dir}`, { recursive: true, withFileTypes: true })
      .filter((found) => !found.isDirectory())
      .map(({ name }) => name)
      .sort()
  }

  /** Waits until the folder's own replica has nothing more to do. */
  async rest(): Promise<void> {
    const deadline = performance.now() + 10_000
    for (let rested = 0; rested < 5; rested = this.folder.replica.isAtRest() ? rested + 1 : 0) {
      if (performance.now() > deadline) throw new Error('the replica does not rest')
      await new Promise((done) => setTimeout(done, 10))
    }
  }
}

export function put(
  path: string,
  base: number,
  text: string,
  source: Source,
  writtenAtMs = Date.now(),
): SourcedProposal {
  return { proposal: { path: rel(path), base, entry: fileOf(text), writtenAtMs }, source }
}

export function fileOf(text: string): FileEntry {
  const bytes = Buffer.from(text)
  const sha256 = createHash('sha256').update(bytes).digest('hex') as Digest
  return { kind: 'file', size: bytes.length, mtimeNs: '1700000000000000000', mode: 0o644, sha256 }
}
