// Opens one folder on the coordinator: journal, content store, hub and the coordinator's own replica.

import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/log.ts'
import { isEmptyFolder, readMarker, rootIdentity, writeMarker } from '../disk/marker.ts'
import type { HostPath } from '../model/path.ts'
import type { DiskLanes } from '../replica/disk-lanes.ts'
import { baseFileOf, openReplica, type FolderSettings } from '../replica/open-replica.ts'
import type { Replica } from '../replica/replica.ts'
import { Journal } from '../store/journal.ts'
import { claimStore } from './claim-store.ts'
import { ContentStore } from './content-store.ts'
import { FolderHub } from './folder-hub.ts'
import { localHub } from './local-hub.ts'
import { OwnNews } from './own-news.ts'

export interface ServedFolder {
  readonly hub: FolderHub
  readonly replica: Replica
  /** The journal is older than what a client agreed on with it (a backup was put back): everybody compares everything anew. */
  readonly renew: () => void
}

export interface FolderParts {
  readonly folder: FolderSettings & { readonly conflict: 'latest' | 'keep-both'; readonly clients: readonly string[] }
  readonly stateDir: HostPath
  readonly lanes: DiskLanes
  readonly clock: Clock
  readonly log: Log
}

/** Opens the folder and joins its replica to its hub until `signal` ends. */
export async function openFolder(parts: FolderParts, signal: AbortSignal): Promise<ServedFolder> {
  const { folder, stateDir, lanes, clock, log } = parts
  const { name, root } = folder
  mkdirSync(`${stateDir}/folders/${name}`, { recursive: true, mode: 0o700 })
  setAsideIfEmptied(parts)
  const journal = Journal.open(journalFileOf(stateDir, name))
  if (!journal.isCreated()) {
    const marker = readMarker(root)
    journal.create({ folderId: marker.kind === 'marker' ? marker.id : randomUUID(), incarnation: randomUUID() })
  }
  const store = new ContentStore(root, {
    follow: (place) => lanes.follow(place),
    take: (job, until) => lanes.take(job, until),
    assemble: (job, until) => lanes.assemble(job, until),
  })
  const hub = new FolderHub({ name, journal, store, conflict: folder.conflict, clock, log })
  const replica = await openReplica(folder, {
    ...{ stateDir, lanes, clock, log },
    keepStaged: (staged) => staged === 'server' || folder.clients.includes(staged),
  })
  const join = (): void => {
    const agreement = { id: journal.folderId(), incarnation: journal.incarnation(), pruned: journal.pruned() }
    replica.attach(localHub(hub), agreement, signal)
  }
  join()
  if (replica.status().state !== 'halted') {
    if (readMarker(root).kind === 'none') writeMarker(root, journal.folderId())
    prepareStore({ ...parts, journal, store })
    rememberDevice(parts)
  }
  const news = new OwnNews({
    clock,
    isBusy: () => hub.serving.isBusy,
    isBehind: () => hub.lag.isBehind,
    tell: (one) => {
      replica.told(one)
    },
    onHeld: (areHeld) => {
      replica.expectNews(areHeld)
    },
  })
  const listening = hub.onCommit((commit) => {
    const { prev, upTo } = commit
    hub.lag.committed(commit)
    news.take(commit.author === 'server' ? { prev, upTo, heads: [] } : commit)
  })
  const whenIdle = (): void => {
    news.flushIfIdle()
  }
  hub.serving.onIdle = whenIdle
  hub.lag.onLess = whenIdle
  signal.addEventListener(
    'abort',
    () => {
      listening[Symbol.dispose]()
      news[Symbol.dispose]()
    },
    { once: true },
  )
  const renew = (): void => {
    journal.renew(randomUUID())
    join()
  }
  return { hub, replica, renew }
}

/** Makes the store this journal's own, then clears away what it does not know, and tells what it knows and is gone. */
function prepareStore(
  parts: Pick<FolderParts, 'folder' | 'log'> & { readonly journal: Journal; readonly store: ContentStore },
): void {
  const { folder, journal, store, log } = parts
  const known = journal.ownName()
  const name = known ?? randomUUID()
  const aside = claimStore(folder.root, name, { isNew: known === undefined && journal.seq() === 0 })
  if (known === undefined) journal.setOwnName(name)
  if (aside !== undefined) {
    log.warn(
      `Folder "${folder.name}" held the contents of another coordinator's state: they are kept in ${aside}, for its history; start with that state to have them back, or remove them`,
    )
  }
  const missing = store.prepare(
    new Set(journal.packs().map((pack) => pack.id)),
    (sha256) => journal.place(sha256)?.place.kind === 'object',
  )
  for (const pack of missing) {
    const lost = journal.contentsOfPack(pack).length
    log.error(
      `Folder "${folder.name}" has lost the pack ${pack} with ${String(lost)} contents: bring the file back, or they are asked for again when a client has them`,
    )
  }
}

function journalFileOf(stateDir: HostPath, folder: string): string {
  return `${stateDir}/folders/${folder}/journal.db`
}

/**
 * A folder whose very directory is there but holds nothing at all, not even its marker, was emptied: its contents are gone, so the journal
 * is set aside and the clients refill it. On another device it is an unmounted disk: then nothing is touched, and the replica halts.
 */
function setAsideIfEmptied({ folder, stateDir, log, clock }: FolderParts): void {
  const journalFile = journalFileOf(stateDir, folder.name)
  if (!existsSync(journalFile) || readMarker(folder.root).kind !== 'none') return
  if (!isEmptyFolder(folder.root) || rootIdentity(folder.root)?.dev !== knownDevice(stateDir, folder.name)) return
  const suffix = `emptied-${String(Math.round(clock.now()))}`
  for (const file of [journalFile, baseFileOf(stateDir, folder.name)]) {
    for (const part of ['-wal', '-shm', '']) {
      if (existsSync(file + part)) renameSync(file + part, `${file}.${suffix}${part}`)
    }
  }
  log.warn(
    `Folder "${folder.name}" was emptied, with its history: the clients refill it; the old journal is kept as ${journalFile}.${suffix}`,
  )
}

function deviceFileOf(stateDir: HostPath, folder: string): string {
  return `${stateDir}/folders/${folder}/device`
}

function knownDevice(stateDir: HostPath, folder: string): string | undefined {
  const file = deviceFileOf(stateDir, folder)
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

function rememberDevice({ folder, stateDir }: FolderParts): void {
  const device = rootIdentity(folder.root)?.dev
  if (device === undefined || device === knownDevice(stateDir, folder.name)) return
  const file = deviceFileOf(stateDir, folder.name)
  rmSync(file, { force: true })
  writeFileSync(file, `${device}\n`, { mode: 0o600 })
}
