// A lane: one worker thread that does jobs one after the other, started when first needed and stopped when idle.

import { Worker, type ResourceLimits, type Transferable } from 'node:worker_threads'
import { systemClock, type Clock } from './clock.ts'
import { keepYoungSmall } from './free-memory.ts'
import { unpackError } from './job-error.ts'
import {
  FREE_MEMORY,
  type FromWorker,
  type InputOf,
  type JobShapes,
  type LaneData,
  type OutputOf,
  type PartOf,
  type ToWorker,
} from './worker-messages.ts'
import { SyncError } from '../errors.ts'

const IDLE_MS = 30_000

export interface LaneOptions {
  readonly name: string
  readonly resourceLimits?: ResourceLimits
  readonly clock?: Clock
  /** After how many ms without a job the thread is stopped; 30 s unless told. */
  readonly idleMs?: number
}

export interface JobOptions<Part> {
  /** Buffers of the input to be moved, not copied. */
  readonly transfer?: readonly Transferable[]
  /** Called with each part, in order; the worker gets no more room until it has returned. What it throws fails the job. */
  readonly onPart?: (part: Part) => void | Promise<void>
}

interface Job {
  readonly id: number
  readonly kind: string
  readonly input: unknown
  readonly options: JobOptions<never>
  resolve(output: unknown): void
  reject(error: unknown): void
  /** Parts are passed on one after the other. */
  parts: Promise<void>
}

/**
 * `Jobs` maps each kind of job to `{input, output, part?}`; the module at `url` calls `serveJobs<Jobs>`. Jobs are done in the order in which
 * they were asked for. When the thread dies, its current job fails with `WORKER_DIED` and the others go on in a new thread.
 */
export class WorkerLane<Jobs extends JobShapes> implements AsyncDisposable {
  readonly #url: URL
  readonly #options: LaneOptions
  readonly #clock: Clock
  readonly #cancelled = new Int32Array(new SharedArrayBuffer(4))
  readonly #queue: Job[] = []
  #current: Job | undefined
  #worker: Worker | undefined
  /** When the thread has loaded what it needs, or is over: stopped in the midst of that, a native module would take the process with it. */
  #loaded: Promise<unknown> = Promise.resolve()
  #idle: Disposable | undefined
  #lastId = 0
  #isClosed = false

  constructor(url: URL, options: LaneOptions) {
    this.#url = url
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** How many jobs wait or are being done. */
  get load(): number {
    return this.#queue.length + (this.#current === undefined ? 0 : 1)
  }

  /** Does a job of kind `kind`. Rejects at once when `signal` aborts; a job being done is told to stop, and the next waits until it has. */
  run<Kind extends keyof Jobs & string>(
    kind: Kind,
    input: InputOf<Jobs[Kind]>,
    options: JobOptions<PartOf<Jobs[Kind]>>,
    signal: AbortSignal,
  ): Promise<OutputOf<Jobs[Kind]>> {
    return this.#queueUp({ kind, input, options }, signal) as Promise<OutputOf<Jobs[Kind]>>
  }

  /** Has an idle thread give back what it no longer uses. */
  async freeMemory(): Promise<void> {
    if (this.#worker === undefined || this.load > 0) return
    await this.#queueUp({ kind: FREE_MEMORY, input: undefined, options: {} }, new AbortController().signal)
  }

  /** Stops the thread. Jobs that wait or are being done fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    if (this.#current !== undefined) Atomics.store(this.#cancelled, 0, this.#current.id)
    const left = this.#current === undefined ? this.#queue.splice(0) : [this.#current, ...this.#queue.splice(0)]
    this.#current = undefined
    for (const job of left) job.reject(new Error(`The lane "${this.#options.name}" was closed`))
    await this.#stop()
  }

  #queueUp(what: Pick<Job, 'kind' | 'input' | 'options'>, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new Error(`The lane "${this.#options.name}" is closed`)
      signal.throwIfAborted()
      const id = (this.#lastId = (this.#lastId % 0x7fffffff) + 1)
      const abort = () => {
        this.#drop(job, signal.reason)
      }
      const job: Job = {
        ...what,
        id,
        parts: Promise.resolve(),
        resolve: (output) => {
          signal.removeEventListener('abort', abort)
          resolve(output)
        },
        reject: (error) => {
          signal.removeEventListener('abort', abort)
          reject(error instanceof Error ? error : new Error(String(error)))
        },
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#queue.push(job)
      this.#next()
    })
  }

  #next(): void {
    if (this.#current !== undefined) return
    const job = this.#queue.shift()
    if (job === undefined) {
      this.#rest()
      return
    }
    this.#current = job
    this.#idle?.[Symbol.dispose]()
    this.#idle = undefined
    try {
      const worker = (this.#worker ??= this.#start())
      worker.ref()
      const message: ToWorker = { do: 'job', id: job.id, kind: job.kind, input: job.input }
      worker.postMessage(message, job.options.transfer ?? [])
    } catch (error) {
      this.#current = undefined
      job.reject(error)
      this.#next()
    }
  }

  #start(): Worker {
    const { name, resourceLimits } = this.#options
    const workerData: LaneData = { cancelled: this.#cancelled }
    const worker = new Worker(this.#url, { name, workerData, ...(resourceLimits && { resourceLimits }) })
    worker.on('message', (message: FromWorker) => {
      this.#hear(message)
    })
    worker.on('error', (error) => {
      this.#died(worker, error)
    })
    worker.on('exit', () => {
      this.#died(worker, undefined)
    })
    this.#loaded = new Promise((resolve) => {
      for (const event of ['message', 'error', 'exit']) worker.once(event, resolve)
    })
    return worker
  }

  #hear(message: FromWorker): void {
    const job = this.#current
    if (message.say === 'loaded') keepYoungSmall()
    if (message.say === 'loaded' || job?.id !== message.id) return
    if (message.say === 'part') {
      this.#pass(job, message.part)
      return
    }
    this.#current = undefined
    if (message.say === 'failed') job.reject(unpackError(message.error))
    else {
      job.parts.then(
        () => {
          job.resolve(message.output)
        },
        () => {
          // the part that failed has rejected the job
        },
      )
    }
    this.#next()
  }

  /** Hands a part on and makes room for the next. A part that is no longer wanted is acknowledged all the same, so that the worker gets to its end. */
  #pass(job: Job, part: unknown): void {
    const onPart = job.options.onPart as ((part: unknown) => void | Promise<void>) | undefined
    job.parts = job.parts.then(async () => {
      if (!this.#isCancelled(job)) await onPart?.(part)
    })
    job.parts
      .catch((error: unknown) => {
        this.#drop(job, error)
      })
      .finally(() => {
        this.#worker?.postMessage({ do: 'ack', id: job.id } satisfies ToWorker)
      })
  }

  #isCancelled(job: Job): boolean {
    return Atomics.load(this.#cancelled, 0) === job.id
  }

  #drop(job: Job, reason: unknown): void {
    if (this.#current === job) Atomics.store(this.#cancelled, 0, job.id)
    const place = this.#queue.indexOf(job)
    if (place >= 0) this.#queue.splice(place, 1)
    job.reject(reason)
  }

  #died(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    const job = this.#current
    this.#current = undefined
    const message = `The worker "${this.#options.name}" stopped unexpectedly${cause instanceof Error ? `: ${cause.message}` : ''}`
    job?.reject(new SyncError(message, { code: 'WORKER_DIED', retry: 'later', cause }))
    if (!this.#isClosed) this.#next()
  }

  /** An idle thread does not keep the process alive. */
  #rest(): void {
    if (this.#worker === undefined || this.#idle !== undefined) return
    this.#worker.unref()
    this.#idle = this.#clock.after(this.#options.idleMs ?? IDLE_MS, () => {
      void this.#stop()
    })
  }

  async #stop(): Promise<void> {
    this.#idle?.[Symbol.dispose]()
    this.#idle = undefined
    const worker = this.#worker
    this.#worker = undefined
    if (worker === undefined) return
    await this.#loaded
    await worker.terminate()
  }
}
