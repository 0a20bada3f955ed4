// Contents: where bytes rest on the coordinator.

import { parseDigest, type Digest } from './digest.ts'
import type { RelPath } from './path.ts'
import type { Head, Proposal, Seq } from './revision.ts'

/** Where a content can be read on the coordinator: inside a pack from `offset` on, or as an object of its own. */
export type ContentPlace =
  { readonly kind: 'pack'; readonly pack: string; readonly offset: number } | { readonly kind: 'object' }

/**
 * One step of a patch, in the order of the new content: bytes of a source from `offset` on, zeros, or `data`, bytes that no source has. Those are
 * the next of the literals, one after the other, when the patch is proposed; whoever has the new content at hand reads them there.
 */
export type PatchOp =
  | { readonly kind: 'copy'; readonly source: number; readonly offset: number; readonly length: number }
  | { readonly kind: 'data'; readonly length: number }
  | { readonly kind: 'zero'; readonly length: number }

/** How a content is made from others. `sources`: contents that the coordinator holds; ops name them by their place in the list. */
export interface Patch {
  readonly sources: readonly Digest[]
  readonly ops: readonly PatchOp[]
}

/** A patch of more steps than this is worth neither its words nor its seeks. */
export const PATCH_OPS = 5000
export const PATCH_SOURCES = 16

/** Larger contents travel whole: what is kept in memory to find what they share would grow with them. Bytes. */
export const PATCH_MAX = 32 * 1024 * 1024 * 1024

/**
 * Where the content of a proposed file comes from: held by the coordinator already, a staged pack, a staged file, or a staged file of those bytes
 * that the patch lacks (`name` is there only when it lacks any).
 */
export type Source =
  | { readonly kind: 'held' }
  | { readonly kind: 'pack'; readonly pack: string; readonly offset: number }
  | { readonly kind: 'staged'; readonly name: string }
  | { readonly kind: 'patch'; readonly name: string | undefined; readonly patch: Patch }

/** A proposal with the source of its content. */
export interface SourcedProposal {
  readonly proposal: Proposal
  readonly source: Source
}

/** A head with the place of its content, when it is a file. */
export interface PlacedHead {
  readonly head: Head
  readonly place: ContentPlace | undefined
}

/** A place in the order in which heads are told: by Seq, and where a move gave many the same one, by their directory and name. */
export interface HeadPlace {
  readonly seq: Seq
  readonly path: RelPath
}

/** Contents up to this size travel in packs; larger ones alone. Bytes. */
export const PACKED_MAX = 256 * 1024

/** A pack is sent when it holds this many bytes or this many bodies, or when nothing more is due. */
export const PACK_BYTES = 4 * 1024 * 1024
export const PACK_BODIES = 1000

/** What was in flight when a transfer stopped may have arrived out of order: so much before the end of what is left of it is moved again. Bytes. */
export const RESUME_OVERLAP = 4 * 1024 * 1024

/** What a staged pack is called that is deflated (RFC 1950). */
export const DEFLATED_PREFIX = 'z-'

const LARGE_PREFIX = 'o-'

/** What a large content is called in anybody's staging. */
export function largeName(sha256: Digest): string {
  return LARGE_PREFIX + sha256
}

/** The large content that a staged file has by its name; `undefined` for all others. */
export function largeNamed(name: string): Digest | undefined {
  return name.startsWith(LARGE_PREFIX) ? parseDigest(name.slice(LARGE_PREFIX.length)) : undefined
}

/** What is staged on the way in: a large content, one that is put together, or the data of its patch. */
const ON_ITS_WAY = /^[opl]-/

/** The content that a staged file is, or is to become, by its name; `undefined` for all others. */
export function contentStaged(name: string): Digest | undefined {
  return ON_ITS_WAY.test(name) ? parseDigest(name.slice(LARGE_PREFIX.length)) : undefined
}
