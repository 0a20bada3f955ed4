// Pulls large files: a few at once, each content by itself, while the plans of small ones go on.

import { laterProblemOf } from '../disk/trouble.ts'
import { Unreachable } from '../errors.ts'
import type { Digest } from '../model/digest.ts'
import type { RelPath } from '../model/path.ts'
import type { Body } from '../model/write-step.ts'
import { fetchLarge } from './fetch-large.ts'
import type { Fetcher, Write } from './fetch-small.ts'
import { RETRY_MS, type Attached, type FolderState } from './folder-state.ts'
import { RETRY_SOON_MS } from './record-applied.ts'

const LARGE_LANES = 3

export class LargePulls {
  readonly #state: FolderState
  readonly #fetcher: Fetcher
  readonly #place: (step: Write, body: Body, signal: AbortSignal) => Promise<void>
  readonly #tasks = new Set<Promise<void>>()
  readonly #fetching = new Set<Digest>()
  readonly #paths = new Set<RelPath>()

  /** `place` puts a fetched body where it belongs. */
  constructor(
    state: FolderState,
    fetcher: Fetcher,
    place: (step: Write, body: Body, signal: AbortSignal) => Promise<void>,
  ) {
    this.#state = state
    this.#fetcher = fetcher
    this.#place = place
  }

  get active(): boolean {
    return this.#tasks.size > 0
  }

  /** Whether `path` is being fetched, and so stays busy. */
  has(path: RelPath): boolean {
    return this.#paths.has(path)
  }

  /** Resolves when all that was started has ended. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#tasks)
  }

  /** Starts to fetch a content; when all lanes are taken, it is blocked for a moment. */
  start(step: Write, attached: Attached, signal: AbortSignal): void {
    const { path } = step.head
    if (this.#tasks.size >= LARGE_LANES || this.#fetching.has(step.entry.sha256)) {
      this.#state.block(path, RETRY_SOON_MS)
      return
    }
    this.#state.leftovers.begun()
    this.#paths.add(path)
    this.#fetching.add(step.entry.sha256)
    const task = this.#pullLarge(step, attached, signal)
      .catch(async (error: unknown) => {
        if (signal.aborted || error instanceof Unreachable) return
        this.#state.block(path, RETRY_MS)
        this.#state.problem(laterProblemOf(path, error))
      })
      .finally(() => {
        this.#tasks.delete(task)
        this.#fetching.delete(step.entry.sha256)
        this.#state.prefetches.release(step.entry.sha256)
        this.#paths.delete(path)
        this.#state.busy.delete(path)
        for (const [blocked, at] of this.#state.blocked) {
          if (at - this.#state.parts.clock.monotonic() <= RETRY_SOON_MS) this.#state.blocked.delete(blocked)
        }
        this.#state.applyBell.ring()
        this.#state.pushBell.ring()
        this.#state.changed()
      })
    this.#tasks.add(task)
  }

  async #pullLarge(step: Write, { hub }: Attached, signal: AbortSignal): Promise<void> {
    const { progress } = this.#state
    progress.bytesTotal += step.entry.size
    const [content] = await this.#fetcher.place([step], hub, signal, 'ask')
    if (content === undefined) {
      this.#state.block(step.head.path, RETRY_SOON_MS)
      return
    }
    const place = await fetchLarge(
      { content, hub, parts: this.#state.parts, prefetches: this.#state.prefetches },
      (bytes) => {
        progress.bytesDone += bytes
        this.#state.changed()
      },
      signal,
    )
    await this.#place(step, { kind: 'staged', place }, signal)
  }
}
