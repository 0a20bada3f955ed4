// Moves packs up and ranges of packs down: as they are, or deflated where the link is slower than that.

import { DEFLATED_MIN, deflateIfWorth, inflateExactly, worthBelow } from '../daemon/deflate.ts'
import { Refused } from '../errors.ts'
import { DEFLATED_PREFIX, PACK_BYTES } from '../model/content.ts'
import type { Range } from '../replica/ports.ts'
import type { DataLink } from './data-link.ts'

/** Round trips that move no body: of a put its OPEN, the last answer and the CLOSE, of a read the OPEN and the first request. */
const TRIPS_PUT = 3
const TRIPS_READ = 2

/** Less than this share of a stretch is not worth reading all of it. */
const DENSE = 0.75

/** A pack to be staged as `name` in the directory `staging`. */
export interface PackToPut {
  readonly staging: string
  readonly name: string
  readonly bytes: Uint8Array
}

/** Stages a pack; tells what it is called. */
export async function putPack(
  data: DataLink,
  { staging, name, bytes }: PackToPut,
  signal: AbortSignal,
): Promise<string> {
  const mayDeflate = data.up.isSlow && data.deflatedUp.take()
  const deflated = mayDeflate ? await deflateIfWorth(bytes) : undefined
  const sent = deflated ?? bytes
  const staged = deflated === undefined ? name : DEFLATED_PREFIX + name
  await data.use(
    'quick',
    async (sftp) => {
      const startMs = data.clock.monotonic()
      await sftp.putBytes(`${staging}/${staged}`, sent, signal)
      data.finished('up', { bytes: sent.length, ms: data.clock.monotonic() - startMs, trips: TRIPS_PUT })
    },
    signal,
  )
  return staged
}

/** Reads ranges of the pack `pack` of a folder, each in a buffer that is shared with the others at most. */
export async function readPack(
  data: DataLink,
  { folder, pack, ranges }: { readonly folder: string; readonly pack: string; readonly ranges: readonly Range[] },
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const stretch = data.down.isSlow ? denseStretch(ranges) : undefined
  if (stretch !== undefined && data.deflatedDown.take()) {
    const bytes = await readDeflated(data, { folder, pack, stretch }, signal)
    data.deflatedDown.tried(bytes !== undefined)
    if (bytes !== undefined)
      return ranges.map(({ offset, length }) =>
        bytes.subarray(offset - stretch.offset, offset - stretch.offset + length),
      )
  }
  return await readRanges(data, { remote: `/${folder}/packs/${pack}`, ranges }, signal)
}

/** Reads ranges of a file as it is. */
export async function readRanges(
  data: DataLink,
  { remote, ranges }: { readonly remote: string; readonly ranges: readonly Range[] },
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  return await data.use(
    'quick',
    async (sftp) => {
      const startMs = data.clock.monotonic()
      const read = await sftp.getRanges(remote, ranges, signal)
      data.finished('down', { bytes: sumOf(ranges), ms: data.clock.monotonic() - startMs, trips: TRIPS_READ })
      return read
    },
    signal,
  )
}

/** `undefined`: the coordinator does not give it so, because it does not shrink, or what came is not what was asked for. */
async function readDeflated(
  data: DataLink,
  { folder, pack, stretch }: { readonly folder: string; readonly pack: string; readonly stretch: Range },
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const { offset, length } = stretch
  const remote = `/${folder}/packed/${pack}.${String(offset)}-${String(offset + length)}`
  try {
    const deflated = await data.use(
      'quick',
      async (sftp) => {
        let startMs = data.clock.monotonic()
        // The coordinator deflates before it answers the OPEN: that is no time of the link.
        const onOpen = (): void => {
          startMs = data.clock.monotonic()
        }
        const read = await sftp.getWhole(remote, { most: worthBelow(length), onOpen }, signal)
        data.finished('down', { bytes: read.length, ms: data.clock.monotonic() - startMs, trips: TRIPS_READ - 1 })
        return read
      },
      signal,
    )
    return await inflateExactly(deflated, length)
  } catch (error) {
    if (error instanceof Refused) return undefined
    throw error
  }
}

/** What covers `ranges`, when that is worth deflating and most of it is wanted. */
function denseStretch(ranges: readonly Range[]): Range | undefined {
  const from = Math.min(...ranges.map(({ offset }) => offset))
  const to = Math.max(...ranges.map(({ offset, length }) => offset + length))
  const length = to - from
  const isDense = length >= DEFLATED_MIN && length <= PACK_BYTES && sumOf(ranges) >= length * DENSE
  return isDense ? { offset: from, length } : undefined
}

function sumOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0)
}
