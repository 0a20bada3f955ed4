// A clock whose time passes so many times as fast: who waits half a second on it waits a few milliseconds.

import { systemClock, type Clock } from '../../lib/daemon/clock.ts'

export function hurriedClock(times: number): Clock {
  return {
    now: systemClock.now,
    monotonic: () => systemClock.monotonic() * times,
    sleep: (ms, signal) => systemClock.sleep(ms / times, signal),
    after: (ms, fn) => systemClock.after(ms / times, fn),
  }
}
