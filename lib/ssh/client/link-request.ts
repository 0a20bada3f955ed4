// One question to a connection that may die at any time: asked once, answered or failed, never left open.

import type { Duplex } from 'node:stream'
import { systemClock } from '../../daemon/clock.ts'
import { Unreachable, type SyncError } from '../../errors.ts'

export type Done<T> = (error: Error | undefined, value: T) => void

const ANSWER_TIMEOUT_MS = 15_000

/** Starts a request of ssh2 and waits for its answer, for the end of the connection, or 15 s. Throws `Unreachable`: `failure` and the reason. */
export async function askLink<T>(
  start: (done: Done<T>) => void,
  closed: Promise<SyncError | undefined>,
  failure: string,
): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const fail = (error: unknown) => {
      timer[Symbol.dispose]()
      reject(unreachable(failure, error))
    }
    const timer = systemClock.after(ANSWER_TIMEOUT_MS, () => {
      fail(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`))
    })
    void closed.then((error) => {
      fail(error ?? new Error('the connection is closed'))
    })
    try {
      start((error, value) => {
        if (error) {
          fail(error)
          return
        }
        timer[Symbol.dispose]()
        resolve(value)
      })
    } catch (error) {
      // ssh2 throws at once when its socket is gone.
      fail(error)
    }
  })
}

export function unreachable(what: string, cause: unknown): Unreachable {
  return new Unreachable(`${what}: ${reasonOf(cause)}`, { cause })
}

/** `channel` with a listener for errors: an unheard one would end the process; its `close` says enough. */
export function heard<T extends Duplex>(channel: T): T {
  return channel.on('error', ignore)
}

export function ignore(): void {
  // Nothing to do: the close that follows is acted upon.
}

/** An `AggregateError` of several addresses has no message of its own. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') return cause.errors.map(reasonOf).join(', ')
  if (!(cause instanceof Error)) return String(cause)
  return cause.message === '' && 'code' in cause ? String(cause.code) : cause.message
}
