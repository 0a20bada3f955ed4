// Makes a large content by its patch while the coordinator makes it too: out of sight, and verified like any other.

import { rmSync } from 'node:fs'
import { literalBytes, patchFault } from '../core/patch.ts'
import { StagedFile, stagedPlace } from '../disk/staged-file.ts'
import type { Patch } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { ReplicaParts } from './folder-state.ts'
import { asLocal } from './patch-pull.ts'
import type { Hub } from './ports.ts'

/** A content that the coordinator is making by a patch; the data can be read there meanwhile, one after the other. */
export interface ComingPatch {
  readonly sha256: Digest
  readonly size: number
  readonly patch: Patch
}

/**
 * The place of the staged file, whole and verified; `undefined`, and nothing is left: not all that it is made from stands here, the data cannot be read
 * any more, or other bytes came out.
 */
export async function makeAhead(
  { sha256, size, patch }: ComingPatch,
  { hub, parts }: { readonly hub: Hub; readonly parts: ReplicaParts },
  signal: AbortSignal,
): Promise<HostPath | undefined> {
  if (patchFault(patch, size, () => undefined) !== undefined) return undefined
  const bytes = literalBytes(patch.ops)
  const local = asLocal(patch, parts)
  if (literalBytes(local.patch.ops) > bytes) return undefined
  const { root, disk } = parts
  using data = bytes === 0 ? undefined : stageAnew(root, `l-${sha256}`)
  if (data !== undefined) {
    const range = { place: data.place, from: 0, to: bytes }
    if (!(await hub.depot.readComing({ sha256 }, range, () => undefined, signal))) return undefined
  }
  const made = stageAnew(root, `p-${sha256}`)
  const { place } = made
  let isRight = false
  try {
    const { sources } = local
    const job = { place, literal: data?.place, size, sources, ops: local.patch.ops }
    isRight = (await disk.assemble(job, signal)) === sha256
    return isRight ? place : undefined
  } finally {
    if (!isRight) made[Symbol.dispose]()
  }
}

/** An empty staged file; what an earlier try left of that name is gone. It is removed when it is disposed of. */
function stageAnew(root: HostPath, name: string): Disposable & { readonly place: HostPath } {
  StagedFile.reopen(root, name)?.discard()
  StagedFile.create(root, name).close()
  const place = stagedPlace(root, name)
  return {
    place,
    [Symbol.dispose]: () => {
      rmSync(place, { force: true })
    },
  }
}
