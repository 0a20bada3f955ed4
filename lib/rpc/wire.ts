// How model values look inside RPC messages: compact tuples, parsed into model types at the edge.

import { z } from 'zod'
import { codeOf, parseCode } from '../core/patch.ts'
import {
  PATCH_OPS,
  PATCH_SOURCES,
  type ContentPlace,
  type HeadPlace,
  type Patch,
  type PatchOp,
  type PlacedHead,
  type Source,
  type SourcedProposal,
} from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { Entry } from '../model/entry.ts'
import { parseRelPath } from '../model/path.ts'
import type { MovedTree, Outcome, TreeMark, TreeMove } from '../model/revision.ts'
import { MALFORMED, isStagedName, readDigest, readEntry, readHead, readPlace, readProposal } from './tuples.ts'

const seq = z.int().nonnegative()
const size = z.int().nonnegative()
const mode = z.int().min(0).max(0o777)
const timeMs = z.number()

/** A path inside a folder; anything else is refused here, before any code sees it. */
export const wirePath = z.string().transform((text, context) => {
  const path = parseRelPath(text)
  if (path !== undefined) return path
  context.addIssue({ code: 'custom', message: 'not a path inside a folder' })
  return z.NEVER
})

/** 32 bytes in base64url. */
export const wireDigest = read(
  (value): Digest | typeof MALFORMED => readDigest(value) ?? MALFORMED,
  'a SHA-256 in base64url',
)

/** See `readEntry`. */
export const wireEntry = read(readEntry, 'an entry')

/** A name of a pack, or of a file in staging. */
export const wireName = z.string().refine(isStagedName)

/** See `readPlace`. */
export const wirePlace = read(readPlace, 'a place')

/** See `readHead`. */
export const wireHead = read(readHead, 'a head')

/** `[seq, path]`: a place among heads of one Seq. */
export const wireHeadPlace = z.tuple([seq, wirePath]).transform(([number, path]): HeadPlace => ({ seq: number, path }))

/** `[count, hash]`. */
const wireMark = z
  .tuple([z.int().nonnegative(), z.string().regex(/^[0-9a-f]{16}$/)])
  .transform(([count, hash]): TreeMark => ({ count, hash }))

/** `[from, to, base, mark, written at (ms)]`. */
export const wireTreeMove = z
  .tuple([wirePath, wirePath, seq, wireMark, timeMs])
  .transform(([from, to, base, mark, writtenAtMs]): TreeMove => ({ from, to, base, mark, writtenAtMs }))

/** `[from, to, seq, mode, mark]`. */
export const wireMovedTree = z
  .tuple([wirePath, wirePath, seq, mode, wireMark])
  .transform(([from, to, number, bits, mark]): MovedTree => ({
    from,
    to,
    seq: number,
    entry: { kind: 'dir', mode: bits },
    mark,
  }))

/** `[source, offset, length]` copies from a source, a number is so many bytes of data, a negative number so many zeros. */
const wireOp = z.union([z.int(), z.tuple([size, size, size])]).transform((code, context): PatchOp => {
  const op = parseCode(code)
  if (op !== undefined) return op
  context.addIssue({ code: 'custom', message: 'not a step of a patch' })
  return z.NEVER
})

/** `[sources, ops]`. */
export const wirePatch = z
  .tuple([z.array(wireDigest).max(PATCH_SOURCES), z.array(wireOp).min(1).max(PATCH_OPS)])
  .transform(([sources, ops]): Patch => ({ sources, ops }))

const patchSource = z
  .tuple([z.literal('p'), wireName.nullable(), wirePatch])
  .transform(([, name, patch]): Source => ({ kind: 'patch', name: name ?? undefined, patch }))

/** `[path, base, entry, written at (ms), source?]`; no source = held, or nothing to hold. */
export const wireProposal = read((value): SourcedProposal | typeof MALFORMED => {
  const found = readProposal(value)
  if (found === MALFORMED) return MALFORMED
  const sources = found.rest.map(readSource)
  if (sources.includes(undefined)) return MALFORMED
  return { proposal: found.proposal, source: sources[0] ?? { kind: 'held' } }
}, 'a proposal')

/** `[pack, offset]`, the name of a staged file, or `["p", name, patch]`. */
function readSource(value: unknown): Source | undefined {
  if (isStagedName(value)) return { kind: 'staged', name: value }
  if (Array.isArray(value) && value.length === 3) return patchSource.safeParse(value).data
  const place = readPlace(value)
  return place === MALFORMED || place.kind === 'object' ? undefined : place
}

/** A number: accepted as that Seq. `["d", seq]` duplicate, `["s", seq]` superseded, `"need"`, `["r", status, reason]` refused. */
export const wireOutcome = z.union([
  seq.transform((number): Outcome => ({ kind: 'accepted', seq: number })),
  z.tuple([z.literal('d'), seq]).transform(([, number]): Outcome => ({ kind: 'duplicate', seq: number })),
  z.tuple([z.literal('s'), seq]).transform(([, number]): Outcome => ({ kind: 'superseded', seq: number })),
  z.literal('need').transform((): Outcome => ({ kind: 'need' })),
  z
    .tuple([z.literal('r'), z.int(), z.string()])
    .transform(([, status, reason]): Outcome => ({ kind: 'refused', status, reason })),
])

/** A schema of what `parse` makes of it. `what` it should be. */
function read<T>(parse: (value: unknown) => T | typeof MALFORMED, what: string): z.ZodType<T> {
  return z.unknown().transform((value, context): T => {
    const found = parse(value)
    if (found !== MALFORMED) return found
    context.addIssue({ code: 'custom', message: `not ${what}` })
    return z.NEVER
  })
}

export function toWireDigest(digest: Digest): string {
  return Buffer.from(digest, 'hex').toString('base64url')
}

export function toWireEntry(entry: Entry | undefined): unknown {
  if (entry === undefined) return null
  if (entry.kind === 'dir') return ['d', entry.mode]
  if (entry.kind === 'link') return ['l', entry.target]
  return ['f', entry.size, entry.mtimeNs, entry.mode, toWireDigest(entry.sha256)]
}

export function toWirePlace(place: ContentPlace): unknown {
  return place.kind === 'pack' ? [place.pack, place.offset] : 0
}

export function toWireHead({ head, place }: PlacedHead): unknown {
  const tuple: unknown[] = [head.path, head.seq, toWireEntry(head.entry)]
  if (place !== undefined) tuple.push(toWirePlace(place))
  return tuple
}

export function toWireProposal({ proposal, source }: SourcedProposal): unknown {
  const tuple: unknown[] = [proposal.path, proposal.base, toWireEntry(proposal.entry), proposal.writtenAtMs]
  if (source.kind === 'pack') tuple.push([source.pack, source.offset])
  if (source.kind === 'staged') tuple.push(source.name)
  if (source.kind === 'patch') tuple.push(['p', source.name ?? null, toWirePatch(source.patch)])
  return tuple
}

export function toWirePatch({ sources, ops }: Patch): unknown {
  return [sources.map(toWireDigest), ops.map(codeOf)]
}

export function toWireSince(since: number | HeadPlace): unknown {
  return typeof since === 'number' ? since : [since.seq, since.path]
}

export function toWireTreeMove({ from, to, base, mark, writtenAtMs }: TreeMove): unknown {
  return [from, to, base, [mark.count, mark.hash], writtenAtMs]
}

export function toWireMovedTree({ from, to, seq: number, entry, mark }: MovedTree): unknown {
  return [from, to, number, entry.mode, [mark.count, mark.hash]]
}

export function toWireOutcome(outcome: Outcome): unknown {
  switch (outcome.kind) {
    case 'accepted':
      return outcome.seq
    case 'duplicate':
      return ['d', outcome.seq]
    case 'superseded':
      return ['s', outcome.seq]
    case 'need':
      return 'need'
    case 'refused':
      return ['r', outcome.status, outcome.reason]
  }
}
