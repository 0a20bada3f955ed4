// Makes this thread give way to all others: for work that nobody waits for.

import { setPriority } from 'node:os'

/** About a tenth of what any other thread gets that wants the processor: hardly felt, yet done in time on a machine that never rests. */
const LOW = 10

/** From now on this thread gives way to others. On Linux a priority is a thread's own (setpriority(2), NOTES). */
export function giveWay(): void {
  setPriority(LOW)
}
