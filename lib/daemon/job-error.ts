// Errors that cross from a worker thread to the main one: a structured clone would lose their class.

import { Refused, SyncError, type Retry } from '../errors.ts'

/** An error as it travels between threads. */
export interface JobError {
  readonly kind: 'refused' | 'sync' | 'plain'
  readonly message: string
  readonly stack: string | undefined
  readonly facts: Readonly<Record<string, string | number>>
}

/** Describes `error` so that it can be posted. */
export function packError(error: unknown): JobError {
  if (!(error instanceof Error)) return { kind: 'plain', message: String(error), stack: undefined, facts: {} }
  const facts: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(error)) {
    if (typeof value === 'string' || typeof value === 'number') facts[name] = value
  }
  const kind = error instanceof Refused ? 'refused' : error instanceof SyncError ? 'sync' : 'plain'
  return { kind, message: error.message, stack: error.stack, facts }
}

/** The error again: a `Refused` or `SyncError` as one, anything else as an `Error` with the same `code`, `errno`, `path` and so on. */
export function unpackError({ kind, message, stack, facts }: JobError): Error {
  const error = rebuild(kind, message, facts)
  if (kind === 'plain') Object.assign(error, facts)
  if (stack !== undefined) error.stack = stack
  return error
}

function rebuild(kind: JobError['kind'], message: string, facts: JobError['facts']): Error {
  if (kind === 'plain') return new Error(message)
  const details = {
    code: String(facts['code']),
    retry: facts['retry'] as Retry,
    ...(facts['hint'] !== undefined && { hint: String(facts['hint']) }),
  }
  if (kind === 'refused') return new Refused(message, { ...details, status: Number(facts['status']) })
  return new SyncError(message, { ...details, exitStatus: Number(facts['exitStatus']) })
}
