// `-once`: waits until every folder is in step with the coordinator, or stuck, and says which.

import { EXIT, SyncError, Unauthorised, Unreachable } from '../errors.ts'
import type { Replica } from '../replica/replica.ts'
import type { Role, RunOptions } from './run-daemon.ts'
import { openProgress } from './progress.ts'

/** A folder counts as in step, or stuck, when it stays so for this long: hints may be on their way. Milliseconds. */
const REST_MS = 300
const POLL_MS = 25

/** Returns 0 when all folders are in step, 1 when something could not be synced. Throws `Unreachable` or `Unauthorised`. */
export async function runOnce(role: Role, { clock, json, log }: RunOptions, signal: AbortSignal): Promise<number> {
  const progress = await openProgress()
  try {
    let restedSinceMs: number | undefined
    for (;;) {
      signal.throwIfAborted()
      const failure = role.failure()
      if (failure instanceof Unauthorised || failure instanceof Unreachable) throw failure
      if (failure instanceof SyncError) throw failure
      const now = clock.monotonic()
      if (!role.replicas.every((replica) => replica.isAtRest())) restedSinceMs = undefined
      else restedSinceMs ??= now
      if (restedSinceMs !== undefined && now - restedSinceMs >= REST_MS) break
      progress.update(sumOf(role.replicas))
      await clock.sleep(POLL_MS, signal)
    }
  } finally {
    progress.done()
  }
  const status = await role.methods.status({}, signal)
  if (json) process.stdout.write(`${JSON.stringify(status)}\n`)
  const stuck = status.folders.filter((folder) => folder.state !== 'in step')
  for (const folder of stuck) {
    for (const problem of folder.problems) {
      process.stderr.write(`monitor: ${folder.name}/${problem.path}: ${problem.reason}\n  ${problem.todo}\n`)
    }
    if (folder.problems.length === 0) process.stderr.write(`monitor: folder "${folder.name}" is ${folder.state}\n`)
  }
  log.info(
    stuck.length === 0 ? 'Every folder is in step' : `Not in step: ${stuck.map((folder) => folder.name).join(', ')}`,
  )
  return stuck.length === 0 ? EXIT.done : EXIT.unsynced
}

function sumOf(replicas: readonly Replica[]): { files: number; filesTotal: number; bytes: number; bytesTotal: number } {
  const sum = { files: 0, filesTotal: 0, bytes: 0, bytesTotal: 0 }
  for (const replica of replicas) {
    const { progress } = replica.status()
    sum.files += progress.filesDone
    sum.filesTotal += progress.filesTotal
    sum.bytes += progress.bytesDone
    sum.bytesTotal += progress.bytesTotal
  }
  return sum
}
