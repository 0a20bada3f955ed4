// Opens one folder on the coordinator: journal, content store, hub and the coordinator's own replica.

import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/log.ts'
import { Refused } from '../errors.ts'
import { isEmptyFolder, readMarker, rootIdentity, writeMarker } from '../disk/marker.ts'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { DiskLanes } from '../replica/disk-lanes.ts'
import { baseFileOf, openReplica, type FolderSettings } from '../replica/open-replica.ts'
import type { Replica } from '../replica/replica.ts'
import { Journal } from '../store/journal.ts'
import { claimStore } from './claim-store.ts'
import { ContentStore } from './content-store.ts'
import { FolderHub, type Gate } from './folder-hub.ts'
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
  const { folder, stateDir } = parts
  mkdirSync(`${stateDir}/folders/${folder.name}`, { recursive: true, mode: 0o700 })
  setAsideIfEmptied(parts)
  const journal = Journal.open(journalFileOf(stateDir, folder.name))
  try {
    return await openWith(journal, parts, signal)
  } catch (error) {
    journal.close()
    throw error
  }
}

async function openWith(journal: Journal, parts: FolderParts, signal: AbortSignal): Promise<ServedFolder> {
  const { folder, stateDir, lanes, clock, log } = parts
  const { name, root } = folder
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
    prepare: () => {
      if (readMarker(root).kind === 'none') writeMarker(root, journal.folderId())
      prepareStore({ ...parts, journal, store })
      rememberDevice(parts)
    },
    // Nothing is committed before the directory is marked.
    agreed: { id: journal.folderId(), isMarked: journal.seq() > 0 },
  })
  hub.gate = gateOf(name, replica)
  const join = (): void => {
    const agreement = { id: journal.folderId(), incarnation: journal.incarnation(), pruned: journal.pruned() }
    replica.attach(localHub(hub), agreement, signal)
  }
  const renew = (): void => {
    journal.renew(randomUUID())
    join()
  }
  try {
    join()
    tellOwn({ hub, replica, clock }, signal)
    return { hub, replica, renew }
  } catch (error) {
    await replica[Symbol.asyncDispose]()
    throw error
  }
}

/** Lets nothing in while the folder's own replica finds that its directory is not there, or is another's. */
function gateOf(name: string, replica: Replica): Gate {
  return () => {
    const entered = replica.enter()
    if (typeof entered === 'function') return entered
    throw new Refused(`Cannot take changes of folder "${name}": it is halted on the coordinator, ${entered.told}`, {
      status: 423,
      hint: 'See "monitor status" on the coordinator',
    })
  }
}

/** Tells the folder's own replica of commits, when nobody else waits, until `signal` ends. */
function tellOwn(
  { hub, replica, clock }: Pick<ServedFolder, 'hub' | 'replica'> & { clock: Clock },
  signal: AbortSignal,
) {
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
}

/** Makes the store this journal's own, then clears away what it does not know, and tells what it knows and is gone. */
function prepareStore(
  parts: Pick<FolderParts, 'folder' | 'log'> & { readonly journal: Journal; readonly store: ContentStore },
): void {
  const { folder, journal, store, log } = parts
  const packs = new Set(journal.packs().map((pack) => pack.id))
  const hasObject = (sha256: Digest): boolean => journal.place(sha256)?.place.kind === 'object'
  const aside = claimStore(folder.root, nameOf(journal), { packs, hasObject })
  if (aside !== undefined) {
    log.warn(
      `Folder "${folder.name}" held the contents of another coordinator's state: they are kept in ${aside}, for its history; start with that state to have them back, or remove them`,
    )
  }
  const missing = store.prepare(packs, hasObject)
  for (const pack of missing) {
    const lost = journal.contentsOfPack(pack).length
    log.error(
      `Folder "${folder.name}" has lost the pack ${pack} with ${String(lost)} contents: bring the file back, or they are asked for again when a client has them`,
    )
  }
}

/** What the journal is called. It knows its name before anything on the disk bears it: what bears a name that nobody has is nobody's. */
function nameOf(journal: Journal): string {
  const known = journal.ownName()
  if (known !== undefined) return known
  const name = randomUUID()
  journal.setOwnName(name)
  return name
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
