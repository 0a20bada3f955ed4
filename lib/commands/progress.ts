// The progress of `-once` on a terminal.

import type { SingleBar } from 'cli-progress'
import { size, sizeOf } from './format.ts'
import { systemClock, type Clock } from '../daemon/clock.ts'

export interface Done {
  readonly files: number
  readonly filesTotal: number
  readonly bytes: number
  readonly bytesTotal: number
}

/** Shows how far it is. */
export interface Progress {
  update(done: Done): void
  /** Takes the bar away. */
  done(): void
}

const NO_PROGRESS: Progress = {
  update: () => undefined,
  done: () => undefined,
}

/** A bar on `stream` (standard error unless told) when that is a terminal; nothing elsewhere. */
export async function openProgress(
  stream: NodeJS.WriteStream = process.stderr,
  clock: Clock = systemClock,
): Promise<Progress> {
  if (!stream.isTTY) return NO_PROGRESS
  const { default: cliProgress } = await import('cli-progress')
  const bar = new cliProgress.SingleBar({
    format: '{bar} {text}',
    stream,
    clearOnComplete: true,
    hideCursor: true,
    barsize: 24,
  })
  return new Bar(bar, clock)
}

class Bar implements Progress {
  readonly #bar: SingleBar
  readonly #clock: Clock
  readonly #startMs: number
  #isShown = false

  constructor(bar: SingleBar, clock: Clock) {
    this.#bar = bar
    this.#clock = clock
    this.#startMs = clock.monotonic()
  }

  update(done: Done): void {
    const text = progressText(done, this.#clock.monotonic() - this.#startMs)
    // Files without contents count too: each as one byte.
    const [value, total] = [done.bytes + done.files, Math.max(1, done.bytesTotal + done.filesTotal)]
    if (!this.#isShown) this.#bar.start(total, value, { text })
    this.#isShown = true
    this.#bar.setTotal(total)
    this.#bar.update(value, { text })
  }

  done(): void {
    this.#bar.stop()
  }
}

/** `12/340 files 1.2/3.4 GB 85.0 MB/s 26 s left`. */
export function progressText({ files, filesTotal, bytes, bytesTotal }: Done, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? (bytes * 1000) / elapsedMs : 0
  const left = rate > 0 ? `${duration((bytesTotal - bytes) / rate)} left` : ''
  return `${String(files)}/${String(filesTotal)} files ${sizeOf(bytes, bytesTotal)} ${size(Math.round(rate))}/s ${left}`.trimEnd()
}

function duration(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds))
  if (whole < 60) return `${String(whole)} s`
  if (whole < 3600) return `${String(Math.ceil(whole / 60))} min`
  return `${String(Math.ceil(whole / 3600))} h`
}
