// Asks the daemon that a sub-command is about, and prints its answer.

import type { CommandContext } from './context.ts'
import type { ControlMethod, ControlParams, ControlResult } from './control-contract.ts'
import { callDaemon } from './control-socket.ts'
import { findStateDir } from './find-node.ts'

/** Finds the daemon and asks it. Throws `Unreachable` when none runs, `Refused` when it refuses. */
export async function ask<Method extends ControlMethod>(
  context: CommandContext,
  method: Method,
  params: ControlParams<Method>,
): Promise<ControlResult<Method>> {
  return callDaemon(await findStateDir(context), { method, params }, context.signal)
}

/** Prints `value` as JSON when that was asked for, else `text`. */
export async function show<Value>(
  { args, print }: CommandContext,
  value: Value,
  text: (value: Value) => string,
): Promise<void> {
  await print(args.json ? `${JSON.stringify(value)}\n` : text(value))
}
