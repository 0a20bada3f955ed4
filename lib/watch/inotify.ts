// Touches inotify(7) of the C library: one instance, its watches, and its events as the kernel gives them.

import { closeSync } from 'node:fs'
import koffi from 'koffi'
import { SyncError } from '../errors.ts'
import { type FdPoll, pollReadable } from './poll-fd.ts'

/** Bits of masks, from <sys/inotify.h>. */
export const IN = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  CLOSE_WRITE: 0x8,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  UNMOUNT: 0x2000,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
  ONLYDIR: 0x1000000,
  DONT_FOLLOW: 0x2000000,
  EXCL_UNLINK: 0x4000000,
  ISDIR: 0x40000000,
} as const

/** One event. `wd` is -1 when the queue overflowed. `name`: the bytes of the name in the watched directory; absent when it is about itself. */
export interface RawEvent {
  readonly wd: number
  readonly mask: number
  readonly cookie: number
  readonly name: Buffer | undefined
}

/** What a tree watcher needs of inotify. */
export interface InotifyPort {
  /** Watches `path`, or changes its mask; the same inode always gives the same number. Throws `InotifyRefused`. */
  add(path: Buffer | string, mask: number): number
  /** Stops a watch; false when the kernel had dropped it already. */
  remove(wd: number): boolean
  close(): void
}

/** The kernel said no; `code` is the name of its errno: `ENOSPC` no watch left, `EMFILE` no instance left, `ENOENT`, `EACCES`, `ENOTDIR`… */
export class InotifyRefused extends SyncError {}

const READ_BYTES = 256 * 1024
/** Reads for one wake-up; what is left wakes again, so that a flood cannot hold the event loop. */
const MAX_READS = 8
const IN_NONBLOCK_CLOEXEC = 0o2004000

const libc = koffi.load(null)
const inotifyInit1 = libc.func('inotify_init1', 'int', ['int'])
const inotifyAddWatch = libc.func('inotify_add_watch', 'int', ['int', 'void *', 'uint32_t'])
const inotifyRmWatch = libc.func('inotify_rm_watch', 'int', ['int', 'int'])
const readFd = libc.func('read', 'intptr_t', ['int', 'void *', 'size_t'])

/** One inotify instance. Main thread only. Keeps the process alive until closed. */
export class Inotify implements InotifyPort {
  readonly #fd: number
  readonly #poll: FdPoll
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  readonly #onEvents: (events: readonly RawEvent[]) => void
  #isOpen = true

  /** Opens an instance; `onEvents` gets all events of one wake-up in order. Throws `InotifyRefused`, `EMFILE` when none is left. */
  static open(onEvents: (events: readonly RawEvent[]) => void): Inotify {
    const fd = Number(inotifyInit1(IN_NONBLOCK_CLOEXEC))
    if (fd < 0) throw refused('open an inotify instance')
    return new Inotify(fd, onEvents)
  }

  private constructor(fd: number, onEvents: (events: readonly RawEvent[]) => void) {
    this.#fd = fd
    this.#onEvents = onEvents
    this.#poll = pollReadable(fd, () => {
      this.#read()
    })
  }

  add(path: Buffer | string, mask: number): number {
    if (!this.#isOpen) throw new Error('Cannot watch: the inotify instance is closed')
    const bytes = typeof path === 'string' ? Buffer.from(`${path}\0`) : Buffer.concat([path, Buffer.of(0)])
    const wd = Number(inotifyAddWatch(this.#fd, bytes, mask))
    if (wd < 0) throw refused(`watch "${path.toString()}"`)
    return wd
  }

  remove(wd: number): boolean {
    return this.#isOpen && inotifyRmWatch(this.#fd, wd) === 0
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#poll.close()
    closeSync(this.#fd)
  }

  #read(): void {
    const events: RawEvent[] = []
    for (let reads = 0; reads < MAX_READS && this.#isOpen; reads++) {
      const length = Number(readFd(this.#fd, this.#buffer, READ_BYTES))
      if (length <= 0) break
      parseEvents(this.#buffer, length, events)
    }
    if (events.length > 0) this.#onEvents(events)
  }
}

/** Appends to `events` what the first `length` bytes of `buffer` hold: { wd, mask, cookie, len, name padded with NUL to len }*, native order. */
export function parseEvents(buffer: Buffer, length: number, events: RawEvent[]): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset, length)
  const isLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
  for (let at = 0; at + 16 <= length;) {
    const padded = view.getUint32(at + 12, isLittle)
    const start = at + 16
    let end = start
    while (end < start + padded && buffer[end] !== 0) end++
    events.push({
      wd: view.getInt32(at, isLittle),
      mask: view.getUint32(at + 4, isLittle),
      cookie: view.getUint32(at + 8, isLittle),
      name: end === start ? undefined : Buffer.from(buffer.subarray(start, end)),
    })
    at = start + padded
  }
}

function refused(action: string): InotifyRefused {
  const errno = koffi.errno()
  const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`
  return new InotifyRefused(`Cannot ${action}: ${code}`, { code, retry: 'later' })
}
