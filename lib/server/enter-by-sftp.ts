// The gate of a folder as SFTP knows it.

import { Refused } from '../errors.ts'
import { SftpError } from '../ssh/server/sftp-tree.ts'
import { STATUS } from '../ssh/server/sftp-wire.ts'
import type { FolderHub } from './folder-hub.ts'

/** Throws an `SftpError` while the folder is halted. SFTP has no status for that: the sentence says it, and clients know it by its words. */
export function enterBySftp(hub: Pick<FolderHub, 'gate'> | undefined): void {
  try {
    hub?.gate()
  } catch (error) {
    throw error instanceof Refused ? new SftpError(STATUS.failure, error.message) : error
  }
}
