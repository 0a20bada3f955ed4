// A peer: two-way JSON-RPC 2.0 over one channel, every message checked by a schema on both sides.

import type { Duplex } from 'node:stream'
import {
  createJSONRPCErrorResponse,
  createJSONRPCNotification,
  createJSONRPCRequest,
  isJSONRPCID,
  isJSONRPCResponse,
  JSONRPCClient,
  JSONRPCErrorCode,
  JSONRPCErrorException,
  JSONRPCServer,
  type JSONRPCID,
  type JSONRPCRequest,
  type JSONRPCResponse,
} from 'json-rpc-2.0'
import { z } from 'zod'
import { encodeLine, readLines, writeLine } from './framing.ts'
import { errorOfResponse, errorResponse } from './rpc-error.ts'
import { systemClock, type Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/log.ts'
import type { MessageLog } from '../daemon/message-log.ts'
import { SyncError, Unreachable } from '../errors.ts'

/** What a method is given besides its params. `signal` aborts when the channel closes. */
export interface RpcContext {
  readonly peer: RpcPeer
  readonly signal: AbortSignal
}

/** A method as it is served. `run` gets params as `params` reads them; it gives the result as it goes on the wire, which must pass `result`. */
export interface RpcMethod<Params extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  readonly params: Params
  readonly result: Result
  run(params: z.output<Params>, context: RpcContext): unknown
}

export interface RpcPeerOptions {
  readonly methods: Readonly<Record<string, RpcMethod>>
  readonly log: Log
  readonly messageLog?: MessageLog
  /** What the message log calls the other side until `name` is set. */
  readonly name?: string
  /** Calls that may be open at a time, in each direction; further ones of our own wait, of the other side are refused. */
  readonly maxOutstanding?: number
  /** How long a call may take; 60 s unless told. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

const MAX_OUTSTANDING = 64
const TIMEOUT_MS = 60_000
const TOO_MANY_REQUESTS = -32005
const LONGEST_METHOD = 64
/** Never on the wire: how this side ends a call of its own that got no answer. */
const NO_ANSWER = -32099

/** It owns the channel: closing either closes both. */
export class RpcPeer implements AsyncDisposable {
  /** What the message log calls the other side. */
  name: string
  /** Resolves when the channel is closed and every open call has been rejected. Never rejects. */
  readonly closed: Promise<void>
  readonly #channel: Duplex
  readonly #options: RpcPeerOptions
  readonly #clock: Clock
  readonly #client: JSONRPCClient<Buffer>
  readonly #server: JSONRPCServer
  readonly #closing = new AbortController()
  readonly #most: number
  readonly #waiting: (() => void)[] = []
  #running = 0
  #room: (() => void) | undefined
  #open = 0
  #lastId = 0
  #failure: Error | undefined
  #isClosing = false

  constructor(channel: Duplex, options: RpcPeerOptions) {
    this.#channel = channel
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#most = options.maxOutstanding ?? MAX_OUTSTANDING
    this.name = options.name ?? ''
    // It does not wait for room: how many calls are open is bounded, and a time-out must come though the channel is stuck.
    this.#client = new JSONRPCClient<Buffer>((message: unknown, line) => {
      this.#note('out', message)
      void this.#push(line)
    })
    this.#server = this.#serve(options.methods)
    channel.on('error', (error) => {
      this.#fail(error)
    })
    this.closed = this.#read()
  }

  /** Why the channel closed, when it was not in order. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Aborts when the channel closes. */
  get signal(): AbortSignal {
    return this.#closing.signal
  }

  /**
   * Calls `name` on the other side and checks the answer. Throws `Refused` when the other side refuses, `Unreachable` when the channel closes or
   * no answer comes in time, a `SyncError` when the answer is not what `result` says, the signal's reason when it aborts.
   */
  async call<Result extends z.ZodType>(
    name: string,
    params: unknown,
    result: Result,
    signal: AbortSignal,
  ): Promise<z.output<Result>> {
    signal.throwIfAborted()
    await this.#takeTurn(signal)
    const answer = this.#ask(name, params).finally(() => {
      this.#open--
      this.#waiting.shift()?.()
    })
    answer.catch(() => {
      // when the signal aborts first, nobody asks for the answer any more
    })
    const value = await orAborted(answer, signal)
    const checked = result.safeParse(value)
    if (checked.success) return checked.data
    throw new SyncError(`Cannot understand the answer to "${name}": ${z.prettifyError(checked.error)}`, {
      code: 'PROTOCOL',
      retry: 'later',
    })
  }

  /** Sends a hint; whether it arrives is not known. Resolves when the channel has room again. Never throws for a closed channel. */
  async notify(name: string, params: unknown): Promise<void> {
    if (this.#closing.signal.aborted) return
    await this.#write(createJSONRPCNotification(name, params))
  }

  /** Closes the channel; open calls are rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true
    this.#channel.destroy()
    await this.closed
  }

  async #ask(method: string, params: unknown): Promise<unknown> {
    const id = ++this.#lastId
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS
    const giveUp = (why: string) => {
      this.#client.receive(createJSONRPCErrorResponse(id, NO_ANSWER, why))
    }
    using _late = this.#clock.after(timeoutMs, () => {
      giveUp(`no answer came within ${String(timeoutMs / 1000)} s`)
    })
    const onClose = () => {
      giveUp('the connection was closed')
    }
    this.#closing.signal.addEventListener('abort', onClose, { once: true })
    try {
      if (this.#closing.signal.aborted) throw this.#unreachable(method, 'the connection is closed')
      const request = createJSONRPCRequest(id, method, params)
      const answer = await this.#client.requestAdvanced(request, encodeLine(request))
      const { error } = answer
      if (error === undefined) return answer.result as unknown
      if (error.code === NO_ANSWER) throw this.#unreachable(method, error.message)
      throw errorOfResponse(method, error)
    } finally {
      this.#closing.signal.removeEventListener('abort', onClose)
    }
  }

  #unreachable(method: string, why: string): Unreachable {
    return new Unreachable(`Cannot call "${method}": ${why}`, { cause: this.#failure })
  }

  async #takeTurn(signal: AbortSignal): Promise<void> {
    while (this.#open >= this.#most) {
      let turn: (() => void) | undefined
      const turned = new Promise<void>((resolve) => {
        turn = resolve
        this.#waiting.push(resolve)
      })
      await orAborted(turned, signal).finally(() => {
        const place = turn === undefined ? -1 : this.#waiting.indexOf(turn)
        if (place >= 0) this.#waiting.splice(place, 1)
      })
    }
    this.#open++
  }

  async #read(): Promise<void> {
    try {
      for await (const line of readLines(this.#channel)) await this.#receive(line)
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#channel.destroy()
      this.#closing.abort(this.#unreachable('anything', 'the connection was closed'))
      for (const turn of this.#waiting.splice(0)) turn()
    }
  }

  async #receive(line: string): Promise<void> {
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      await this.#refuse(null, JSONRPCErrorCode.ParseError, 'Parse error')
      return
    }
    this.#note('in', message)
    if (typeof message === 'object' && message !== null && isJSONRPCResponse(message)) {
      this.#hearAnswer(message)
      return
    }
    const request = requestSchema.safeParse(message)
    if (request.success) await this.#dispatch(request.data as JSONRPCRequest)
    else await this.#refuse(null, JSONRPCErrorCode.InvalidRequest, 'Invalid request')
  }

  #hearAnswer(message: JSONRPCResponse): void {
    const response = responseSchema.safeParse(message)
    if (response.success) this.#client.receive(response.data as JSONRPCResponse)
    else {
      this.#options.log.warn('A peer sent an answer that is none', { peer: this.name })
      this.#client.receive(createJSONRPCErrorResponse(message.id, JSONRPCErrorCode.InternalError, 'the answer is none'))
    }
  }

  /** Starts a method. Resolves when more may be read: a peer with too many open requests is refused, one with too many hints is not read. */
  async #dispatch(request: JSONRPCRequest): Promise<void> {
    const { id, method } = request
    if (!Object.hasOwn(this.#options.methods, method)) {
      if (id !== undefined) await this.#refuse(id, JSONRPCErrorCode.MethodNotFound, 'Method not found')
      return
    }
    if (this.#running >= this.#most && id !== undefined) {
      await this.#refuse(id, TOO_MANY_REQUESTS, 'Too many open requests')
      return
    }
    while (this.#running >= this.#most) {
      await new Promise<void>((resolve) => {
        this.#room = resolve
      })
    }
    this.#running++
    void this.#answer(request).finally(() => {
      this.#running--
      this.#room?.()
    })
  }

  /** The answer counts as open until it is written: a peer that asks and does not read is not served without end. */
  async #answer(request: JSONRPCRequest): Promise<void> {
    const response = await this.#server.receive(request)
    if (response === null) return
    try {
      await this.#write(response)
    } catch (error) {
      this.#options.log.error(`Cannot send the answer to "${request.method}"`, { error })
      await this.#write(errorResponse(response.id, error))
    }
  }

  #serve(methods: RpcPeerOptions['methods']): JSONRPCServer {
    const server = new JSONRPCServer({ errorListener: () => undefined })
    server.mapErrorToJSONRPCErrorResponse = (id, error: unknown) => {
      if (!(error instanceof SyncError) && !(error instanceof JSONRPCErrorException)) {
        this.#options.log.error('A method failed', { error })
      }
      return errorResponse(id, error)
    }
    for (const [name, method] of Object.entries(methods)) {
      server.addMethod(name, async (params: unknown) => {
        const checked = method.params.safeParse(params)
        if (!checked.success) {
          throw new JSONRPCErrorException(
            `Invalid params: ${z.prettifyError(checked.error)}`,
            JSONRPCErrorCode.InvalidParams,
          )
        }
        const result = await method.run(checked.data, { peer: this, signal: this.#closing.signal })
        // Checked only: a schema may turn the wire's shape into the model's, and the wire's is what is sent.
        method.result.parse(result)
        return result ?? null
      })
    }
    return server
  }

  #refuse(id: JSONRPCID, code: number, message: string): Promise<void> {
    return this.#write(createJSONRPCErrorResponse(id, code, message))
  }

  async #write(message: unknown): Promise<void> {
    const line = encodeLine(message)
    this.#note('out', message)
    await this.#push(line)
  }

  async #push(line: Buffer): Promise<void> {
    try {
      await writeLine(this.#channel, line)
    } catch (error) {
      this.#fail(error)
    }
  }

  #note(direction: 'in' | 'out', message: unknown): void {
    this.#options.messageLog?.note(this.name, direction, message)
  }

  #fail(error: unknown): void {
    if (!this.#isClosing) this.#failure ??= error instanceof Error ? error : new Error(String(error))
  }
}

const responseSchema = z.object({
  jsonrpc: z.literal('2.0'),
  id: z.custom<JSONRPCID>(isJSONRPCID),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }).optional(),
})

const requestSchema = z.object({
  jsonrpc: z.literal('2.0'),
  method: z.string().max(LONGEST_METHOD),
  params: z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional(),
  id: z.custom<JSONRPCID>(isJSONRPCID).optional(),
})

/** `promise`, or the signal's reason as soon as it aborts. */
function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', stop)
    })
  })
}
