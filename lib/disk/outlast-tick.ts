// Outlasts a tick of the clock that a file system takes its times from: an edit within the tick of the one before leaves size, mtime and ctime as
// they were, and nobody would ever see it.

import { randomBytes } from 'node:crypto'
import { closeSync, constants, unlinkSync, writeSync } from 'node:fs'
import type { Fingerprint } from '../model/entry.ts'
import type { HostPath } from '../model/path.ts'
import { closeFile, openFile, printOfFile } from './native-files.ts'
import { openStaging } from './own-dir.ts'
import { placeAt } from './safe-dir.ts'

const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const BYTE = Buffer.alloc(1)

/** The slowest tick of Linux. */
const TICK_MS = 10
/** So long is waited at most. */
const WAIT_MS = TICK_MS + 2
/** What is further from now is neither in this tick, nor in one of a file system that counts in seconds. */
const RECENT_NS = 10_000_000_000n
const NS_PER_MS = 1_000_000n

/** Tells what time, in nanoseconds since 1970, an edit made now would get. */
export interface EditClock extends Disposable {
  now(): bigint
}

/**
 * Waits, where it must, until edits get other times than the newest of `files` has: a tick at most. Says of each whether they do: what is read
 * of such a file, after this, and while it is as it was, is all that its fingerprint can stand for. Of another it must be read later.
 */
export function outlastTick(
  root: HostPath,
  files: readonly { readonly print: Fingerprint }[],
  open: (root: HostPath) => EditClock = (at) => new FileClock(at),
): (print: Fingerprint) => boolean {
  const hereNs = BigInt(Date.now()) * NS_PER_MS
  const recent = files.map(({ print }) => BigInt(print.ctimeNs)).filter((ns) => isNear(ns, hereNs))
  if (recent.length === 0) return () => true
  const newest = recent.reduce((a, b) => (a > b ? a : b))
  using clock = open(root)
  let now = clock.now()
  for (let waitedMs = 0; now <= newest && waitedMs < WAIT_MS; waitedMs++) {
    sleepMs(1)
    now = clock.now()
  }
  return ({ ctimeNs }) => BigInt(ctimeNs) < now || !isNear(BigInt(ctimeNs), hereNs)
}

function isNear(ns: bigint, hereNs: bigint): boolean {
  return ns > hereNs - RECENT_NS && ns < hereNs + RECENT_NS
}

/**
 * Edits a file of its own in staging, and looks: so the clock is that of the file system, wherever and however often that ticks. The file has no
 * name any more.
 */
class FileClock implements EditClock {
  readonly #fd: number | undefined

  constructor(root: HostPath) {
    this.#fd = unnamedFile(root)
  }

  now(): bigint {
    try {
      if (this.#fd !== undefined) {
        writeSync(this.#fd, BYTE, 0, 1, 0)
        const print = printOfFile(this.#fd)
        if (print !== undefined) return BigInt(print.ctimeNs)
      }
    } catch {
      // A disk that is full: then by the clock of this machine.
    }
    return BigInt(Date.now() - TICK_MS) * NS_PER_MS
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeFile(this.#fd)
  }
}

function unnamedFile(root: HostPath): number | undefined {
  let staging: number | undefined
  try {
    staging = openStaging(root)
    const place = placeAt(staging, `clock-${randomBytes(6).toString('hex')}`)
    const fd = openFile(place, CREATE, 0o600)
    unlinkSync(place)
    printOfFile(fd) // Linux from 6.13 on gives an edit a time finer than a tick when someone has looked before.
    return fd
  } catch {
    return undefined // whoever writes there says why
  } finally {
    if (staging !== undefined) closeSync(staging)
  }
}

function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
