// One replica on a real folder, with a hub in memory and a watch that says what the test says.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { systemClock, type Clock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { readRules } from '../../lib/disk/ignore.ts'
import { hostPath } from '../../lib/model/path.ts'
import type { WatchEvent } from '../../lib/model/watch-event.ts'
import type { WriteResult, WriteStep } from '../../lib/model/write-step.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import type { Disk, ToRead } from '../../lib/replica/ports.ts'
import { Replica } from '../../lib/replica/replica.ts'
import { Base } from '../../lib/store/base.ts'
import { rel } from './builders.ts'
import { type MemoryHub } from './memory-hub.ts'

const REST_MS = 10_000

export const AGREED = { id: 'folder-1', incarnation: 'life-1', pruned: 0 }

interface BenchOptions {
  readonly loseBase?: boolean
  readonly backlog?: number
  readonly clock?: Clock
}

export class ReplicaBench {
  readonly root: string
  readonly dir: string
  /** What happens right before the disk is changed, or small files are read. */
  readonly moments: {
    beforeApply?: (steps: readonly WriteStep[]) => void
    beforeRead?: (files: readonly ToRead[]) => void
    afterLook?: () => void
    /** Steps that find their target other than expected. */
    differs?: (step: WriteStep) => boolean
  } = {}
  /** The rules that the watch was last given. */
  watched: readonly string[] = []
  readonly #lanes = new DiskLanes()
  #replica: Replica | undefined
  #link = new AbortController()
  #events: (events: readonly WatchEvent[]) => void = () => undefined

  constructor(t: Test) {
    this.dir = mkdtempSync(join(tmpdir(), 'ssr-'))
    this.root = join(this.dir, 'folder')
    mkdirSync(this.root)
    t.teardown(async () => {
      await this.close()
      await this.#lanes[Symbol.asyncDispose]()
      rmSync(this.dir, { recursive: true, force: true })
    })
  }

  get replica(): Replica {
    if (this.#replica === undefined) throw new Error('the replica is closed')
    return this.#replica
  }

  /** Opens the replica, with a new base when the old one is lost. */
  async open({ loseBase = false, backlog = 20_000, clock = systemClock }: BenchOptions = {}): Promise<Replica> {
    const baseFile = join(this.dir, 'base.db')
    if (loseBase) for (const part of ['', '-wal', '-shm']) rmSync(baseFile + part, { force: true })
    const root = hostPath(this.root)
    const disk = this.#lanes.disk({ root, baseFile })
    this.#replica = await Replica.open(
      {
        name: 'docs',
        root,
        base: Base.open(baseFile),
        disk: this.#tapped(disk),
        clock,
        log: silentLog,
        maxDelete: { kind: 'share', share: 0.5 },
        settleMs: 20,
        backlog,
        rescanMs: 3_600_000,
        rules: () => readRules(root, ['*.tmp']),
        keepStaged: () => false,
      },
      (rules) => (on) => {
        this.watched = rules
        this.#events = on.events
        return Promise.resolve({
          setRules: (changed) => {
            this.watched = changed
          },
          [Symbol.asyncDispose]: () => Promise.resolve(),
        })
      },
    )
    return this.#replica
  }

  async close(): Promise<void> {
    this.leave()
    await this.#replica?.[Symbol.asyncDispose]()
    this.#replica = undefined
  }

  /** Joins the hub, in place of any before. */
  join(hub: MemoryHub, agreement = AGREED): void {
    this.leave()
    this.#link = new AbortController()
    this.replica.attach(hub, agreement, this.#link.signal)
  }

  leave(): void {
    this.#link.abort(new Error('the link is gone'))
  }

  /** Opens, joins, and waits until all is quiet. */
  async start(hub: MemoryHub, options: BenchOptions = {}): Promise<void> {
    await this.open(options)
    this.join(hub)
    await this.rest()
  }

  at(path: string): string {
    return join(this.root, path)
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true })
    writeFileSync(this.at(path), text)
  }

  /** Writes a file, and the watch says so. */
  put(path: string, text: string): void {
    this.write(path, text)
    this.hint(path)
  }

  remove(...paths: string[]): void {
    for (const path of paths) rmSync(this.at(path), { recursive: true })
    this.#events(paths.map((path) => ({ kind: 'gone', path: rel(path) })))
  }

  /** Renames a file or a directory, and the watch says so. */
  move(from: string, to: string): void {
    renameSync(this.at(from), this.at(to))
    const isDir = statSync(this.at(to)).isDirectory()
    this.#events([
      { kind: 'gone', path: rel(from) },
      isDir ? { kind: 'tree', dir: rel(to), why: 'new' } : { kind: 'whole', path: rel(to) },
    ])
  }

  /** The watch says so. */
  tell(...events: WatchEvent[]): void {
    this.#events(events)
  }

  hint(...paths: string[]): void {
    this.#events(paths.map((path) => ({ kind: 'whole', path: rel(path) })))
  }

  read(path: string): string {
    return readFileSync(this.at(path), 'utf8')
  }

  /** All files below the folder with their texts, directories as `/`; what is SystemSync's own left out. */
  files(): Record<string, string> {
    const found: Record<string, string> = {}
    const walk = (dir: string, prefix: string): void => {
      for (const name of readdirSync(dir)) {
        if (prefix === '' && name === '.systemsync') continue
        try {
          const isDir = statSync(join(dir, name)).isDirectory()
          found[prefix + name] = isDir ? '/' : readFileSync(join(dir, name), 'utf8')
          if (isDir) walk(join(dir, name), `${prefix}${name}/`)
        } catch (error) {
          // It went while it was looked at.
          if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
        }
      }
    }
    walk(this.root, '')
    return found
  }

  staged(): string[] {
    return readdirSync(this.at('.systemsync/staging'))
  }

  /** Waits until nothing more happens by itself. */
  async rest(): Promise<void> {
    let rested = 0
    await this.until('it rests', () => {
      rested = this.replica.isAtRest() ? rested + 1 : 0
      return rested > 5
    })
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    const deadline = performance.now() + REST_MS
    while (!isSo()) {
      if (performance.now() > deadline) {
        throw new Error(`it never came that ${what}: ${JSON.stringify(this.replica.status())}`)
      }
      await new Promise((done) => setTimeout(done, 5))
    }
  }

  #tapped(disk: Disk): Disk {
    return {
      ...disk,
      look: async (paths, signal) => {
        const looks = await disk.look(paths, signal)
        this.moments.afterLook?.()
        return looks
      },
      read: (files, signal) => {
        this.moments.beforeRead?.(files)
        return disk.read(files, signal)
      },
      apply: async (steps, signal) => {
        this.moments.beforeApply?.(steps)
        const differs = steps.map((step) => this.moments.differs?.(step) ?? false)
        const done = [
          ...(await disk.apply(
            steps.filter((_, index) => differs[index] !== true),
            signal,
          )),
        ]
        return differs.flatMap((isSo): WriteResult[] => (isSo ? [{ kind: 'differs' }] : done.splice(0, 1)))
      },
    }
  }
}
