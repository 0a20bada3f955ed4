// How model values look inside RPC messages: compact tuples, parsed into model types at the edge.

import { z } from 'zod'
import { codeOf, parseCode } from '../core/patch.ts'
import {
  PATCH_OPS,
  PATCH_SOURCES,
  type ContentPlace,
  type Patch,
  type PatchOp,
  type PlacedHead,
  type Source,
  type SourcedProposal,
} from '../model/content.ts'
import { parseDigest, type Digest } from '../model/digest.ts'
import type { Entry } from '../model/entry.ts'
import { parseRelPath } from '../model/path.ts'
import type { Outcome } from '../model/revision.ts'

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
export const wireDigest = z
  .string()
  .length(43)
  .transform((text, context): Digest => {
    const digest = parseDigest(Buffer.from(text, 'base64url').toString('hex'))
    if (digest !== undefined) return digest
    context.addIssue({ code: 'custom', message: 'not a SHA-256 in base64url' })
    return z.NEVER
  })

const wireTime = z.string().regex(/^-?\d{1,19}$/)

/** `null` = nothing there; `["f", size, mtime ns, mode, sha256]`, `["d", mode]`, `["l", target]`. */
export const wireEntry = z.union([
  z.tuple([z.literal('f'), size, wireTime, mode, wireDigest]).transform(([, bytes, mtimeNs, bits, sha256]): Entry => ({
    kind: 'file',
    size: bytes,
    mtimeNs,
    mode: bits,
    sha256,
  })),
  z.tuple([z.literal('d'), mode]).transform(([, bits]): Entry => ({ kind: 'dir', mode: bits })),
  z
    .tuple([
      z.literal('l'),
      z
        .string()
        .min(1)
        .max(4095)
        .refine((target) => target.isWellFormed() && !target.includes('\0')),
    ])
    .transform(([, target]): Entry => ({ kind: 'link', target })),
  z.null().transform((): undefined => undefined),
])

/** A name of a pack, or of a file in staging. */
export const wireName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/)

/** `[pack, offset]`, or `0` for an object of its own. */
export const wirePlace = z.union([
  z.tuple([wireName, size]).transform(([pack, offset]): ContentPlace => ({ kind: 'pack', pack, offset })),
  z.literal(0).transform((): ContentPlace => ({ kind: 'object' })),
])

/** `[path, seq, entry, place?]`. */
export const wireHead = z
  .tuple([wirePath, seq, wireEntry])
  .rest(wirePlace)
  .transform(([path, number, entry, place]): PlacedHead => ({ head: { path, seq: number, entry }, place }))

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

const wireSource = z.union([
  z
    .tuple([z.literal('p'), wireName.nullable(), wirePatch])
    .transform(([, name, patch]): Source => ({ kind: 'patch', name: name ?? undefined, patch })),
  z.tuple([wireName, size]).transform(([pack, offset]): Source => ({ kind: 'pack', pack, offset })),
  wireName.transform((name): Source => ({ kind: 'staged', name })),
])

/** `[path, base, entry, written at (ms), source?]`; no source = held, or nothing to hold. */
export const wireProposal = z
  .tuple([wirePath, seq, wireEntry, timeMs])
  .rest(wireSource)
  .transform(([path, base, entry, writtenAtMs, source]): SourcedProposal => ({
    proposal: { path, base, entry, writtenAtMs },
    source: source ?? { kind: 'held' },
  }))

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
