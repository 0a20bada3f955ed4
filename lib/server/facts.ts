// Facts about the coordinator's folders, as the commands show them: log, history, collisions, clients.

import { Refused } from '../errors.ts'
import type { RelPath } from '../model/path.ts'
import type { Revision, Seq } from '../model/revision.ts'
import type { FolderHub } from './folder-hub.ts'

/** A revision with its folder; `live`: it is the head and no tombstone. */
export interface RevisionFact {
  readonly folder: string
  readonly revision: Revision
  readonly live: boolean
}

/** The newest revisions of some folders, at or below a path, newest last. */
export function logOf(hubs: readonly FolderHub[], under: RelPath | undefined, limit: number): RevisionFact[] {
  const facts = hubs.flatMap((hub) => hub.journal.log({ under, limit }).map((revision) => factOf(hub, revision)))
  if (hubs.length > 1) facts.sort((a, b) => a.revision.stamp.timeMs - b.revision.stamp.timeMs)
  return facts.slice(-limit)
}

/** All kept versions of one path, newest last. Throws `Refused` 404 when it never was. */
export function historyOf(hub: FolderHub, path: RelPath): RevisionFact[] {
  const revisions = hub.journal.revisionsOf(path)
  if (revisions.length === 0) {
    throw new Refused(`Cannot show the history of "${path}": folder "${hub.name}" has no kept version of it`, {
      status: 404,
    })
  }
  return revisions.map((revision) => factOf(hub, revision))
}

/** How many revisions a client has not taken in yet, over the folders it shares. */
export function behindOf(hubs: readonly FolderHub[], client: string): Seq {
  return hubs.reduce((sum, hub) => sum + hub.journal.seq() - (hub.cursorOf(client)?.cursor ?? 0), 0)
}

function factOf(hub: FolderHub, revision: Revision): RevisionFact {
  const head = hub.journal.head(revision.path)
  const loser = revision.loser || hub.journal.hasLost(revision.seq)
  return {
    folder: hub.name,
    revision: { ...revision, loser },
    live: head?.seq === revision.seq && revision.entry !== undefined,
  }
}
