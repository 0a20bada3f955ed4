// SFTP requests as promises that always settle: on the answer, on failure of the channel, on abort, or when nothing moves any more.

import type { SFTPWrapper } from 'ssh2'
import type { Clock } from '../../daemon/clock.ts'
import { Refused, SyncError, Unreachable } from '../../errors.ts'
import type { Done } from './link-request.ts'

export type Handle = Buffer

const SECOND_LOOK_MS = 1000

/** Watches one channel: knows when it is over, and calls it over when requests wait and no answer comes for `stallMs`. */
export class ChannelWatch {
  readonly #clock: Clock
  readonly #stallMs: number
  readonly #sftp: SFTPWrapper
  readonly #open = new Set<SftpCalls>()
  #over: Unreachable | undefined
  #waiting = 0
  #movedAt = 0
  #doubtedAt: number | undefined
  #timer: Disposable | undefined

  constructor(sftp: SFTPWrapper, { clock, stallMs }: { clock: Clock; stallMs: number }) {
    this.#sftp = sftp
    this.#clock = clock
    this.#stallMs = stallMs
    const lost = () => {
      this.end('the SFTP channel is closed')
    }
    sftp.on('close', lost)
    sftp.on('end', lost)
    sftp.on('error', (error: Error) => {
      this.end(error.message)
    })
  }

  /** Ends the channel; everything that waits fails with `reason`. */
  end(reason: string): void {
    if (this.#over !== undefined) return
    this.#over = new Unreachable(`Lost the SFTP channel: ${reason}`)
    this.#timer?.[Symbol.dispose]()
    for (const calls of this.#open) calls.fail(this.#over)
    this.#sftp.end()
  }

  /** The calls of one operation; disposing ends them. Throws when the channel is over or `signal` has aborted. */
  begin(signal: AbortSignal): SftpCalls {
    signal.throwIfAborted()
    if (this.#over !== undefined) throw this.#over
    const calls: SftpCalls = new SftpCalls(this.#sftp, this, () => {
      signal.removeEventListener('abort', abort)
      this.#open.delete(calls)
    })
    const abort = () => {
      calls.fail(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    this.#open.add(calls)
    return calls
  }

  asked(): void {
    if (this.#waiting++ > 0) return
    this.#movedAt = this.#clock.monotonic()
    if (this.#timer === undefined) this.#arm(this.#stallMs)
  }

  answered(): void {
    this.#waiting--
    this.#movedAt = this.#clock.monotonic()
    if (this.#waiting > 0) return
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }

  #arm(ms: number): void {
    if (this.#over !== undefined) return
    this.#timer = this.#clock.after(ms, () => {
      const left = this.#movedAt + this.#stallMs - this.#clock.monotonic()
      if (left > 0) this.#arm(left)
      else if (this.#doubtedAt !== this.#movedAt) {
        // This process itself may have slept, with answers waiting to be read.
        this.#doubtedAt = this.#movedAt
        this.#arm(Math.min(SECOND_LOOK_MS, this.#stallMs))
      } else this.end(`no answer for ${this.#stallMs / 1000} s`)
    })
  }
}

/** The requests of one operation on one channel. */
export class SftpCalls implements Disposable {
  readonly #sftp: SFTPWrapper
  readonly #watch: ChannelWatch
  readonly #left: () => void
  readonly #pending = new Set<(error: unknown) => void>()
  #failure: { readonly error: unknown } | undefined

  constructor(sftp: SFTPWrapper, watch: ChannelWatch, left: () => void) {
    this.#sftp = sftp
    this.#watch = watch
    this.#left = left
  }

  /** Fails everything that waits, and everything asked from now on. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    for (const reject of this.#pending) reject(error)
    this.#pending.clear()
  }

  [Symbol.dispose](): void {
    this.#left()
  }

  open(path: string, flags: number): Promise<Handle> {
    return this.#ask((done) => {
      this.#sftp.open(path, flags, done)
    })
  }

  close(handle: Handle): Promise<void> {
    return this.#ask((done) => {
      this.#sftp.close(handle, plain(done))
    })
  }

  /** Closes when nobody waits for it any more. */
  abandon(handle: Handle): void {
    this.#watch.asked()
    try {
      this.#sftp.close(handle, () => {
        this.#watch.answered()
      })
    } catch {
      // The channel is gone, and the handle with it.
      this.#watch.answered()
    }
  }

  /** `bytes` must stay as it is until the answer. */
  write(handle: Handle, bytes: Buffer, position: number): Promise<void> {
    return this.#ask((done) => {
      this.#sftp.write(handle, bytes, 0, bytes.length, position, plain(done))
    })
  }

  /** Fills `target` from `position` on. Throws `Refused` (TRUNCATED) when the file ends before. */
  async read(handle: Handle, target: Buffer, position: number): Promise<void> {
    for (let filled = 0; filled < target.length;) {
      const got = await this.readSome(handle, target.subarray(filled), position + filled)
      if (got === 0)
        throw new Refused(`it ends at ${position + filled} of at least ${position + target.length} bytes`, {
          status: 404,
          code: 'TRUNCATED',
        })
      filled += got
    }
  }

  /** Reads what comes of `target` from `position` on; how much that is, 0 at the end of the file. */
  readSome(handle: Handle, target: Buffer, position: number): Promise<number> {
    return this.#ask<number>((done) => {
      this.#sftp.read(handle, target, 0, target.length, position, done)
    })
  }

  async size(path: string): Promise<number> {
    const stats = await this.#ask<{ size: number }>((done) => {
      this.#sftp.stat(path, done)
    })
    return stats.size
  }

  unlink(path: string): Promise<void> {
    return this.#ask((done) => {
      this.#sftp.unlink(path, plain(done))
    })
  }

  fsync(handle: Handle): Promise<void> {
    return this.#ask((done) => {
      this.#sftp.ext_openssh_fsync(handle, plain(done))
    })
  }

  async #ask<T>(start: (done: Done<T>) => void): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure.error
    return await new Promise<T>((resolve, reject) => {
      this.#pending.add(reject)
      this.#watch.asked()
      try {
        start((error, value) => {
          this.#pending.delete(reject)
          this.#watch.answered()
          if (error) reject(error)
          else resolve(value)
        })
      } catch (error) {
        // ssh2 throws at once for an extension that the server lacks.
        this.#pending.delete(reject)
        this.#watch.answered()
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    })
  }
}

/** The callback of an answer that carries nothing. */
function plain(done: Done<void>): (error?: Error | null) => void {
  return (error) => {
    done(error ?? undefined, undefined)
  }
}

/** Codes of SSH_FXP_STATUS, draft-ietf-secsh-filexfer-02 section 7. */
const STATUS = { noSuchFile: 2, permissionDenied: 3 } as const

/** What the coordinator says of a folder that it cannot write to; there is no code for it. */
const HALTED = /^Cannot take (?:changes|contents)\b/

/** Whether the server said that there is no such file. */
export function isNoSuchFile(error: unknown): boolean {
  return codeOf(error) === STATUS.noSuchFile
}

/** What the failure of `what` means: the server refused (`Refused`), or is gone (`Unreachable`). A `SyncError` keeps its kind. */
export function toSftpError(error: unknown, what: string): unknown {
  if (error instanceof Refused)
    return new Refused(`${what}: ${error.message}`, { status: error.status, code: error.code, cause: error })
  if (error instanceof SyncError || !(error instanceof Error)) return error
  const code = codeOf(error)
  if (code === undefined && error.message === 'Server does not support this extended request') {
    return new Refused(`${what}: the server cannot do that`, { status: 500, cause: error })
  }
  // A code that is a word comes from this machine's own disk.
  if ('code' in error && typeof error.code === 'string') return error
  if (code === undefined) return new Unreachable(`${what}: ${error.message}`, { cause: error })
  if (code === STATUS.noSuchFile) return new Refused(`${what}: there is no such file`, { status: 404, cause: error })
  if (code === STATUS.permissionDenied) return new Refused(`${what}: it is not allowed`, { status: 403, cause: error })
  if (HALTED.test(error.message)) return new Refused(error.message, { status: 423, cause: error })
  const status = /no space|ENOSPC|quota|EDQUOT/i.test(error.message) ? 507 : 500
  return new Refused(`${what}: ${error.message}`, { status, cause: error })
}

/** The status code of an answer; `undefined` for any other trouble (ssh2 gives codes of its own as text). */
function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined
}
