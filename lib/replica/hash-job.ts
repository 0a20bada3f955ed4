// The job that hashes a large file: tells how it can be made from contents that the coordinator holds, when it can.

import { deltaOps, isWorthIt, withoutUnused, zeroOps } from '../core/delta.ts'
import { literalBytes, type Run } from '../core/patch.ts'
import type { Recipe } from '../core/recipe.ts'
import { hashLarge, sampleChunks } from '../disk/hash-large.ts'
import type { SafeDirs } from '../disk/safe-dir.ts'
import { PATCH_MAX, PATCH_SOURCES, type Patch } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import { Base } from '../store/base.ts'
import type { HashResult, ToHash } from './ports.ts'

/** `sha256`: `undefined` when someone else hashes the file meanwhile. */
export type LookedThrough =
  | Exclude<HashResult, { kind: 'read' }>
  | (Omit<Extract<HashResult, { kind: 'read' }>, 'sha256'> & { readonly sha256: Digest | undefined })

/** A file up to this size gets its recipe at once when there are others it may share something with: that takes a few ms. Bytes. */
const SMALL = 16 * 1024 * 1024

/** So many contents are looked through for what a file shares with others. */
const SOURCES = 4

interface Source {
  readonly sha256: Digest
  readonly recipe: Recipe
}

/** Hashes the file, unless someone else does; its recipe is made on the way only where it is of use, as it takes as long again. */
export function hashForPush(
  { dirs, baseFile }: { readonly dirs: SafeDirs; readonly baseFile: string },
  file: ToHash,
  how: { readonly isHashed: boolean; readonly shouldStop: () => boolean },
): LookedThrough {
  const { size } = file.print
  if (size > PATCH_MAX) {
    const hashed = hashLarge(dirs, file, { ...how, like: undefined })
    return hashed.kind === 'read'
      ? { kind: 'read', sha256: hashed.sha256, patch: 'it is too large for a patch', recipe: undefined }
      : hashed
  }
  using base = Base.open(baseFile, { readOnly: true })
  const sources = likelySources(base, dirs, file)
  const isOfUse = sources.length > 0 || (size <= SMALL && base.hasMarks())
  const like = isOfUse ? sources.map((source) => source.recipe) : undefined
  const hashed = hashLarge(dirs, file, { ...how, like })
  if (hashed.kind !== 'read') return hashed
  const { sha256, zeros, recipe } = hashed
  const patch = recipe === undefined ? zeroPatch(size, zeros) : patchOf(base, recipe, { sources, zeros })
  return { kind: 'read', sha256, patch: worthwhile(patch, file), recipe: recipe?.bytes }
}

/** The patch, or why it is not worth sending. */
function worthwhile(patch: Patch | undefined, { like, print: { size } }: ToHash): Patch | string {
  if (patch === undefined) return `no recipe is kept of ${like === undefined ? 'anything like it' : 'what it replaces'}`
  if (isWorthIt(patch, size)) return patch
  return `${String(literalBytes(patch.ops))} of its ${String(size)} bytes are in no other content`
}

/** The content that stood there before; else those that share samples with the file. */
function likelySources(base: Base, dirs: SafeDirs, file: ToHash): Source[] {
  const before = sourceOf(base, file.like)
  if (before.length > 0 || file.print.size <= SMALL || !base.hasMarks()) return before
  const sampled = sampleChunks(dirs, file)
  if (sampled.kind !== 'read') return []
  const { recipe } = sampled
  return base.contentsMarked(recipe.marksAmong(allChunks(recipe)), SOURCES).flatMap((sha256) => sourceOf(base, sha256))
}

/** Made from the likely sources, and from others that hold what those lack. */
function patchOf(
  base: Base,
  recipe: Recipe,
  { sources, zeros }: { readonly sources: readonly Source[]; readonly zeros: readonly Run[] },
): Patch {
  const unfound: number[] = []
  const make = (from: readonly Source[], note: (chunk: number) => void): Patch => ({
    sources: from.map(({ sha256 }) => sha256),
    ops: deltaOps(
      recipe,
      from.map((source) => source.recipe),
      { zeros, unfound: note },
    ),
  })
  const patch = make(sources, (chunk) => unfound.push(chunk))
  const known = new Set(sources.map(({ sha256 }) => sha256))
  const more = base
    .contentsMarked(recipe.marksAmong(unfound), SOURCES)
    .filter((sha256) => !known.has(sha256))
    .flatMap((sha256) => sourceOf(base, sha256))
  if (more.length === 0) return withoutUnused(patch)
  return withoutUnused(make([...sources, ...more].slice(0, PATCH_SOURCES), () => undefined))
}

function zeroPatch(size: number, zeros: readonly Run[]): Patch | undefined {
  return zeros.length === 0 ? undefined : { sources: [], ops: zeroOps(size, zeros) }
}

function sourceOf(base: Base, sha256: Digest | undefined): Source[] {
  const recipe = sha256 === undefined ? undefined : base.recipe(sha256)
  return sha256 === undefined || recipe === undefined ? [] : [{ sha256, recipe }]
}

function* allChunks(recipe: Recipe): Iterable<number> {
  for (let chunk = 0; chunk < recipe.count; chunk++) yield chunk
}
