// The message log: every JSON-RPC message as one JSON line, apart from the main log, secrets left out.

import { redact } from './redact.ts'
import { RotatingFile } from './rotating-file.ts'
import type { Clock } from './clock.ts'

/** `peer`: a client's name, or `server`. `in`: it came from the peer; `out`: it went there. */
export interface MessageLog {
  note(peer: string, direction: 'in' | 'out', message: unknown): void
}

const LONGEST_LINE = 4096

/** Opens the message log. A message longer than 4 KiB is cut, and the line says so. */
export function openMessageLog(
  path: string,
  { clock, maxBytes, keep }: { clock: Clock; maxBytes?: number; keep?: number },
): MessageLog & Disposable {
  const file = new RotatingFile(path, { ...(maxBytes && { maxBytes }), ...(keep && { keep }) })
  return {
    note: (peer, direction, message) => {
      file.write(lineOf({ time: new Date(clock.now()).toISOString(), peer, direction }, message))
    },
    [Symbol.dispose]: () => {
      file[Symbol.dispose]()
    },
  }
}

/** A cut message is kept as text: half a JSON value is none. */
function lineOf(head: Record<string, string>, message: unknown): string {
  const body = JSON.stringify(redact(message)) ?? 'null'
  const prefix = JSON.stringify(head).slice(0, -1)
  if (body.length <= LONGEST_LINE) return `${prefix},"message":${body}}\n`
  const note = `cut: ${String(body.length)} characters`
  return `${prefix},"message":${JSON.stringify(body.slice(0, LONGEST_LINE).toWellFormed())},"note":${JSON.stringify(note)}}\n`
}
