// The clock: the only place that asks for the time or sets a timer.

/** `now`: ms since 1970. `monotonic`: ms that never jump, from an arbitrary start. */
export interface Clock {
  now(): number
  monotonic(): number
  /** Waits `ms`; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** Calls `fn` once after `ms`, unless disposed before. */
  after(ms: number, fn: () => void): Disposable
}

/** The longest delay one timer of Node can hold, in ms; longer ones are made of several. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => sleepWith(after, ms, signal),
  after,
}

/** `Clock.sleep` made of `Clock.after`. */
export function sleepWith(schedule: Clock['after'], ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error)
      return
    }
    const stop = () => {
      timer[Symbol.dispose]()
      reject(signal.reason as Error)
    }
    const timer = schedule(ms, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    signal.addEventListener('abort', stop, { once: true })
  })
}

function after(ms: number, fn: () => void): Disposable {
  let timer: NodeJS.Timeout
  const arm = (left: number) => {
    const step = Math.min(left, LONGEST_TIMER_MS)
    timer = setTimeout(() => {
      if (left > step) arm(left - step)
      else fn()
    }, step)
  }
  arm(Math.max(0, ms))
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer)
    },
  }
}
