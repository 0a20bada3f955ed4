// Makes this thread give way to all others: for work that nobody waits for.

import { setPriority } from 'node:os'

/** About a thirtieth of what any other thread gets that wants the processor: not felt, yet done some day on a machine that never rests. */
const LOW = 15

/** From now on this thread gives way to others. On Linux a priority is a thread's own (setpriority(2), NOTES). */
export function giveWay(): void {
  setPriority(LOW)
}
