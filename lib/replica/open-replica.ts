// Opens the replica of one configured folder on this machine: base, disk, watch and engine together.

import { mkdirSync } from 'node:fs'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/log.ts'
import { compileIgnore, readRules } from '../disk/ignore.ts'
import { ConfigError } from '../errors.ts'
import type { HostPath } from '../model/path.ts'
import { Base } from '../store/base.ts'
import { TreeWatcher } from '../watch/tree-watcher.ts'
import type { DiskLanes } from './disk-lanes.ts'
import { FolderHold } from './folder-hold.ts'
import type { ReplicaParts } from './folder-state.ts'
import type { StartWatch } from './ports.ts'
import { Replica } from './replica.ts'

export interface FolderSettings {
  readonly name: string
  readonly root: HostPath
  readonly ignore: readonly string[]
  readonly maxDelete: { readonly kind: 'share'; readonly share: number } | { readonly kind: 'off' }
  readonly settleMs: number
  readonly rescanMs: number
}

export interface Machinery {
  readonly stateDir: HostPath
  readonly lanes: DiskLanes
  readonly clock: Clock
  readonly log: Log
  /** Names in the folder's staging that belong to others. */
  readonly keepStaged?: (name: string) => boolean
  /** Is run when the folder's directory is taken hold of, at the start and whenever it was away. What it throws halts the folder. */
  readonly prepare?: () => void
  readonly agreed?: ReplicaParts['agreed']
}

/** Some ten megabytes of what a scan found. */
const BACKLOG = 20_000

/** Where a folder's base is, under the node's state directory. */
export function baseFileOf(stateDir: HostPath, folder: string): string {
  return `${stateDir}/folders/${folder}/base.db`
}

/** Opens the folder. Throws `ConfigError` when another daemon keeps it, `SyncError` DATABASE_DAMAGED and what the disk says. */
export async function openReplica(folder: FolderSettings, machinery: Machinery): Promise<Replica> {
  const { stateDir } = machinery
  mkdirSync(`${stateDir}/folders/${folder.name}`, { recursive: true, mode: 0o700 })
  const base = Base.open(baseFileOf(stateDir, folder.name))
  const hold = new FolderHold(folder.root, machinery.prepare)
  try {
    return await openWith({ base, hold }, folder, machinery)
  } catch (error) {
    hold[Symbol.dispose]()
    base.close()
    throw error
  }
}

async function openWith(
  { base, hold }: { readonly base: Base; readonly hold: FolderHold },
  folder: FolderSettings,
  { stateDir, lanes, clock, log, keepStaged = () => false, agreed }: Machinery,
): Promise<Replica> {
  const { name, root, maxDelete, settleMs, rescanMs } = folder
  if (!hold.lock()) {
    throw new ConfigError(`Cannot open folder "${name}": another daemon of this machine keeps "${root}" already`, {
      hint: `Two nodes may not share a folder: give this one a place of its own with "path.NODE" in [systemsync.dir.${name}]`,
    })
  }
  return await Replica.open(
    {
      ...{ name, root, maxDelete, settleMs, rescanMs, clock, log, backlog: BACKLOG },
      ...{ base, hold, keepStaged },
      disk: lanes.disk({ root, baseFile: baseFileOf(stateDir, name) }),
      rules: () => readRules(root, folder.ignore),
      ...(agreed === undefined ? {} : { agreed }),
    },
    (rules) => startWatch(root, rules, clock),
  )
}

function startWatch(root: HostPath, rules: readonly string[], clock: Clock): StartWatch {
  return async (on, signal) => {
    const watcher = await TreeWatcher.open(
      { root, ignored: compileIgnore(rules), onEvents: on.events, onLimit: on.limit, clock },
      signal,
    )
    return {
      setRules: (changed) => {
        void watcher.setIgnored(compileIgnore(changed))
      },
      [Symbol.asyncDispose]: () => watcher[Symbol.asyncDispose](),
    }
  }
}
