// Where a large content becomes whole: its staged file, new or left by an earlier fetch.

import { StagedFile } from '../disk/staged-file.ts'
import { RESUME_OVERLAP } from '../model/content.ts'
import type { HostPath } from '../model/path.ts'

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
