// The RPC contract: every method between a client and the coordinator, with the shape of what it takes and gives.

import { z } from 'zod'
import type { RpcMethod, RpcPeer } from './peer.ts'
import {
  wireDigest,
  wireEntry,
  wireHead,
  wireHeadPlace,
  wireMovedTree,
  wireOutcome,
  wirePatch,
  wirePath,
  wirePlace,
  wireProposal,
  wireTreeMove,
} from './wire.ts'

/** Version of this contract; both sides must speak the same. */
export const PROTOCOL = 1

const folder = z.string().min(1).max(255)
const seq = z.int().nonnegative()
const id = z.string().min(1).max(80)
const peer = z.string().min(1).max(255)
const timeMs = z.number()

const nothing = z.strictObject({})

/** `rest`: the page ended among heads of one Seq; what to ask `since` next. */
const page = z.strictObject({
  heads: z.array(wireHead).max(5000),
  upTo: seq,
  more: z.boolean(),
  rest: wireHeadPlace.optional(),
})

const commit = z.strictObject({ outcomes: z.array(wireOutcome), heads: z.array(wireHead), prev: seq, upTo: seq })

const revision = z.strictObject({
  folder,
  seq,
  path: z.string(),
  what: z.enum(['create', 'update', 'delete', 'move']),
  entry: wireEntry,
  timeMs,
  peer,
  loser: z.boolean(),
  live: z.boolean(),
})

const author = z.strictObject({ peer, rev: seq })

/** A method of a contract: the shapes of what it takes and gives. */
interface Shape {
  readonly params: z.ZodType
  readonly result: z.ZodType
}

/** A method as it is served: `run` gets params as the contract reads them, and gives the result as it goes on the wire. */
export function implement<Method extends Shape>(
  method: Method,
  run: (params: z.output<Method['params']>) => unknown,
): RpcMethod {
  return { ...method, run: (params) => run(params as z.output<Method['params']>) }
}

/** Client to coordinator. */
export const toCoordinator = {
  /** Hello: who I am, what I hold of each folder. */
  mark_presence: {
    params: z.strictObject({
      protocol: z.int(),
      node: z.string().min(1).max(255),
      version: z.string().max(40),
      folders: z
        .array(z.strictObject({ name: folder, id: id.nullable(), incarnation: id.nullable(), cursor: seq }))
        .max(1000),
    }),
    result: z.strictObject({
      protocol: z.int(),
      node: z.string(),
      session: id,
      folders: z.array(z.strictObject({ name: folder, id, incarnation: id, seq, pruned: seq })),
      refused: z.array(z.strictObject({ name: folder, reason: z.string() })),
    }),
  },
  /** The coordinator's clock, for the offset. */
  clock: { params: nothing, result: z.strictObject({ nowMs: timeMs }) },
  /** On the data connection: which control session it belongs to. */
  attach: { params: z.strictObject({ session: id }), result: nothing },
  /** Heads after a Seq, oldest first; `since: 0` = the current state. */
  changes: {
    params: z.strictObject({ folder, since: z.union([seq, wireHeadPlace]), limit: z.int().min(1).max(5000) }),
    result: page,
  },
  /** What I want to push: per file `have`, or `go` from the byte that is staged already. */
  req_push_file: {
    params: z.strictObject({ folder, files: z.array(z.tuple([wireDigest, z.int().nonnegative()])).max(2000) }),
    result: z.strictObject({ answers: z.array(z.union([z.literal('have'), z.int().nonnegative()])) }),
  },
  /** Staged; commit. */
  ack_push_file: {
    params: z.strictObject({ folder, proposals: z.array(wireProposal).min(1).max(5000) }),
    result: commit,
  },
  /** Rename directories with all that lives below them, one after the other. */
  move_dir: { params: z.strictObject({ folder, moves: z.array(wireTreeMove).min(1).max(16) }), result: commit },
  /** Where contents can be read now. */
  pack: {
    params: z.strictObject({ folder, wanted: z.array(wireDigest).max(5000) }),
    result: z.strictObject({ places: z.array(wirePlace.nullable()) }),
  },
  /** How a content was made from others that were held then; `null`: it came whole, or is not held. */
  recipe: {
    params: z.strictObject({ folder, sha256: wireDigest }),
    result: z.strictObject({ patch: wirePatch.nullable() }),
  },
  /** How far this client has taken the folder in. A notification. */
  applied: {
    params: z.strictObject({ folder, cursor: seq, pending: z.int().nonnegative(), state: z.string().max(200) }),
    result: nothing,
  },
  log: {
    params: z.strictObject({ folder: folder.nullable(), path: wirePath.nullable(), limit: z.int().min(1).max(10_000) }),
    result: z.strictObject({ revisions: z.array(revision) }),
  },
  history: {
    params: z.strictObject({ folder, path: wirePath }),
    result: z.strictObject({ revisions: z.array(revision) }),
  },
  restore: { params: z.strictObject({ folder, path: wirePath, rev: seq.nullable() }), result: z.strictObject({ seq }) },
  /** The content of one version of a path, and where it can be read. */
  locate: {
    params: z.strictObject({ folder, path: wirePath, rev: seq.nullable() }),
    result: z.strictObject({ entry: wireEntry, place: wirePlace }),
  },
  conflicts: {
    params: nothing,
    result: z.strictObject({
      collisions: z.array(z.strictObject({ folder, path: z.string(), timeMs, winner: author, loser: author })),
    }),
  },
  clients: {
    params: nothing,
    result: z.strictObject({
      clients: z.array(
        z.strictObject({
          name: z.string(),
          online: z.boolean(),
          fingerprint: z.string(),
          behind: z.int(),
          lastSeenMs: timeMs.nullable(),
        }),
      ),
    }),
  },
} as const

/** Coordinator to client. */
export const toClient = {
  /**
   * New heads of a folder: those after `prev`, up to `upTo`, less what this client proposed itself; or, as `moved`, the move of a directory that
   * made them all. A notification, and only a hint.
   */
  pull_file: {
    params: z.strictObject({
      folder,
      prev: seq,
      upTo: seq,
      heads: z.array(wireHead).max(5000),
      moved: wireMovedTree.optional(),
    }),
    result: nothing,
  },
  /** A large content is on its way: so many bytes of it can be read at `coming/<sha256>`; 0: it is withdrawn. A notification, and only a hint. */
  coming: {
    params: z.strictObject({ folder, sha256: wireDigest, size: z.int().nonnegative(), end: z.int().nonnegative() }),
    result: nothing,
  },
  /**
   * A large content is being made by a patch; until it is, its data can be read at `coming/<sha256>`, one after the other. `coming` with 0 withdraws it. A
   * notification, and only a hint.
   */
  coming_patch: {
    params: z.strictObject({ folder, sha256: wireDigest, size: z.int().nonnegative(), patch: wirePatch }),
    result: nothing,
  },
  /** The public key this client logged in with, as a line of authorized_keys. */
  get_public_key: { params: nothing, result: z.strictObject({ key: z.string() }) },
} as const

export type CoordinatorMethod = keyof typeof toCoordinator
type Answers = { readonly [Name in CoordinatorMethod]: z.output<(typeof toCoordinator)[Name]['result']> }
export type Answer<Name extends CoordinatorMethod> = Answers[Name]

/** Calls a method of the coordinator and reads its answer. Throws what `RpcPeer.call` throws. */
export async function askCoordinator<Name extends CoordinatorMethod>(
  peer: RpcPeer,
  name: Name,
  params: object,
  signal: AbortSignal,
): Promise<Answer<Name>> {
  const methods: { readonly [Each in CoordinatorMethod]: { readonly result: z.ZodType<Answers[Each]> } } = toCoordinator
  return await peer.call<z.ZodType<Answer<Name>>>(name, params, methods[name].result, signal)
}
