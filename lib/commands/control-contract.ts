// The contract of the control socket: what a sub-command asks of the running daemon, and the JSON it gets (and prints with -json).

import { z } from 'zod'

const name = z.string().min(1).max(255)
const path = z.string().min(1).max(4096)
const count = z.number().int().nonnegative()
const time = z.iso.datetime({ precision: 3 })

// Loose on purpose: fields may be added, and a newer daemon's must reach who asked for JSON.
const problem = z.object({ path: z.string(), reason: z.string(), todo: z.string() })

export const folderState = z.enum(['in step', 'scanning', 'syncing', 'waiting', 'held', 'halted', 'offline'])

const folderStatus = z.looseObject({
  name,
  path: z.string(),
  state: folderState,
  seq: count,
  pending: count,
  bytesPending: count,
  problems: z.array(problem),
  /** While `syncing`: how far it is. */
  progress: z.looseObject({ files: count, filesTotal: count, bytes: count, bytesTotal: count }).optional(),
  /** What is the matter with a folder that is `waiting`, `held`, `halted` or `offline`. */
  reason: z.string().optional(),
})

const status = z.looseObject({
  role: z.enum(['server', 'client']),
  node: name,
  version: z.string(),
  coordinator: z.looseObject({ connected: z.boolean(), address: z.string() }),
  folders: z.array(folderStatus),
})

const logLine = z.looseObject({
  folder: name,
  seq: count,
  time,
  peer: name,
  what: z.enum(['create', 'update', 'delete', 'move']),
  path: z.string(),
  kind: z.enum(['file', 'dir', 'link']).nullish(),
  size: count.nullish(),
  sha256: z.string().nullish(),
})

const version = z.looseObject({
  rev: count,
  time,
  peer: name,
  what: z.enum(['create', 'update', 'delete', 'move']),
  size: count.nullish(),
  sha256: z.string().nullish(),
  live: z.boolean(),
  loser: z.boolean(),
})

const author = z.looseObject({ peer: name, rev: count })

const collision = z.looseObject({ folder: name, path: z.string(), time, winner: author, loser: author })

const client = z.looseObject({
  name,
  online: z.boolean(),
  fingerprint: z.string().nullable(),
  behind: count.nullable(),
  lastSeen: time.nullable(),
})

const none = z.strictObject({})
const ofFolder = z.strictObject({ folder: name })
const ofRevision = z.strictObject({ folder: name, path, rev: count.optional() })

/** Methods of the control socket by name. */
export const control = {
  status: { params: none, result: status },
  log: {
    params: z.strictObject({ folder: name.optional(), path: path.optional() }),
    result: z.array(logLine),
  },
  history: { params: z.strictObject({ folder: name, path }), result: z.array(version) },
  /** Brings a revision back as a new one: `rev`. */
  restore: { params: ofRevision, result: z.looseObject({ rev: count }) },
  /** Where this user can read the content: `size` bytes of `file` from `offset`; `temporary`: remove it after. */
  get: {
    params: ofRevision,
    result: z.looseObject({ file: z.string(), offset: count, size: count, temporary: z.boolean() }),
  },
  conflicts: { params: none, result: z.array(collision) },
  confirm: { params: ofFolder, result: z.looseObject({}) },
  reject: { params: ofFolder, result: z.looseObject({}) },
  clients: { params: none, result: z.array(client) },
} as const satisfies Record<string, { params: z.ZodType; result: z.ZodType }>

export type ControlMethod = keyof typeof control
export type ControlParams<Method extends ControlMethod> = z.output<(typeof control)[Method]['params']>
export type ControlResult<Method extends ControlMethod> = z.output<(typeof control)[Method]['result']>

export type Status = ControlResult<'status'>
export type FolderStatus = z.output<typeof folderStatus>
export type LogLine = z.output<typeof logLine>
export type Version = z.output<typeof version>
export type CollisionLine = z.output<typeof collision>
export type ClientLine = z.output<typeof client>

/** What a daemon serves. It throws `Refused` for what it will not do. */
export type ControlMethods = {
  readonly [Method in ControlMethod]: (
    params: ControlParams<Method>,
    signal: AbortSignal,
  ) => Promise<ControlResult<Method>> | ControlResult<Method>
}
