// Log lines for people.

import type { DestinationStream } from 'pino'
import pretty from 'pino-pretty'

/** A stream that writes what pino says to standard error as lines for people, in colour on a terminal. */
export function pinoPretty(): DestinationStream {
  return pretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    singleLine: true,
  })
}
