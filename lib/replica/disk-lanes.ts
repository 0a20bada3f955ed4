// The disk lanes of one process: a quick one for what a person waits for, a bulk one for whole trees and large files.

import { JointSignal } from '../daemon/joint-signal.ts'
import { WorkerLane } from '../daemon/worker-lane.ts'
import type { AssembleObject } from '../disk/assemble.ts'
import type { TakeStaged } from '../disk/take-staged.ts'
import { PACK_BYTES, PATCH_MAX } from '../model/content.ts'
import type { HostPath } from '../model/path.ts'
import type { WriteStep } from '../model/write-step.ts'
import type { DiskJobs, Place } from './disk-jobs.ts'
import { Following, type FollowLane } from './following.ts'
import type { Disk, Followed, HashResult, ToHash } from './ports.ts'

const WORKER = new URL(import.meta.url.endsWith('.ts') ? './disk-worker.ts' : './disk-worker.js', import.meta.url)

/** A worker's garbage is collected early: a scan makes much of it, and it would count as the program's memory. MiB. */
const YOUNG = { maxYoungGenerationSizeMb: 4 }

/** From this size on an edited file is hashed in one thread while another finds what is new in it: what is smaller is done before a thread has begun. Bytes. */
const HASHED_BESIDE = 128 * 1024 * 1024

/**
 * Worker threads shared by all folders of a process: two stay, the third, for what nobody waits for, and the fourth, which helps with a large file, run only
 * now and then.
 */
export class DiskLanes implements AsyncDisposable {
  readonly #quick = new WorkerLane<DiskJobs>(WORKER, { name: 'disk-quick', idleMs: 300_000, resourceLimits: YOUNG })
  readonly #bulk = new WorkerLane<DiskJobs>(WORKER, { name: 'disk-bulk', idleMs: 5_000, resourceLimits: YOUNG })
  readonly #spare = new WorkerLane<DiskJobs>(WORKER, { name: 'disk-spare', idleMs: 2000 })

  readonly #beside = new WorkerLane<DiskJobs>(WORKER, { name: 'disk-beside', idleMs: 2000, resourceLimits: YOUNG })

  #followed = 0

  /** The hands on one folder. */
  disk(at: Place): Disk {
    const quick = this.#quick
    const bulk = this.#bulk
    const spare = this.#spare
    return {
      scan: async ({ trees, rules }, onPart, signal) => {
        await bulk.run('scan', { at, trees, rules }, { onPart }, signal)
      },
      look: (paths, signal) => quick.run('look', { at, paths }, {}, signal),
      read: (files, signal) => quick.run('read', { at, files }, {}, signal),
      hash: (file, signal) => this.#hash(at, file, signal),
      recipe: (file, signal) => spare.run('recipe', { at, file }, {}, signal),
      extract: (file, { ops, place }, signal) => bulk.run('extract', { at, file, ops, place }, {}, signal),
      assemble: (assembly, signal) => bulk.run('assemble', { at, assembly }, {}, signal),
      hashLate: (place, signal) => spare.run('hashLate', { place }, {}, signal),
      follow: (place) => this.follow(place),
      apply: (steps, signal) => quick.run('apply', { at, steps }, { transfer: buffersOf(steps) }, signal),
    }
  }

  /** Follows a file of any folder while it is written. */
  follow(place: HostPath): Followed {
    const quick = this.#quick
    const bulk = this.#bulk
    const never = new AbortController().signal
    const lane: FollowLane = {
      follow: (job) => quick.run('follow', job, {}, never),
      followed: (job, signal) => quick.run('followed', job, {}, signal),
      unfollow: (job) => quick.run('unfollow', job, {}, never),
      hash: (job, signal) => bulk.run('hashStaged', job, {}, signal),
    }
    return new Following(lane, String(this.#followed++), place)
  }

  /** Takes staged files into a content store: small ones quickly, large ones in bulk. */
  take(job: TakeStaged, signal: AbortSignal): Promise<readonly boolean[]> {
    const bytes = job.slices.reduce((sum, slice) => sum + slice.size, 0)
    return (bytes > PACK_BYTES ? this.#bulk : this.#quick).run('take', job, {}, signal)
  }

  /** Makes an object from others; `false` when it does not come out right. */
  assemble(job: AssembleObject, signal: AbortSignal): Promise<boolean> {
    return this.#bulk.run('assembleObject', job, {}, signal)
  }

  async #hash(at: Place, file: ToHash, signal: AbortSignal): Promise<HashResult> {
    const { size } = file.print
    const isHashed = file.like !== undefined && size >= HASHED_BESIDE && size <= PATCH_MAX
    const stop = new AbortController()
    using joint = new JointSignal(signal, stop.signal)
    const until = joint.signal
    try {
      const looking = this.#bulk.run('hash', { at, file, isHashed }, {}, until)
      const hashing = isHashed ? this.#beside.run('digest', { at, file }, {}, until) : undefined
      for (const one of [looking, hashing]) one?.catch(() => undefined) // it may not be waited for
      // The first that says no speaks for both.
      const first = hashing === undefined ? undefined : await Promise.race([looking, hashing])
      if (first !== undefined && first.kind !== 'read') return first
      const [looked, whole] = await Promise.all([looking, hashing])
      if (looked.kind !== 'read') return looked
      if (whole !== undefined && whole.kind !== 'read') return whole
      const sha256 = whole?.sha256 ?? looked.sha256
      if (sha256 === undefined) throw new Error(`Nobody hashed "${file.path}"`)
      return { ...looked, sha256 }
    } finally {
      stop.abort() // one of them failed, or has said no: the other is not wanted any more
    }
  }

  /** Has the idle threads give back what they no longer use. */
  async freeMemory(): Promise<void> {
    await Promise.all([this.#quick, this.#bulk, this.#spare, this.#beside].map((lane) => lane.freeMemory()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#quick, this.#bulk, this.#spare, this.#beside].map((lane) => lane[Symbol.asyncDispose]()))
  }
}

/** The buffers that the steps' bodies lie in; they are nobody else's. */
function buffersOf(steps: readonly WriteStep[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  for (const step of steps) {
    if (step.do !== 'place-file' || step.body.kind !== 'bytes') continue
    if (step.body.bytes.buffer instanceof ArrayBuffer) buffers.add(step.body.bytes.buffer)
  }
  return [...buffers]
}
