// Says which limit of inotify was reached, what it is now, what is needed, and the line that raises it.

import { readFileSync } from 'node:fs'
import type { Problem } from '../model/problem.ts'

/** Which limit; for watches also how many this folder has and how many directories are left without. */
export type Limit =
  { readonly kind: 'watches'; readonly used: number; readonly missing: number } | { readonly kind: 'instances' }

/** The one message about a reached limit. Limits are per user and shared by all programs of that user. */
export function limitProblem(limit: Limit, now: number | undefined = presentLimit(limit.kind)): Problem {
  const name = `fs.inotify.max_user_${limit.kind}`
  const missing = limit.kind === 'watches' ? limit.missing : 1
  const needed = (now ?? 0) + missing
  const state = `${name} is ${now ?? 'unknown'}, at least ${needed} needed`
  const reason =
    limit.kind === 'watches'
      ? `The limit of inotify watches is reached: ${state}; this folder has ${limit.used + limit.missing} directories, ${limit.missing} of them are polled`
      : `The limit of inotify instances is reached: ${state}; the whole folder is polled`
  return { path: '.', reason, todo: `Run: sudo sysctl ${name}=${roomy(needed)}` }
}

function presentLimit(kind: Limit['kind']): number | undefined {
  try {
    const value = Number(readFileSync(`/proc/sys/fs/inotify/max_user_${kind}`, 'utf8'))
    return Number.isSafeInteger(value) ? value : undefined
  } catch {
    return undefined // No such file in some containers: the message then says that it is unknown.
  }
}

/** The next power of two that leaves some room. */
function roomy(needed: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(needed * 1.25, 256)))
}
