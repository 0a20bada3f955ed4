// Stretches of packs, deflated when they are opened: `<pack>.<from>-<to>`. Bounded in length and number, off the event loop.

import * as fs from 'node:fs'
import { deflateIfWorth } from '../../daemon/deflate.ts'
import { PACK_BYTES } from '../../model/content.ts'
import type { DemandAccess } from './jail-files.ts'
import type { OpenRoom } from './open-room.ts'
import { SftpError, type ReadHandle } from './sftp-tree.ts'
import { STATUS } from './sftp-wire.ts'

/** A part of a pack: bytes `from` to `to`. */
export interface PackedName {
  readonly pack: string
  readonly from: number
  readonly to: number
}

/** Reads `<pack>.<from>-<to>`; `undefined` when it is no such name, or names nothing or too much. */
export function parsePackedName(name: string): PackedName | undefined {
  const [, pack, first = '', last = ''] = /^(.+)\.(0|[1-9]\d{0,11})-([1-9]\d{0,11})$/.exec(name) ?? []
  if (pack === undefined) return undefined
  const [from, to] = [Number(first), Number(last)]
  return from < to && to - from <= PACK_BYTES ? { pack, from, to } : undefined
}

/**
 * Opens bytes `from` to `to` of the regular file `place`, deflated (RFC 1950); each read demands access again. Throws an `SftpError` when there is no
 * room, when the file ends before `to`, and when it does not shrink: then they are to be read as they are.
 */
export async function openPacked(
  place: string,
  { from, to }: Omit<PackedName, 'pack'>,
  { room, demandAccess }: { readonly room: OpenRoom; readonly demandAccess: DemandAccess },
): Promise<ReadHandle> {
  const give = room.take()
  if (give === undefined) throw new SftpError(STATUS.failure, 'Too many are open')
  try {
    const plain = await readStretch(place, from, to)
    const deflated = await deflateIfWorth(plain)
    if (deflated === undefined) throw new SftpError(STATUS.failure, 'It does not shrink')
    return {
      size: deflated.length,
      read: (target, position, length) => {
        demandAccess()
        const part = deflated.subarray(position, position + length)
        target.set(part)
        return part.length
      },
      stat: () => ({ kind: 'file', size: deflated.length, mode: 0o400, mtime: 0 }),
      close: give,
    }
  } catch (error) {
    give()
    throw error
  }
}

async function readStretch(place: string, from: number, to: number): Promise<Uint8Array> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants
  await using file = await fs.promises.open(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  const stat = await file.stat()
  if (!stat.isFile()) throw new SftpError(STATUS.permissionDenied, 'Not a regular file')
  if (stat.size < to) throw new SftpError(STATUS.failure, 'It ends before')
  const bytes = Buffer.allocUnsafeSlow(to - from)
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, from + at)
    if (bytesRead === 0) throw new SftpError(STATUS.failure, 'It ends before')
    at += bytesRead
  }
  return bytes
}
