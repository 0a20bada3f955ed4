// The errors a person may see: one tree, each with what to do, when to try again and the exit status.

export type Retry = 'now' | 'later' | 'never'

/** Exit statuses of `monitor`. */
export const EXIT = { done: 0, unsynced: 1, usage: 64, bug: 70, unreachable: 75, unauthorised: 77, config: 78 } as const

/** Message: action, quoted value, colon, current state and wanted state; no period. `hint`: what the person can do. */
export class SyncError extends Error {
  readonly code: string
  readonly retry: Retry
  readonly hint: string | undefined
  readonly exitStatus: number

  constructor(
    message: string,
    details: { code: string; retry?: Retry; hint?: string; exitStatus?: number; cause?: unknown },
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = details.code
    this.retry = details.retry ?? 'never'
    this.hint = details.hint
    this.exitStatus = details.exitStatus ?? EXIT.unsynced
  }
}

type Details = { hint?: string; cause?: unknown; retry?: Retry; code?: string }

/** The command line is wrong. Exit status 64. */
export class UsageError extends SyncError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'USAGE', ...details, exitStatus: EXIT.usage })
  }
}

/** The configuration is wrong, or asks for what is not built yet. Exit status 78. */
export class ConfigError extends SyncError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'CONFIG', ...details, exitStatus: EXIT.config })
  }
}

/** The coordinator, or the daemon, cannot be reached, or another daemon holds the state directory. Exit status 75. */
export class Unreachable extends SyncError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'UNREACHABLE', retry: 'later', ...details, exitStatus: EXIT.unreachable })
  }
}

/** The other side does not let this node in, or this node does not trust the other side. Exit status 77. */
export class Unauthorised extends SyncError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'UNAUTHORISED', ...details, exitStatus: EXIT.unauthorised })
  }
}

/** A request was refused. `status`: 400 malformed, 401 who are you, 403 not yours, 404 no such thing, 409 conflict, 423 halted or held, 500 failed here, 507 no space. */
export class Refused extends SyncError {
  readonly status: number

  constructor(message: string, details: Details & { status: number }) {
    super(message, { code: 'REFUSED', ...details })
    this.status = details.status
  }
}
