// Sends one large content to the coordinator: as a patch of what is held there when that spares most of it, else whole.

import { rmSync } from 'node:fs'
import { literalBytes } from '../core/patch.ts'
import { openStagedToSend, openToSend } from '../disk/open-to-send.ts'
import { stagedPlace } from '../disk/staged-file.ts'
import { largeName, type Patch, type Source } from '../model/content.ts'
import { SyncError } from '../errors.ts'
import type { ReplicaParts } from './folder-state.ts'
import type { Content, Hub, OnBytes, ToRead } from './ports.ts'

/** `staged`: bytes that an earlier upload of the whole left there. `patch`: how to make it, or why it has to travel whole. */
export interface LargeContent extends Content {
  readonly file: ToRead
  readonly staged: number
  readonly patch: Patch | string
}

/** Uploads what is lacking; the source to propose, `undefined` when the file changed meanwhile. */
export async function sendLarge(
  content: LargeContent,
  { hub, parts }: { readonly hub: Hub; readonly parts: ReplicaParts },
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<Source | undefined> {
  const { file, sha256, size, staged, patch } = content
  if (typeof patch !== 'string' && literalBytes(patch.ops) < size - staged) {
    return await sendPatch({ ...content, patch }, { hub, parts }, onBytes, signal)
  }
  const why = typeof patch === 'string' ? patch : 'less is left of an earlier upload than of a patch'
  parts.log.debug(`Sending ${file.path} whole: ${why}`, { folder: parts.name, sha256, from: staged })
  const name = largeName(sha256)
  onBytes(staged)
  try {
    using opened = openToSend(parts.root, file)
    if (opened !== undefined) {
      await hub.depot.putFile({ fd: opened.fd, name, size, from: staged }, onBytes, signal)
      return { kind: 'staged', name }
    }
  } catch (error) {
    if (!(error instanceof SyncError) || error.code !== 'LOCAL_CHANGED') throw error
  }
  await hub.depot.discard(name, signal)
  return undefined
}

/** The data is set aside first: what is sent is of one moment, whatever becomes of the file on the way. */
async function sendPatch(
  { file, sha256, size, patch }: LargeContent & { readonly patch: Patch },
  { hub, parts }: { readonly hub: Hub; readonly parts: ReplicaParts },
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<Source | undefined> {
  const bytes = literalBytes(patch.ops)
  onBytes(size - bytes)
  if (bytes === 0) return { kind: 'patch', name: undefined, patch }
  const name = `d-${sha256}`
  const place = stagedPlace(parts.root, name)
  try {
    if (!(await parts.disk.extract(file, { ops: patch.ops, place }, signal))) return undefined
    using data = openStagedToSend(place)
    await hub.depot.putFile({ fd: data.fd, name, size: bytes, from: 0 }, onBytes, signal)
    return { kind: 'patch', name, patch }
  } finally {
    rmSync(place, { force: true })
  }
}
