// Asks a program for its version, if it is there at all.

import { spawnSync } from 'node:child_process'

/** The first `d.d…` in what `command args` prints; undefined when it cannot be run. */
export function findVersion(command: string, args: readonly string[]): string | undefined {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) return undefined
  return /\d+\.\d+(\.\d+)*/.exec(stdout + stderr)?.[0] ?? 'unknown'
}
