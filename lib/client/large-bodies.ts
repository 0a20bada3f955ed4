// Moves large contents up and down in legs: as they are until the link is known to be slow, in frames that are deflated while it is.

import { Refused } from '../errors.ts'
import { getFrames, putFrames, type FramesTransfer } from '../ssh/client/frames-transfer.ts'
import type { SftpChannel, Transfer } from '../ssh/client/sftp-channel.ts'
import type { DataLink } from './data-link.ts'

/** Round trips of a leg that move no bytes: the OPEN and the first request, and up the last answer and the CLOSE. */
const TRIPS = { up: 4, down: 2 } as const

/** A leg is measured in spans: each ends with so many bytes on the wire, or with some of them after so long. */
const SPAN_BYTES = 4 * 1024 * 1024
const SPAN_LEAST_BYTES = 256 * 1024
const SPAN_MS = 250

/** What is left at the end of a content is not worth another leg. Bytes. */
const REST_BYTES = 1024 * 1024
/** After so many bytes of contents in frames one span goes as it is: what deflating takes may look like a slow link. */
const FRAMES_MOST = 256 * 1024 * 1024

/** What is known of the link. */
export type MeteredLink = Pick<DataLink, 'up' | 'down' | 'large' | 'clock' | 'finished'>

/** A file of a folder over there, `path` without the folder, and the open one here. */
export interface Ends {
  readonly sftp: SftpChannel
  readonly folder: string
  readonly path: string
  readonly fd: number
}

/** Writes `fd` to the file, bytes `from` to `size`, as `SftpChannel.putFile` does. */
export async function putLarge(data: MeteredLink, ends: Ends, transfer: Transfer, signal: AbortSignal): Promise<void> {
  const { sftp, folder, path, fd } = ends
  await inLegs({ data, way: 'up' }, transfer, {
    plain: (leg) => sftp.putFile(`/${folder}/${path}`, fd, leg, signal),
    framed: (leg) => putFrames(sftp, { remote: `/${folder}/deflated/${path}`, fd }, leg, signal),
  })
}

/** Reads bytes `from` to `size` of the file into `fd`, as `SftpChannel.getFile` does. */
export async function getLarge(data: MeteredLink, ends: Ends, transfer: Transfer, signal: AbortSignal): Promise<void> {
  const { sftp, folder, path, fd } = ends
  await inLegs({ data, way: 'down' }, transfer, {
    plain: (leg) => sftp.getFile(`/${folder}/${path}`, fd, leg, signal),
    framed: (leg) => getFrames(sftp, { remote: `/${folder}/deflated/${path}`, fd }, leg, signal),
  })
}

interface Link {
  readonly data: MeteredLink
  readonly way: 'up' | 'down'
}

/** Each moves what is between `from` and `size`, or stops before; tells how far it came. */
interface Legs {
  plain(leg: Transfer): Promise<number>
  framed(leg: FramesTransfer): Promise<number>
}

async function inLegs(link: Link, transfer: Transfer, legs: Legs): Promise<void> {
  const { data, way } = link
  const large = data.large[way]
  let mayFrame = large.turns.take()
  // Nothing at all is to move: the file is made nevertheless.
  for (let at = transfer.from, isFirst = true; isFirst || at < transfer.size; isFirst = false) {
    const rest = { ...transfer, from: at }
    if (mayFrame && data[way].isSlow && large.framed < FRAMES_MOST) {
      const end = await framedLeg(link, rest, legs)
      mayFrame = end !== undefined
      at = end ?? at
    } else at = await plainLeg(link, { ...rest, mayFrame }, legs)
  }
}

async function plainLeg(
  { data, way }: Link,
  { mayFrame, ...transfer }: Transfer & { readonly mayFrame: boolean },
  legs: Legs,
): Promise<number> {
  const leg = new MeasuredLeg({ data, way })
  let told = transfer.from
  const end = await legs.plain({
    ...transfer,
    onProgress: (reached) => {
      leg.moved(reached - told)
      told = reached
      transfer.onProgress?.(reached)
    },
    isStopped: () => mayFrame && leg.spans > 0 && data[way].isSlow && transfer.size - told > REST_BYTES,
  })
  leg.ended()
  data.large[way].framed = 0
  return end
}

/** `undefined`: the coordinator knows no frames, or not of this file. */
async function framedLeg({ data, way }: Link, transfer: Transfer, legs: Legs): Promise<number | undefined> {
  const large = data.large[way]
  const leg = new MeasuredLeg({ data, way })
  let isOpen = false
  let told = transfer.from
  try {
    const end = await legs.framed({
      ...transfer,
      onOpen: () => (isOpen = true),
      onAsked: () => {
        leg.asked()
      },
      onWire: (bytes) => {
        leg.answered(bytes)
      },
      onProgress: (reached) => {
        large.framed += reached - told
        told = reached
        transfer.onProgress?.(reached)
      },
      isStopped: () => transfer.size - told > REST_BYTES && (!data[way].isSlow || large.framed >= FRAMES_MOST),
    })
    large.turns.tried(true)
    leg.ended()
    return end
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    large.turns.tried(false)
    if (isOpen) throw error
    return undefined
  }
}

/** Tells the link's meter how quick one leg is, while it goes on. What is beside it is taken for the link's. */
class MeasuredLeg {
  readonly #link: Link
  readonly #startMs: number
  #all = 0
  /** The span that goes on: from the first answer of the leg on, what went over the wire, and how long nothing was under way meanwhile. */
  #span: { readonly startMs: number; bytes: number; idleMs: number } | undefined
  #underWay = 0
  #idleFrom: number | undefined
  spans = 0

  constructor(link: Link) {
    this.#link = link
    this.#startMs = link.data.clock.monotonic()
  }

  /** A request is on its way; while there is none, the link has nothing to do. */
  asked(): void {
    if (this.#idleFrom !== undefined && this.#span !== undefined) this.#span.idleMs += this.#now() - this.#idleFrom
    this.#idleFrom = undefined
    this.#underWay++
  }

  answered(bytes: number): void {
    this.moved(bytes)
    if (--this.#underWay === 0) this.#idleFrom = this.#now()
  }

  moved(bytes: number): void {
    const now = this.#now()
    this.#all += bytes
    if (this.#span === undefined) {
      this.#span = { startMs: now, bytes: 0, idleMs: 0 }
      return
    }
    this.#span.bytes += bytes
    const ms = now - this.#span.startMs
    if (this.#span.bytes < SPAN_BYTES && (this.#span.bytes < SPAN_LEAST_BYTES || ms < SPAN_MS)) return
    this.spans++
    this.#finished({ bytes: this.#span.bytes, ms: ms - this.#span.idleMs, trips: 0 })
    this.#span = { startMs: now, bytes: 0, idleMs: 0 }
  }

  /** A leg without a span is measured as a whole. */
  ended(): void {
    const { way } = this.#link
    if (this.spans === 0) this.#finished({ bytes: this.#all, ms: this.#now() - this.#startMs, trips: TRIPS[way] })
  }

  #finished(transfer: { bytes: number; ms: number; trips: number }): void {
    this.#link.data.finished(this.#link.way, transfer)
  }

  #now(): number {
    return this.#link.data.clock.monotonic()
  }
}
