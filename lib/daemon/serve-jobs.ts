// The worker thread's side of a lane: does one job after the other.

import { parentPort, workerData, type MessagePort, type Transferable } from 'node:worker_threads'
import { collectGarbage } from './free-memory.ts'
import { packError } from './job-error.ts'
import {
  PART_WINDOW,
  FREE_MEMORY,
  type FromWorker,
  type InputOf,
  type JobShapes,
  type LaneData,
  type OutputOf,
  type PartOf,
  type ToWorker,
} from './worker-messages.ts'

/** A job's line to the main thread. */
export interface JobPort<Part> {
  /** Sends a part of the answer. Resolves when there is room for another; rejects when the job is cancelled. */
  send(part: Part, transfer?: readonly Transferable[]): Promise<void>
  /** Whether the answer is no longer wanted. Cheap: a long job asks in its loop. */
  isCancelled(): boolean
  /** Marks buffers of the answer to be moved, not copied. */
  transfer(...buffers: Transferable[]): void
}

export type JobDoers<Jobs extends JobShapes> = {
  readonly [Kind in keyof Jobs]: (
    input: InputOf<Jobs[Kind]>,
    port: JobPort<PartOf<Jobs[Kind]>>,
  ) => OutputOf<Jobs[Kind]> | Promise<OutputOf<Jobs[Kind]>>
}

/** Serves the jobs that a `WorkerLane` sends, in order, one at a time. Call it once, from a worker thread's main module. */
export function serveJobs<Jobs extends JobShapes>(doers: JobDoers<Jobs>): void {
  if (parentPort === null) throw new Error('serveJobs was called outside a worker thread')
  const port = parentPort
  const { cancelled } = workerData as LaneData
  const rooms = new Map<number, Room>()
  say(port, { say: 'loaded' }, [])
  port.on('message', (message: ToWorker) => {
    if (message.do === 'ack') rooms.get(message.id)?.acknowledge()
    else void work(message)
  })

  const work = async ({ id, kind, input }: Extract<ToWorker, { do: 'job' }>) => {
    const room = new Room()
    rooms.set(id, room)
    const moved: Transferable[] = []
    try {
      const doer = (kind === FREE_MEMORY ? collectGarbage : doers[kind as keyof Jobs]) as
        JobDoers<Record<string, { input: unknown; output: unknown; part: unknown }>>[string] | undefined
      if (doer === undefined) throw new Error(`No such job: ${kind}`)
      const isCancelled = () => Atomics.load(cancelled, 0) === id
      const output = await doer(input, {
        isCancelled,
        transfer: (...buffers) => void moved.push(...buffers),
        send: async (part, transfer = []) => {
          if (isCancelled()) throw new Error('The job was cancelled')
          say(port, { say: 'part', id, part }, transfer)
          await room.taken()
          if (isCancelled()) throw new Error('The job was cancelled')
        },
      })
      say(port, { say: 'done', id, output }, moved)
    } catch (error) {
      say(port, { say: 'failed', id, error: packError(error) }, [])
    } finally {
      rooms.delete(id)
    }
  }
}

function say(port: MessagePort, message: FromWorker, transfer: readonly Transferable[]): void {
  port.postMessage(message, transfer)
}

/** Room for parts on their way. */
class Room {
  #left = PART_WINDOW
  #waiting: (() => void) | undefined

  acknowledge(): void {
    this.#left++
    this.#waiting?.()
  }

  /** Takes one place; resolves when there is another. */
  async taken(): Promise<void> {
    this.#left--
    while (this.#left <= 0) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
    this.#waiting = undefined
  }
}
