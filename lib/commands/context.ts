// What every sub-command is given.

import type { Arguments } from './arguments.ts'
import type { Machinery } from '../config/node-config.ts'

/** `words`: the arguments after the sub-command's name. `print` writes to standard output as it is. */
export interface CommandContext {
  readonly args: Arguments
  readonly words: readonly string[]
  /** Whether the words stood behind `--`: then nothing in them is special. */
  readonly isLiteral: boolean
  readonly machine: Machinery
  readonly signal: AbortSignal
  readonly print: (text: string | Uint8Array) => Promise<void>
}

/** Does the sub-command; the exit status. */
export type Command = (context: CommandContext) => Promise<number>
