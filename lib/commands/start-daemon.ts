// Starts a role: reads the configuration, opens the logs, and hands over to the daemon.

import { mkdirSync } from 'node:fs'
import { configOf } from './find-node.ts'
import type { Arguments } from './arguments.ts'
import { refuseUnbuilt, resolveNode, type Flags, type Machinery, type NodeConfig } from '../config/node-config.ts'
import { systemClock } from '../daemon/clock.ts'
import { openLog, type Log } from '../daemon/log.ts'
import { ConfigError, EXIT } from '../errors.ts'

export interface Start {
  readonly args: Arguments
  readonly flags: Flags
  readonly machine: Machinery
}

/** Runs the node that `flags` name. Throws `ConfigError` when it cannot start as configured. The exit status. */
export async function startDaemon({ args, flags, machine }: Start, signal: AbortSignal): Promise<number> {
  const node = resolveNode(configOf({ args, machine }), flags, machine)
  refuseUnbuilt(node)
  using log = openLogs(node, args.json)
  log.info(`This is ${node.reading}`, { node: node.node, ip: node.ip, port: node.port, user: node.user })
  for (const warning of node.warnings) log.warn(warning)
  const { runDaemon } = await loadDaemon()
  try {
    return await runDaemon(node, { once: args.once, json: args.json, clock: systemClock, log }, signal)
  } catch (error) {
    // A daemon that was asked to stop and did has done its work.
    if (signal.aborted && error === signal.reason) return EXIT.done
    throw error
  }
}

function openLogs({ stateDir, logFile, log: { level } }: NodeConfig, json: boolean): Log & Disposable {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    return openLog({ level, file: logFile, terminal: json ? 'json' : 'human' })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError(`Cannot start in "${stateDir}": ${why}`, {
      cause,
      hint: 'Give places that this user may write with -state and -log',
    })
  }
}

/** Apart from the function above: TypeScript 6 leaves the `.ts` of a dynamic import standing where a `using` is. */
async function loadDaemon() {
  return await import('./run-daemon.ts')
}
