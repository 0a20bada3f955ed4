// The program: command line in, exit status out. Signals become one AbortController, errors become a sentence and a status.

import { setMaxListeners } from 'node:events'
import { readArguments, type Arguments } from './commands/arguments.ts'
import type { Command } from './commands/context.ts'
import { notBuilt } from './commands/not-built.ts'
import { thisMachine, type Machinery } from './config/node-config.ts'
import { EXIT, SyncError, UsageError } from './errors.ts'

/** Where the program writes; `machine` is what it knows of its surroundings. */
export interface Surroundings {
  readonly machine: Machinery
  readonly print: (text: string | Uint8Array) => Promise<void>
  readonly complain: (text: string) => void
}

/** Each is loaded when it is called for: a short command must start fast. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  check: async () => (await import('./commands/check.ts')).run,
  status: async () => (await import('./commands/status.ts')).run,
  log: async () => (await import('./commands/log.ts')).run,
  history: async () => (await import('./commands/history.ts')).run,
  restore: async () => (await import('./commands/restore.ts')).run,
  get: async () => (await import('./commands/get.ts')).run,
  conflicts: async () => (await import('./commands/conflicts.ts')).run,
  confirm: async () => (await import('./commands/confirm.ts')).run,
  reject: async () => (await import('./commands/reject.ts')).run,
  clients: async () => (await import('./commands/clients.ts')).run,
  demo: async () => (await import('./commands/demo.ts')).run,
  invite: () => Promise.resolve(notBuilt('invite')),
  join: () => Promise.resolve(notBuilt('join')),
  lock: () => Promise.resolve(notBuilt('lock')),
  unlock: () => Promise.resolve(notBuilt('unlock')),
  locks: () => Promise.resolve(notBuilt('locks')),
}

/** Runs `monitor` and ends the process with its exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  // One signal stops everything that runs, so it has many listeners: that is no leak.
  setMaxListeners(0)
  process.on('uncaughtException', (error) => {
    process.exit(report(error, complain))
  })
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever reads has gone (`monitor log | head`): nothing is left to do.
    if (error.code === 'EPIPE') process.exit(EXIT.done)
  })
  const signal = listenForSignals()
  const status = await runMonitor(argv, { machine: thisMachine(), print, complain }, signal)
  process.stdout.write('', () => process.exit(status))
}

/** Does what `argv` says. Never throws: errors become a sentence on standard error and their exit status. */
export async function runMonitor(argv: readonly string[], around: Surroundings, signal: AbortSignal): Promise<number> {
  try {
    return await dispatch(readArguments(argv), around, signal)
  } catch (error) {
    if (signal.aborted && isAbort(error, signal)) return INTERRUPTED
    return report(error, around.complain)
  }
}

/** A command that was stopped did not do its work. */
const INTERRUPTED = 130

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}

async function dispatch(args: Arguments, around: Surroundings, signal: AbortSignal): Promise<number> {
  if (args.help || args.version) {
    const text = args.help
      ? (await import('./commands/usage.ts')).USAGE
      : `monitor ${(await import('./daemon/own-version.ts')).ownVersion()}\n`
    await around.print(text)
    return EXIT.done
  }
  const [name, ...words] = args.words
  if (name === undefined) return runRole(args, around, signal)
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (load === undefined) throw new UsageError(`Unknown command "${name}"`, { hint: SEE_HELP })
  if (args.once) throw new UsageError(`-once does not go with "${name}": it goes with -role`)
  const run = await load()
  return run({ args, words, isLiteral: args.literalFrom <= 1, signal, machine: around.machine, print: around.print })
}

const SEE_HELP = 'monitor --help shows every command and flag'

/** Runs the coordinator or a client until the signal aborts, or until every folder is in step. */
async function runRole(args: Arguments, { machine }: Surroundings, signal: AbortSignal): Promise<number> {
  const { role } = args
  if (role === undefined)
    throw new UsageError('Nothing to do: give -role server, -role client or a command', { hint: SEE_HELP })
  const { startDaemon } = await import('./commands/start-daemon.ts')
  return startDaemon({ args, flags: { ...args, role }, machine }, signal)
}

/** The first signal asks everything to stop, the second ends the process at once. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController()
  const status = { SIGINT: 130, SIGTERM: 143 } as const
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    const stop = (): void => {
      if (controller.signal.aborted) process.exit(status[name])
      controller.abort(new Error(`Stopped by ${name}`))
    }
    process.on(name, stop)
  }
  // A package that conf brings listens too and sends every signal to this process once more: that would be the second.
  process.on('newListener', (name: string | symbol, listener: () => void) => {
    if (name !== 'SIGINT' && name !== 'SIGTERM') return
    process.nextTick(() => process.removeListener(name, listener))
  })
  return controller.signal
}

/** Says what went wrong; the exit status. What is not ours is a bug, and its stack is wanted. */
function report(error: unknown, complainTo: (text: string) => void): number {
  if (!(error instanceof SyncError)) {
    complainTo(`monitor: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return EXIT.bug
  }
  complainTo(`monitor: ${error.message}\n`)
  if (error.hint !== undefined) complainTo(`${error.hint}\n`)
  return error.exitStatus
}

function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

function complain(text: string): void {
  process.stderr.write(text)
}
