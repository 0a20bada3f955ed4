// Watch events: hints that a place in a folder may have changed. Scans are the truth.

import type { DirPath, RelPath } from './path.ts'

/**
 * `open`: created or written, still open as far as is known. `whole`: closed after writing, moved in, or made whole at once (directory,
 * link, mode). `gone`: removed or moved out. `tree`: anything at or below `dir` may have changed; scan all of it.
 */
export type WatchEvent =
  | { readonly kind: 'open' | 'whole' | 'gone'; readonly path: RelPath }
  | { readonly kind: 'tree'; readonly dir: DirPath; readonly why: 'new' | 'overflow' | 'lost' | 'poll' }
