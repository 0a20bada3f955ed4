// Sub-commands that are named already but not built yet: they say so instead of pretending.

import type { CommandContext } from './context.ts'
import { ConfigError } from '../errors.ts'

/** Refuses `name`. Always throws `ConfigError`. */
export function notBuilt(name: string): (context: CommandContext) => Promise<number> {
  return () => Promise.reject(new ConfigError(`monitor ${name} is not built yet`))
}
