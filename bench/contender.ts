// What the bench asks of SystemSync and of each rival.

import type { Arena } from './arena.ts'

/** A program (or a way to use one) that carries A's folder to the coordinator and on to the other clients. */
export interface Contender {
  readonly name: string
  /** continuous: carries by itself while it runs; one-shot: carries when asked. */
  readonly kind: 'continuous' | 'one-shot'
  /** Whether changes made in B come to A. */
  readonly twoWay: boolean
  /** Its version, or undefined when it is not on this machine. */
  version(): string | undefined
  /** Prepares it for this arena; starts nothing. */
  open(arena: Arena): Promise<Session>
}

/** A contender in one arena. */
export interface Session {
  /** Continuous: starts it, and returns when it is as connected as can be told from outside. One-shot: what comes before any pass. */
  start(): Promise<void>
  stop(): Promise<void>
  /** One-shot: carries once, A to the coordinator and then to all others. Continuous: nothing. */
  pass(): Promise<void>
  /** The process at the coordinator, for its share of CPU; sshd where the coordinator is only a disk. */
  coordinatorPid(): number | undefined
}
