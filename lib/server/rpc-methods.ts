// The RPC methods that the coordinator serves to clients: each checks who asks, calls, and writes the answer down for the wire.

import { Refused } from '../errors.ts'
import type { PlacedHead } from '../model/content.ts'
import type { MovedTree } from '../model/revision.ts'
import { MAX_LINE_BYTES } from '../rpc/framing.ts'
import type { RpcMethod } from '../rpc/peer.ts'
import { implement, PROTOCOL, toCoordinator } from '../rpc/contract.ts'
import { toWireEntry, toWireHead, toWireMovedTree, toWirePatch, toWirePlace, toWireSince } from '../rpc/wire.ts'
import type { Coordinator } from './coordinator.ts'
import { fitReply } from './fit-reply.ts'
import type { RevisionFact } from './facts.ts'
import { historyOf, logOf } from './facts.ts'
import type { FolderHub } from './folder-hub.ts'
import type { Member } from './roster.ts'
import type { Piece } from './teller.ts'

/** An answer must fit one message with room to spare. Bytes. */
const ANSWER_BYTES = 700 * 1024
/** Only an answer that does not fit at all is cut where what is left out has to be asked for: the message less what is around the answer. Bytes. */
const REPLY_BYTES = MAX_LINE_BYTES - 4096

/** What one connection is: nobody yet, a member after `mark_presence`, or a data connection after `attach`. */
export interface Caller {
  member: Member | undefined
  /** Makes the caller a member. Throws `Refused`. */
  join(hello: Hello): Promise<Welcome>
  attach(session: string): void
}

export interface Hello {
  readonly node: string
  readonly folders: readonly { name: string; id: string | null; incarnation: string | null; cursor: number }[]
}

export interface Welcome {
  readonly session: string
  readonly folders: readonly { name: string; id: string; incarnation: string; seq: number; pruned: number }[]
  readonly refused: readonly { name: string; reason: string }[]
}

type Methods = Record<keyof typeof toCoordinator, RpcMethod>

/** The methods as `caller` may use them. */
export function methodsFor(coordinator: Coordinator, caller: Caller): Methods {
  const member = (): Member => {
    const { member: me } = caller
    if (me !== undefined) {
      if (!coordinator.isReplaced(me)) return me
      throw new Refused('Cannot answer: another session has begun meanwhile', { status: 409 })
    }
    throw new Refused('Cannot answer: this connection has not said who it is', {
      status: 401,
      hint: 'Call mark_presence first',
    })
  }
  const hubOf = (folder: string): FolderHub => {
    const hub = member().folders.has(folder) ? coordinator.hub(folder) : undefined
    if (hub !== undefined) return hub
    throw new Refused(`Cannot find folder "${folder}": it is not shared with "${member().name}"`, { status: 404 })
  }
  const ownHubs = (): FolderHub[] => [...member().folders].flatMap((folder) => coordinator.hub(folder) ?? [])
  const { clock } = coordinator
  return {
    mark_presence: implement(toCoordinator.mark_presence, async (params) => {
      if (params.protocol !== PROTOCOL) {
        throw new Refused(
          `Cannot talk to "${params.node}": it speaks protocol ${String(params.protocol)}, expected ${String(PROTOCOL)}`,
          { status: 400, hint: 'Install the same version of SystemSync on both machines' },
        )
      }
      const welcome = await caller.join(params)
      return { protocol: PROTOCOL, node: 'server', ...welcome }
    }),
    clock: implement(toCoordinator.clock, () => ({ nowMs: clock.now() })),
    attach: implement(toCoordinator.attach, ({ session }) => {
      caller.attach(session)
      return {}
    }),
    changes: implement(toCoordinator.changes, ({ folder, since, limit }) => {
      const hub = hubOf(folder)
      for (let most = limit; ; most = Math.ceil(most / 2)) {
        const page = hub.changes(since, most)
        const heads = page.heads.map(toWireHead)
        const rest = page.rest === undefined ? {} : { rest: toWireSince(page.rest) }
        const answer = { heads, upTo: page.upTo, more: page.more, ...rest }
        if (most === 1 || bytesOf(heads) <= ANSWER_BYTES) return answer
      }
    }),
    req_push_file: implement(toCoordinator.req_push_file, ({ folder, files }) => {
      const hub = hubOf(folder)
      const contents = files.map(([sha256, size]) => ({ sha256, size }))
      const holdings = hub.holdings(member().name, contents)
      const lacking = holdings.reduce(
        (bytes, holding, index) => bytes + (holding.kind === 'have' ? 0 : (files[index]?.[1] ?? 0) - holding.staged),
        0,
      )
      if (lacking > 0) hub.store.room.demand(lacking)
      return { answers: holdings.map((holding) => (holding.kind === 'have' ? 'have' : holding.staged)) }
    }),
    ack_push_file: implement(toCoordinator.ack_push_file, async ({ folder, proposals }) => {
      const hub = hubOf(folder)
      const me = member()
      const isOver = (): boolean => coordinator.isReplaced(me)
      const reply = await hub.serving.run(() => hub.propose(me.name, proposals, coordinator.signal, isOver))
      return fitReply(reply, REPLY_BYTES)
    }),
    move_dir: implement(toCoordinator.move_dir, ({ folder, moves }) => {
      return fitReply(hubOf(folder).moveTrees(member().name, moves), REPLY_BYTES)
    }),
    pack: implement(toCoordinator.pack, ({ folder, wanted }) => ({
      places: hubOf(folder)
        .places(wanted)
        .map((place) => (place === undefined ? null : toWirePlace(place))),
    })),
    recipe: implement(toCoordinator.recipe, ({ folder, sha256 }) => {
      const patch = hubOf(folder).recipe(sha256)
      return { patch: patch === undefined ? null : toWirePatch(patch) }
    }),
    applied: implement(toCoordinator.applied, ({ folder, ...report }) => {
      const hub = hubOf(folder)
      // Nobody can have been told more than there is; tombstones that come later would count as passed.
      const cursor = Math.min(report.cursor, hub.journal.seq())
      hub.noteCursor(member().name, cursor)
      hub.lag.heard(member().name, { ...report, cursor })
      return {}
    }),
    log: implement(toCoordinator.log, ({ folder, path, limit }) => {
      const hubs = folder === null ? ownHubs() : [hubOf(folder)]
      return { revisions: fitting(logOf(hubs, path ?? undefined, limit).map(toWireFact)) }
    }),
    history: implement(toCoordinator.history, ({ folder, path }) => ({
      revisions: fitting(historyOf(hubOf(folder), path).map(toWireFact)),
    })),
    restore: implement(toCoordinator.restore, ({ folder, path, rev }) => ({
      seq: hubOf(folder).restore(member().name, path, rev ?? undefined),
    })),
    locate: implement(toCoordinator.locate, ({ folder, path, rev }) => {
      const hub = hubOf(folder)
      const { entry } = hub.version(path, rev ?? undefined)
      const place = entry?.kind === 'file' ? hub.places([entry.sha256])[0] : undefined
      return { entry: toWireEntry(entry), place: toWirePlace(place ?? { kind: 'object' }) }
    }),
    conflicts: implement(toCoordinator.conflicts, () => ({
      collisions: fitting(
        ownHubs().flatMap((hub) => hub.journal.collisions().map((collision) => ({ folder: hub.name, ...collision }))),
      ),
    })),
    clients: implement(toCoordinator.clients, () => ({ clients: coordinator.clients(member().folders) })),
  }
}

/** Cuts heads into news that fit one message each; every piece starts where the one before ended. */
export function piecesOf(news: {
  readonly prev: number
  readonly upTo: number
  readonly heads: readonly PlacedHead[]
  readonly moved?: MovedTree
}): Piece[] {
  if (news.moved !== undefined) {
    return [{ prev: news.prev, upTo: news.upTo, heads: [], moved: toWireMovedTree(news.moved) }]
  }
  const pieces: Piece[] = []
  let heads: unknown[] = []
  let bytes = 0
  let prev = news.prev
  news.heads.forEach((placed, index) => {
    const wire = toWireHead(placed)
    heads.push(wire)
    bytes += bytesOf(wire) + 1
    const next = news.heads[index + 1]
    if ((bytes < ANSWER_BYTES / 2 && heads.length < 4000) || next === undefined || next.head.seq === placed.head.seq)
      return
    pieces.push({ prev, upTo: placed.head.seq, heads })
    prev = placed.head.seq
    heads = []
    bytes = 0
  })
  pieces.push({ prev, upTo: news.upTo, heads })
  return pieces
}

function toWireFact({ folder, revision, live }: RevisionFact): Record<string, unknown> {
  const { seq, path, what, entry, stamp, loser } = revision
  return { folder, seq, path, what, entry: toWireEntry(entry), timeMs: stamp.timeMs, peer: stamp.peer, loser, live }
}

/** As long as it is in a message: a name may take three bytes a character. */
function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}

/** The newest of a list that fit one answer. */
function fitting<T>(facts: T[]): T[] {
  let bytes = 0
  let from = facts.length
  while (from > 0) {
    bytes += bytesOf(facts[from - 1]) + 1
    if (bytes > ANSWER_BYTES) break
    from--
  }
  return facts.slice(from)
}
