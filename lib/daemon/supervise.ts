// Supervision: runs a task for ever, again after each failure, with back-off.

import { backoffMs } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { SyncError } from '../errors.ts'

export interface Supervision {
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  /** 0 up to 1; `Math.random` unless told. */
  readonly random?: () => number
  /** Whether to try again after `error`. Unless told: what says it may be retried, and what the system said (errors with an errno). */
  readonly canRetry?: (error: unknown) => boolean
}

/**
 * Runs `task` until `signal` aborts, then returns. A task that ends or fails is run again after a back-off, which `succeeded` (given to the
 * task) resets. Each distinct failure is a warning once until then; its repetitions are `debug`. An error that must not be retried is thrown.
 */
export async function supervise(
  task: (signal: AbortSignal, succeeded: () => void) => Promise<void>,
  { name, clock, log, random = Math.random, canRetry = isPassing }: Supervision,
  signal: AbortSignal,
): Promise<void> {
  const told = new Set<string>()
  let failures = 0
  const succeeded = () => {
    failures = 0
    told.clear()
  }
  while (!signal.aborted) {
    try {
      await task(signal, succeeded)
      failures++
    } catch (error) {
      if (signal.aborted) return
      if (!canRetry(error)) throw error
      failures++
      tell(error, { name, log, told })
    }
    const delayMs = backoffMs(failures, random())
    await clock.sleep(delayMs, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}

/** Trouble that may pass by itself. Anything else is a bug and crashes with its stack. */
export function isPassing(error: unknown): boolean {
  if (error instanceof SyncError) return error.retry !== 'never'
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number'
}

function tell(error: unknown, { name, log, told }: { name: string; log: Log; told: Set<string> }): void {
  const message = error instanceof Error ? error.message : String(error)
  if (told.has(message)) {
    log.debug(`${name} failed again, trying again`, { error })
    return
  }
  told.add(message)
  log.warn(`${name} failed, trying again`, { error })
}
