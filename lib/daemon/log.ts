// The log: JSON lines in a file, and lines for people on standard error.

import { pino, type DestinationStream, type Logger, type StreamEntry } from 'pino'
import { pinoPretty } from './pretty.ts'
import { redact } from './redact.ts'
import { RotatingFile } from './rotating-file.ts'
import { SyncError } from '../errors.ts'

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

export type Facts = Readonly<Record<string, unknown>>

/** Says what happened. Facts under names such as `key` or `token` are left out; an `Error` among them is told as its message. */
export interface Log {
  error(message: string, facts?: Facts): void
  warn(message: string, facts?: Facts): void
  info(message: string, facts?: Facts): void
  debug(message: string, facts?: Facts): void
  /** The same log, with `facts` in every line. */
  child(facts: Facts): Log
}

/** A log that says nothing. */
export const silentLog: Log = { error: nothing, warn: nothing, info: nothing, debug: nothing, child: () => silentLog }

export interface LogPlaces {
  readonly level: LogLevel
  /** JSON lines go here, rotated at 10 MiB, three files in all. */
  readonly file?: string
  /** What standard error gets: lines for people, JSON lines, or nothing. */
  readonly terminal: 'human' | 'json' | 'none'
}

/** Opens the log. Throws when the file cannot be opened. */
export function openLog({ level, file, terminal }: LogPlaces): Log & Disposable {
  const lines = file === undefined ? undefined : new RotatingFile(file)
  const streams: StreamEntry[] = []
  if (lines !== undefined) streams.push({ level, stream: lines })
  if (terminal !== 'none') streams.push({ level, stream: terminal === 'json' ? rawStderr() : pinoPretty() })
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, ...LEVELS_BY_NAME },
    pino.multistream(streams),
  )
  return { ...wrap(logger), [Symbol.dispose]: () => lines?.[Symbol.dispose]() }
}

const LEVELS_BY_NAME = { formatters: { level: (label: string) => ({ level: label }) } }

function wrap(logger: Logger): Log {
  const at = (level: LogLevel) => (message: string, facts?: Facts) => {
    if (!logger.isLevelEnabled(level)) return
    if (facts === undefined) logger[level](message)
    else logger[level](tell(facts), message)
  }
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    child: (facts) => wrap(logger.child(tell(facts))),
  }
}

function tell(facts: Facts): Record<string, unknown> {
  const told: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(facts)) told[name] = value instanceof Error ? tellError(value) : value
  return redact(told) as Record<string, unknown>
}

/** An error people may see is one sentence; anything else is a bug, and its stack is wanted. */
function tellError(error: Error): string {
  if (error instanceof SyncError) return error.hint === undefined ? error.message : `${error.message} (${error.hint})`
  return error.stack ?? error.message
}

function rawStderr(): DestinationStream {
  return { write: (line) => void process.stderr.write(line) }
}

function nothing(): void {
  // said to nobody
}
