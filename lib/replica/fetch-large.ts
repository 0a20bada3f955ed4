// Fetches one large content into staging: by what is here already, or goes on where an earlier fetch stopped; and verifies the whole.

import { StagedFile, stagedPlace } from '../disk/staged-file.ts'
import { SyncError } from '../errors.ts'
import { largeName, RESUME_OVERLAP } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { ReplicaParts } from './folder-state.ts'
import { fetchByPatch } from './patch-pull.ts'
import type { Followed, Hub, OnBytes, PlacedContent } from './ports.ts'
import type { Prefetches } from './prefetch.ts'
import { stageLarge } from './stage-large.ts'

/** Returns the staged file's place. Throws `SyncError` NO_SPACE, or WRONG_CONTENT when what came is not what was named, twice. */
export async function fetchLarge(
  what: { content: PlacedContent; hub: Hub; parts: ReplicaParts; prefetches: Pick<Prefetches, 'take'> },
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<HostPath> {
  const { content, hub, parts } = what
  const name = largeName(content.sha256)
  const place = stagedPlace(parts.root, name)
  const discardWrong = (found: Digest): void => {
    parts.log.warn(`Fetched content ${content.sha256} came as ${found}, trying again`, { folder: parts.name })
    StagedFile.reopen(parts.root, name)?.discard()
  }
  const ahead = await what.prefetches.take(content.sha256)
  if (ahead?.kind === 'made') {
    onBytes(content.size)
    return ahead.place
  }
  if (ahead !== undefined) {
    onBytes(ahead.from)
    const found = await fetchRest(what, { place, ...ahead }, onBytes, signal)
    if (found === content.sha256) return place
    discardWrong(found)
  }
  if (!isBegun(parts.root, name)) {
    const patched = await fetchByPatch(what, onBytes, signal)
    if (patched !== undefined) return patched
  }
  for (let tries = 0; tries < 2; tries++) {
    const from = stageLarge(parts.root, name, content.size)
    onBytes(from)
    const found = await fetchWhole({ content, hub, parts }, { place, from }, onBytes, signal)
    if (found === content.sha256) return place
    discardWrong(found)
  }
  throw new SyncError(`Cannot fetch content ${content.sha256}: other bytes came twice`, {
    code: 'WRONG_CONTENT',
    retry: 'later',
  })
}

/** Fetches the rest of the staged file; its SHA-256 then. */
async function fetchWhole(
  { content, hub, parts: { disk } }: { content: PlacedContent; hub: Hub; parts: ReplicaParts },
  target: { readonly place: HostPath; readonly from: number },
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<Digest> {
  if (hub.depot.isNear) {
    if (target.from < content.size) await hub.depot.readFile(content, target, onBytes, signal)
    return await disk.hashLate(target.place, signal)
  }
  return await fetchRest({ content, hub }, { ...target, followed: disk.follow(target.place) }, onBytes, signal)
}

/** Fetches what is lacking from `from` on into a file that is followed; its SHA-256 then. */
async function fetchRest(
  { content, hub: { depot } }: { content: PlacedContent; hub: Hub },
  target: { readonly place: HostPath; readonly from: number; readonly followed: Followed },
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<Digest> {
  using followed = target.followed
  let end = target.from
  const onMore = (bytes: number): void => {
    end += bytes
    followed.reached(end)
    onBytes(bytes)
  }
  if (target.from < content.size) await depot.readFile(content, target, onMore, signal)
  return await followed.digest(target.place, signal)
}

/** Whether an earlier fetch of the whole left something to go on with. */
function isBegun(root: HostPath, name: string): boolean {
  using left = StagedFile.reopen(root, name)
  return left !== undefined && left.size() > RESUME_OVERLAP
}
