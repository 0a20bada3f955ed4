// Framing: one JSON text a line over any stream of bytes.
//
//   stream = *( json LF )        json: UTF-8, at most 1 MiB, no LF inside (JSON.stringify writes none); CR before LF is taken off

import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { SyncError } from '../errors.ts'

/** The longest line, in bytes, without its LF. */
export const MAX_LINE_BYTES = 1024 * 1024

/** A line is longer than both ends agreed on. */
export class LineTooLong extends SyncError {
  constructor(maxBytes: number) {
    super(`A message is too long: at most ${String(maxBytes)} bytes are allowed`, { code: 'LINE_TOO_LONG' })
  }
}

const LF = 10

/** The lines that come in on `channel`, empty ones left out. Throws `LineTooLong` as soon as a line is known to be; ends with the stream. */
export async function* readLines(channel: Duplex, maxBytes = MAX_LINE_BYTES): AsyncGenerator<string, void, undefined> {
  let pieces: Buffer[] = []
  let bytes = 0
  for await (const chunk of channel as AsyncIterable<Buffer | string>) {
    let rest = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    for (let at = rest.indexOf(LF); at >= 0; at = rest.indexOf(LF)) {
      if (bytes + at > maxBytes) throw new LineTooLong(maxBytes)
      const line = lineOf(pieces, rest.subarray(0, at))
      if (line !== '') yield line
      pieces = []
      bytes = 0
      rest = rest.subarray(at + 1)
    }
    bytes += rest.length
    if (bytes > maxBytes) throw new LineTooLong(maxBytes)
    if (rest.length > 0) pieces.push(rest)
  }
}

function lineOf(pieces: Buffer[], last: Buffer): string {
  return (pieces.length === 0 ? last : Buffer.concat([...pieces, last])).toString('utf8').trim()
}

/** `message` as one line. Throws `LineTooLong`. */
export function encodeLine(message: unknown, maxBytes = MAX_LINE_BYTES): Buffer {
  const line = Buffer.from(`${JSON.stringify(message)}\n`)
  if (line.length - 1 > maxBytes) throw new LineTooLong(maxBytes)
  return line
}

/**
 * Writes `line` in one write (two small writes would wait for each other's acknowledgement). Resolves when the channel has room again. A
 * channel that is closed, or closes meanwhile, makes it resolve: its reader tells why.
 */
export async function writeLine(channel: Duplex, line: Buffer): Promise<void> {
  if (!channel.writable || channel.write(line)) return
  const done = new AbortController()
  const { signal } = done
  try {
    await Promise.race([once(channel, 'drain', { signal }), once(channel, 'close', { signal })])
  } catch (error) {
    if (!channel.destroyed) throw error
  } finally {
    done.abort()
  }
}
