// Fetches one large content by what it shares with local files: those stretches are copied here, only the rest comes over the wire.

import { isWorthIt, withoutUnused } from '../core/delta.ts'
import { literalBytes, literalRuns, patchFault, throughSource } from '../core/patch.ts'
import { StagedFile } from '../disk/staged-file.ts'
import { Refused } from '../errors.ts'
import type { Patch, PatchOp } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { ReplicaParts } from './folder-state.ts'
import type { Hub, OnBytes, PlacedContent, ToRead } from './ports.ts'

/** So many patches are asked for: who was away meanwhile holds the source of a source. */
const ASKED = 16

/** A patch whose sources are all local. */
export interface LocalPatch {
  readonly patch: Patch
  readonly sources: readonly ToRead[]
}

/** A staged file that was put together and verified. */
interface Made {
  readonly place: HostPath
}

interface What {
  readonly content: PlacedContent
  readonly hub: Hub
  readonly parts: ReplicaParts
}

/** The staged and verified file's place; `undefined` when the content is better, or can only be, fetched whole. */
export async function fetchByPatch(what: What, onBytes: OnBytes, signal: AbortSignal): Promise<HostPath | undefined> {
  const { content, parts } = what
  if (content.place.kind !== 'object') return undefined
  try {
    const why = await tryPatches(what, onBytes, signal)
    if (typeof why !== 'string') return why.place
    parts.log.debug(`Fetching content ${content.sha256} whole: ${why}`, { folder: parts.name })
    return undefined
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    parts.log.warn(`Cannot patch content ${content.sha256} together, fetching it whole: ${error.message}`, {
      folder: parts.name,
    })
    return undefined
  }
}

/** What was local may be replaced meanwhile, by what is itself being fetched: then it is looked for once more. A text: why there is no patch. */
async function tryPatches(what: What, onBytes: OnBytes, signal: AbortSignal): Promise<Made | string> {
  for (let tries = 0; tries < 2; tries++) {
    const local = await findPatch(what, signal)
    if (typeof local === 'string') return local
    const made = await patchTogether(local, what, onBytes, signal)
    if (made !== 'gone') return made ?? 'its patch made other bytes'
  }
  return 'what it is made from changes again and again'
}

/** Asks how the content was made, and how its sources were, until all is local, or no more is known. A text: why it has to be fetched whole. */
async function findPatch({ content, hub, parts }: What, signal: AbortSignal): Promise<LocalPatch | string> {
  let patch = await hub.recipe(content.sha256, signal)
  const passed = new Set<Digest>()
  for (let asked = 1; patch !== undefined && asked < ASKED; asked++) {
    const known: Patch = patch
    const next = known.sources.findIndex((sha256) => !passed.has(sha256) && !parts.base.holds(sha256))
    const away = known.sources[next]
    if (away === undefined) break
    passed.add(away)
    const source = await hub.recipe(away, signal)
    if (source !== undefined) patch = withoutUnused(throughSource(known, next, source))
  }
  if (patch === undefined) return 'the coordinator knows no patch'
  const fault = patchFault(patch, content.size, () => undefined)
  if (fault !== undefined) return fault
  const local = asLocal(patch, parts)
  if (isWorthIt(local.patch, content.size)) return local
  return `${String(literalBytes(local.patch.ops))} of its ${String(content.size)} bytes are in no local file (sources: ${patch.sources.join(' ')})`
}

/** The patch with data in place of what no local file holds. */
export function asLocal(patch: Patch, { base }: Pick<ReplicaParts, 'base'>): LocalPatch {
  const files = patch.sources.map((sha256) => base.holding(sha256, 1)[0])
  const ops = patch.ops.map((op): PatchOp =>
    op.kind === 'copy' && files[op.source] === undefined ? { kind: 'data', length: op.length } : op,
  )
  const left = withoutUnused({ sources: patch.sources, ops })
  const sources = left.sources.flatMap((sha256) => files[patch.sources.indexOf(sha256)] ?? [])
  return { patch: left, sources: sources.map(({ path, print }) => ({ path, print })) }
}

/** `gone`: a source is not as the base knows it. The file has another name than one that is fetched whole: half made, it must not pass for the start of one. */
async function patchTogether(
  { patch: { ops }, sources }: LocalPatch,
  { content, hub, parts }: What,
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<Made | 'gone' | undefined> {
  const { sha256, size } = content
  const name = `p-${sha256}`
  StagedFile.reopen(parts.root, name)?.discard()
  using staged = StagedFile.create(parts.root, name)
  let isWhole = false
  try {
    staged.finish(size)
    const { place } = staged
    const ranges = literalRuns(ops)
    if (ranges.length > 0) await hub.depot.readRanges(content, { place, ranges }, onBytes, signal)
    const found = await parts.disk.assemble({ place, literal: undefined, size, sources, ops }, signal)
    isWhole = found === sha256
    if (isWhole) {
      onBytes(size - literalBytes(ops))
      return { place }
    }
    onBytes(-literalBytes(ops))
    if (found === undefined) return 'gone'
    parts.log.warn(`Patched content ${sha256} came as ${found}, fetching it whole`, { folder: parts.name })
    return undefined
  } finally {
    if (!isWhole) staged.discard()
  }
}
