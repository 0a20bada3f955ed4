// Errors on the wire: what a refused call says, and what the caller makes of it.

import {
  createJSONRPCErrorResponse,
  JSONRPCErrorCode,
  JSONRPCErrorException,
  type JSONRPCError,
  type JSONRPCErrorResponse,
  type JSONRPCID,
} from 'json-rpc-2.0'
import { z } from 'zod'
import { Refused, SyncError, Unauthorised, Unreachable } from '../errors.ts'

/** Domain errors carry `data.status`. */
const DOMAIN_ERROR = -32000

const UNREACHABLE = 503

const LONGEST_TEXT = 1000

const domainData = z.object({ status: z.number().int().min(400).max(599), hint: z.string().optional() })

/** The answer to a call that failed with `error`. A bug tells nothing of itself. */
export function errorResponse(id: JSONRPCID, error: unknown): JSONRPCErrorResponse {
  if (error instanceof JSONRPCErrorException)
    return createJSONRPCErrorResponse(id, error.code, error.message, error.data)
  if (error instanceof SyncError) {
    const data = { status: statusOf(error), ...(error.hint !== undefined && { hint: error.hint }) }
    return createJSONRPCErrorResponse(id, DOMAIN_ERROR, error.message, data)
  }
  return createJSONRPCErrorResponse(id, JSONRPCErrorCode.InternalError, 'Internal error')
}

/**
 * What the caller of `method` gets: `Unreachable` when the other side could not reach whom it asked in turn, `Refused` for any other domain error, else a
 * `SyncError` with code `PROTOCOL`.
 */
export function errorOfResponse(method: string, { code, message, data }: JSONRPCError): SyncError {
  const text = printable(message)
  const domain = domainData.safeParse(data)
  if (domain.success) {
    const { status } = domain.data
    const hint = domain.data.hint === undefined ? {} : { hint: printable(domain.data.hint) }
    return status === UNREACHABLE ? new Unreachable(text, hint) : new Refused(text, { status, ...hint })
  }
  return new SyncError(`Cannot call "${method}": ${text} (${String(code)})`, { code: 'PROTOCOL', retry: 'later' })
}

function statusOf(error: SyncError): number {
  if (error instanceof Refused) return error.status
  if (error instanceof Unauthorised) return 401
  return error instanceof Unreachable ? UNREACHABLE : 500
}

/** Text of a peer must not steer the terminal it is shown on. */
function printable(text: unknown): string {
  return String(text)
    .slice(0, LONGEST_TEXT)
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}
