// What the coordinator needs from outside: hands that verify bodies and make them durable, off the event loop.

import type { Patch, PatchOp } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { Content, Followed } from '../replica/ports.ts'

/** A content at `offset` of a file. */
export interface Slice {
  readonly sha256: Digest
  readonly size: number
  readonly offset: number
}

export interface ContentJobs {
  /** Follows a staged file while it is written. */
  follow(place: HostPath): Followed
  /**
   * Hashes each slice of `place`, which nobody writes to any more; when one is right, makes the file durable and read-only and renames it to
   * `target`, else removes it. `whole`: the one slice must be all of the file, whose SHA-256 is `found` when it is known already. Answers which slices
   * are right. `inflatedBytes`: the file is deflated, and has to come out as so many; it is kept as those.
   */
  take(
    job: {
      place: HostPath
      target: HostPath
      slices: readonly Slice[]
      whole?: boolean
      found?: Digest | undefined
      inflatedBytes?: number | undefined
    },
    signal: AbortSignal,
  ): Promise<readonly boolean[]>
  /**
   * Makes a content from stretches of `sources` and the data in `literal`, verifies it, and makes it durable and read-only at `target`; `false`, and nothing
   * is left of it, when it does not come out as named. `scratch`: where it grows. Throws `Refused` 507 when the disk is full.
   */
  assemble(
    job: {
      ops: readonly PatchOp[]
      sources: readonly { file: HostPath; offset: number }[]
      literal: HostPath | undefined
      sha256: Digest
      size: number
      scratch: HostPath
      target: HostPath
    },
    signal: AbortSignal,
  ): Promise<boolean>
}

/** A large content that is being made by a patch. */
export interface Patching extends Content {
  readonly peer: string
  readonly patch: Patch
}

/** From this size on the others are told of a patch: what is smaller is made before they have heard. Bytes. */
export const PATCH_TOLD = 8 * 1024 * 1024
