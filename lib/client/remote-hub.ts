// The hub as a client sees it: words over the control connection, bytes over the data connection.

import { open } from 'node:fs/promises'
import { writeAll } from '../disk/write-bytes.ts'
import { Refused, Unreachable } from '../errors.ts'
import type { PlacedContent } from '../replica/ports.ts'
import { DEFLATED_PREFIX, type ContentPlace, type Source } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { Outcome } from '../model/revision.ts'
import type { Depot, Hub, OnBytes, Range } from '../replica/ports.ts'
import { askCoordinator, type CoordinatorMethod } from '../rpc/contract.ts'
import type { RpcPeer } from '../rpc/peer.ts'
import { toWireDigest, toWireProposal, toWireSince, toWireTreeMove } from '../rpc/wire.ts'
import type { SftpChannel, Transfer } from '../ssh/client/sftp-channel.ts'
import type { DataLink } from './data-link.ts'
import { getLarge, putLarge } from './large-bodies.ts'
import { putPack, readPack, readRanges } from './small-bodies.ts'

const PAGE = 4000

/** Ranges of a content that are read together: at most so many bytes in memory, and so many ranges. */
const GROUP_BYTES = 2 * 1024 * 1024
const GROUP_RANGES = 500

export interface RemoteParts {
  readonly folder: string
  readonly client: string
  readonly control: RpcPeer
  readonly data: DataLink
  readonly clockOffsetMs: number
}

/** One folder's hub over the wire. */
export function remoteHub(parts: RemoteParts): Hub {
  const { folder, control, clockOffsetMs } = parts
  const call = <Name extends CoordinatorMethod>(name: Name, params: object, signal: AbortSignal) =>
    askCoordinator(control, name, { folder, ...params }, signal)
  return {
    changes: (since, signal) => call('changes', { since: toWireSince(since), limit: PAGE }, signal),
    holdings: async (contents, signal) => {
      const files = contents.map(({ sha256, size }) => [toWireDigest(sha256), size])
      const { answers } = await call('req_push_file', { files }, signal)
      return answers.map((answer) => (answer === 'have' ? { kind: 'have' } : { kind: 'go', staged: answer }))
    },
    propose: async (batch, signal) => {
      const reply = await decided(control, call('ack_push_file', { proposals: batch.map(toWireProposal) }, signal))
      const isTaken = !batch.some(({ source }, index) => isDeflated(source) && isRefused(reply.outcomes[index]))
      if (!isTaken) parts.data.deflatedUp.tried(false)
      return reply
    },
    moveTrees: (moves, signal) => decided(control, call('move_dir', { moves: moves.map(toWireTreeMove) }, signal)),
    places: (digests, signal) => placesOf(digests, (wanted) => call('pack', { wanted }, signal)),
    recipe: async (sha256, signal) => {
      const { patch } = await call('recipe', { sha256: toWireDigest(sha256) }, signal)
      return patch ?? undefined
    },
    report: (state) => {
      void control.notify('applied', { folder, ...state })
    },
    clockOffsetMs: () => clockOffsetMs,
    depot: remoteDepot(parts),
  }
}

/** What got no answer may be committed as long as this session lasts, so then it ends. */
async function decided<T>(control: RpcPeer, asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof Unreachable) await control[Symbol.asyncDispose]()
    throw error
  }
}

async function placesOf(
  digests: readonly Digest[],
  ask: (wanted: string[]) => Promise<{ places: (ContentPlace | null)[] }>,
): Promise<(ContentPlace | undefined)[]> {
  const { places } = await ask(digests.map(toWireDigest))
  return digests.map((_, index) => places[index] ?? undefined)
}

function remoteDepot({ folder, client, data }: RemoteParts): Depot {
  const staging = `/${folder}/staging/${client}`
  return {
    isNear: false,
    putPack: (name, bytes, signal) => putPack(data, { staging, name, bytes }, signal),
    discard: (name, signal) => data.use('quick', (sftp) => sftp.remove(`${staging}/${name}`, signal), signal),
    putFile: async ({ fd, name, size, from }, onBytes, signal) => {
      const path = `staging/${client}/${name}`
      const put: Move = (sftp, transfer) => putLarge(data, { sftp, folder, path, fd }, transfer, signal)
      await moveOn(data, { from, size, onBytes }, put, signal)
    },
    read: async (contents, onBytes, signal) => {
      const bodies = new Map<PlacedContent, Uint8Array>()
      for (const [remote, group] of byFile(folder, contents)) {
        const ranges = group.map((content) => ({ offset: offsetOf(content.place), length: content.size }))
        const place = group[0]?.place
        const read = await (place?.kind === 'pack'
          ? readPack(data, { folder, pack: place.pack, ranges }, signal)
          : readRanges(data, { remote, ranges }, signal))
        group.forEach((content, index) => {
          const bytes = read[index] ?? new Uint8Array(0)
          bodies.set(content, bytes)
          onBytes(bytes.length)
        })
      }
      return contents.map((content) => bodies.get(content) ?? new Uint8Array(0))
    },
    readFile: async (content, target, onBytes, signal) => {
      await using file = await open(target.place, 'r+')
      const { place } = content
      if (place.kind === 'pack') {
        const slice = { remote: remotePlace(folder, content), offset: place.offset, size: content.size }
        await data.use('quick', (sftp) => readSlice(sftp, slice, { fd: file.fd, from: target.from }, signal), signal)
        onBytes(content.size - target.from)
        return
      }
      const path = `objects/${content.sha256}`
      const get: Move = (sftp, transfer) => getLarge(data, { sftp, folder, path, fd: file.fd }, transfer, signal)
      await moveOn(data, { from: target.from, size: content.size, onBytes }, get, signal)
    },
    readComing: async ({ sha256 }, { place, from, to }, onBytes, signal) => {
      await using file = await open(place, 'r+')
      const path = `coming/${sha256}`
      const get: Move = (sftp, transfer) => getLarge(data, { sftp, folder, path, fd: file.fd }, transfer, signal)
      try {
        await moveOn(data, { from, size: to, onBytes }, get, signal)
        return true
      } catch (error) {
        if (error instanceof Refused && error.status === 404) return false
        throw error
      }
    },
    readRanges: async ({ sha256 }, { place, ranges }, onBytes, signal) => {
      await using file = await open(place, 'r+')
      const path = `objects/${sha256}`
      for (const group of groupsOf(ranges)) {
        const [first] = group
        if (group.length === 1 && first !== undefined) {
          const get: Move = (sftp, transfer) => getLarge(data, { sftp, folder, path, fd: file.fd }, transfer, signal)
          const { offset, length } = first
          await moveOn(data, { from: offset, size: offset + length, onBytes }, get, signal)
          continue
        }
        const read = (sftp: SftpChannel) =>
          readGroup(sftp, { remote: `/${folder}/${path}`, fd: file.fd }, group, signal)
        await data.use('bulk', read, signal)
        onBytes(group.reduce((sum, range) => sum + range.length, 0))
      }
    },
  }
}

function isDeflated(source: Source): boolean {
  return source.kind === 'pack' && source.pack.startsWith(DEFLATED_PREFIX)
}

/** Whether the bytes that came were not those that were named. */
function isRefused(outcome: Outcome | undefined): boolean {
  return outcome?.kind === 'refused' && outcome.status === 409
}

type Move = (sftp: SftpChannel, transfer: Transfer) => Promise<void>

/** Moves a large content. When the connection dies meanwhile, the next one goes on after what is known to be there. */
async function moveOn(
  data: DataLink,
  { from, size, onBytes }: { readonly from: number; readonly size: number; readonly onBytes: OnBytes },
  move: Move,
  signal: AbortSignal,
): Promise<void> {
  let at = from
  const onProgress = (end: number): void => {
    if (end <= at) return
    onBytes(end - at)
    at = end
  }
  await data.use('bulk', (sftp) => move(sftp, { from: at, size, onProgress }), signal)
}

/** Reads ranges of a file into the same places of another by way of memory. */
async function readGroup(
  sftp: SftpChannel,
  { remote, fd }: { readonly remote: string; readonly fd: number },
  group: readonly Range[],
  signal: AbortSignal,
): Promise<void> {
  const bodies = await sftp.getRanges(remote, group, signal)
  for (const [index, { offset }] of group.entries()) writeAll(fd, bodies[index] ?? new Uint8Array(0), offset)
}

/** Streams a content that lies somewhere in a pack into the start of `fd`, from its byte `from` on. */
async function readSlice(
  sftp: SftpChannel,
  { remote, offset, size }: { readonly remote: string; readonly offset: number; readonly size: number },
  { fd, from }: { readonly fd: number; readonly from: number },
  signal: AbortSignal,
): Promise<void> {
  for (let at = from; at < size; at += GROUP_BYTES) {
    const length = Math.min(GROUP_BYTES, size - at)
    writeAll(fd, await sftp.getRange(remote, offset + at, length, signal), at)
  }
}

/** Cuts ranges into groups that are small enough to be held in memory; a range that is not is alone. */
function groupsOf(ranges: readonly Range[]): Range[][] {
  const groups: Range[][] = []
  let group: Range[] = []
  let bytes = 0
  for (const range of ranges) {
    if (group.length > 0 && (bytes + range.length > GROUP_BYTES || group.length >= GROUP_RANGES)) {
      groups.push(group)
      group = []
      bytes = 0
    }
    group.push(range)
    bytes += range.length
  }
  if (group.length > 0) groups.push(group)
  return groups
}

/** Contents by the file they are read from, each group in order of its offsets. */
function byFile(folder: string, contents: readonly PlacedContent[]): Map<string, PlacedContent[]> {
  const groups = new Map<string, PlacedContent[]>()
  for (const content of contents) {
    const remote = remotePlace(folder, content)
    const group = groups.get(remote)
    if (group === undefined) groups.set(remote, [content])
    else group.push(content)
  }
  for (const group of groups.values()) group.sort((a, b) => offsetOf(a.place) - offsetOf(b.place))
  return groups
}

function remotePlace(folder: string, { sha256, place }: PlacedContent): string {
  return place.kind === 'pack' ? `/${folder}/packs/${place.pack}` : `/${folder}/objects/${sha256}`
}

function offsetOf(place: ContentPlace): number {
  return place.kind === 'pack' ? place.offset : 0
}
