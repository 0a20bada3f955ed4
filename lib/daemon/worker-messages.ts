// What a lane and its worker thread say to each other.

import type { JobError } from './job-error.ts'

/** What a kind of job takes, gives, and sends on the way. */
export interface JobShape {
  readonly input: unknown
  readonly output: unknown
  readonly part?: unknown
}

/** The kinds of jobs that one worker does. */
export type JobShapes = object

export type InputOf<Shape> = Shape extends { input: infer Input } ? Input : never
export type OutputOf<Shape> = Shape extends { output: infer Output } ? Output : never
export type PartOf<Shape> = Shape extends { part: infer Part } ? Part : never

/** `cancelled` shares one number with the worker: the id of the job that is no longer wanted. */
export interface LaneData {
  readonly cancelled: Int32Array
}

export type ToWorker =
  | { readonly do: 'job'; readonly id: number; readonly kind: string; readonly input: unknown }
  | { readonly do: 'ack'; readonly id: number }

export type FromWorker =
  | { readonly say: 'loaded' }
  | { readonly say: 'part'; readonly id: number; readonly part: unknown }
  | { readonly say: 'done'; readonly id: number; readonly output: unknown }
  | { readonly say: 'failed'; readonly id: number; readonly error: JobError }

/** The job of every worker: giving back what its thread no longer uses. */
export const FREE_MEMORY = 'free-memory'

/** How many parts may be on their way before the worker waits for an acknowledgement. */
export const PART_WINDOW = 4
