// Write steps: the only ways in which a folder on disk is changed.

import type { DirEntry, FileEntry, Fingerprint, LinkEntry } from './entry.ts'
import type { HostPath, RelPath } from './path.ts'
import type { Problem } from './problem.ts'

/** The bytes of a file that is about to be published: in memory, or already whole and verified in a staged file. */
export type Body =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'staged'; readonly place: HostPath }
  | { readonly kind: 'copy'; readonly from: RelPath; readonly expectFrom: Fingerprint }

/**
 * One atomic change of a folder. `expect` is what must stand at `path` right before: a fingerprint, or `undefined` for nothing.
 * `place-file` replaces a file or link that is as expected; `move` needs nothing at `path`.
 */
export type WriteStep =
  | {
      readonly do: 'make-dir'
      readonly path: RelPath
      readonly entry: DirEntry
      readonly expect: Fingerprint | undefined
    }
  | {
      readonly do: 'place-file'
      readonly path: RelPath
      readonly entry: FileEntry
      readonly body: Body
      readonly expect: Fingerprint | undefined
    }
  | {
      readonly do: 'make-link'
      readonly path: RelPath
      readonly entry: LinkEntry
      readonly expect: Fingerprint | undefined
    }
  | {
      readonly do: 'set-meta'
      readonly path: RelPath
      readonly entry: FileEntry | DirEntry
      readonly expect: Fingerprint
    }
  | {
      readonly do: 'move'
      readonly from: RelPath
      readonly path: RelPath
      readonly expectFrom: Fingerprint
      readonly entry: FileEntry | DirEntry | LinkEntry
    }
  | { readonly do: 'remove'; readonly path: RelPath; readonly expect: Fingerprint }

/**
 * `done`: with the fingerprint of what stands there now (`undefined` after a removal). `differs`: the place is not as expected; nothing was
 * changed. `not-empty`: a directory to be removed still holds something. `problem`: it could not be done; nothing was changed.
 */
export type WriteResult =
  | { readonly kind: 'done'; readonly print: Fingerprint | undefined }
  | { readonly kind: 'differs' }
  | { readonly kind: 'not-empty' }
  | { readonly kind: 'problem'; readonly problem: Problem }
