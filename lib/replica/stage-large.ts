// Where a large content becomes whole: its staged file, new or left by an earlier fetch.

import { StagedFile } from '../disk/staged-file.ts'
import type { HostPath } from '../model/path.ts'

/** What was in flight when a transfer stopped may have arrived out of order: so much before its end is fetched again. Bytes. */
export const RESUME_OVERLAP = 4 * 1024 * 1024

/** Makes the staged file, or finds what an earlier fetch left; the bytes it holds. */
export function stageLarge(root: HostPath, name: string, size: number): number {
  using left = StagedFile.reopen(root, name)
  if (left === undefined) {
    StagedFile.create(root, name).close()
    return 0
  }
  if (left.size() <= size) return Math.max(0, left.size() - RESUME_OVERLAP)
  left.finish(0)
  return 0
}
