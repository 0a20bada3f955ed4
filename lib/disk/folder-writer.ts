// Changes a user's folder: the only code that does. One step at a time, each atomic, each after re-checking what it expects.

import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, fstatSync, lstatSync, mkdirSync, rmdirSync, symlinkSync } from 'node:fs'
import { SyncError } from '../errors.ts'
import { samePrint } from '../model/entry.ts'
import type { DirEntry, Fingerprint } from '../model/entry.ts'
import { ROOT, nameOf, parentOf } from '../model/path.ts'
import type { DirPath, HostPath, RelPath } from '../model/path.ts'
import type { WriteResult, WriteStep } from '../model/write-step.ts'
import { sameButCtime } from './fingerprint.ts'
import { openStaging, syncAll, syncDir } from './own-dir.ts'
import { lookAtPlace } from './native-files.ts'
import { discardStaged, isAsExpected, publishMove, publish, takeOut } from './publish.ts'
import type { Staged } from './publish.ts'
import { DirsInRow, holdDir, placeAt } from './safe-dir.ts'
import type { SafeDirs } from './safe-dir.ts'
import { setFileMeta, setMode } from './set-meta.ts'
import { stageBody } from './stage-body.ts'
import { codeOf, isAbsence, problemOf } from './trouble.ts'
import { unlockDirs } from './unlock-dirs.ts'

type Step<Do extends WriteStep['do']> = Extract<WriteStep, { readonly do: Do }>

/** From so many files or directories on, one flush of the file system is cheaper than one for each. */
const FLUSH_ALL_FROM = 8

const DIFFERS = { kind: 'differs' } as const
const DAMAGED = { reason: 'the content that came is damaged', todo: 'It is fetched again; check the disks if it stays' }

/**
 * Writes into one folder. Everything is staged in `.systemsync/staging` and comes into sight by one rename. Trouble at one path is its
 * `problem`; a SyncError `ROOT_GONE` is thrown when the folder or its staging is not there any more, `DISK` when a flush failed: then
 * nothing that was answered by the call may be relied on.
 */
export class FolderWriter implements Disposable {
  readonly #root: HostPath
  readonly #dirs: SafeDirs
  readonly #staging: number
  readonly #prefix = `write-${randomBytes(6).toString('hex')}`
  #count = 0
  #isOpen = true
  #touched = new Set<DirPath>()

  /** `root` must be marked already (`writeMarker`). `dirs` is of the same root, and stays the caller's. */
  constructor(root: HostPath, dirs: SafeDirs) {
    this.#root = root
    this.#dirs = dirs
    try {
      this.#staging = openStaging(root)
    } catch (cause) {
      throw this.#gone(cause)
    }
  }

  /** Does `steps` in order and answers each. What is answered `done` is durable. */
  apply(steps: readonly WriteStep[]): WriteResult[] {
    this.#checkRoot()
    const results: WriteResult[] = []
    for (let at = 0; at < steps.length; at = results.length) {
      const files = filesFrom(steps, at)
      if (files.length > 0) results.push(...this.#placeFiles(files))
      else for (const step of steps.slice(at, at + 1)) results.push(this.#try(step, () => this.#do(step)))
    }
    this.#syncTouched()
    return results
  }

  /** Lets go of staging. Closing twice is fine. */
  close(): void {
    if (this.#isOpen) closeSync(this.#staging)
    this.#isOpen = false
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #do(step: WriteStep): WriteResult {
    switch (step.do) {
      case 'make-dir':
        return this.#makeDir(step)
      case 'make-link':
        return this.#makeLink(step)
      case 'set-meta':
        return this.#setMeta(step)
      case 'move':
        return this.#move(step)
      case 'remove':
        return step.expect.kind === 'dir' ? this.#removeDir(step) : this.#removeFile(step)
      case 'place-file':
        throw new Error('place-file goes by way of #placeFiles')
      default:
        return step satisfies never
    }
  }

  /** Stages all, flushes once, publishes one by one. */
  #placeFiles(steps: readonly Step<'place-file'>[]): WriteResult[] {
    const isFlushedAtOnce = steps.length >= FLUSH_ALL_FROM
    const staged = steps.map((step) => this.#stageFile(step, !isFlushedAtOnce))
    if (isFlushedAtOnce) this.#flush(this.#staging)
    const row = new DirsInRow(this.#dirs)
    return steps.map((step, i) => {
      const ready = staged[i]
      if (ready === undefined) return DIFFERS
      if ('kind' in ready) return ready
      const result = this.#try(step, () => this.#publishInRow(step, ready, row))
      const isOurs = step.body.kind !== 'staged' || ready.place !== step.body.place
      if (result.kind !== 'done' && isOurs) discardStaged(ready)
      return result
    })
  }

  #stageFile(step: Step<'place-file'>, isSynced: boolean): Staged | WriteResult {
    try {
      const place = this.#freePlace()
      const staged = stageBody(this.#dirs, { entry: step.entry, body: step.body, place, isSynced })
      if (staged === 'differs') return DIFFERS
      return staged === 'damaged' ? { kind: 'problem', problem: { path: step.path, ...DAMAGED } } : staged
    } catch (error) {
      if (step.body.kind !== 'copy' && isAbsence(error)) this.#checkRoot()
      return failed(step, error)
    }
  }

  /** As `#publish`, for one of many. After trouble directories are opened anew, and what the row holds may be closed. */
  #publishInRow(step: Step<'place-file'>, staged: Staged, row: DirsInRow): WriteResult {
    let isDone = false
    try {
      const result = this.#publish(step, staged, row)
      isDone = result.kind === 'done'
      return result
    } finally {
      if (!isDone) row.forget()
    }
  }

  /** Brings what is staged into sight; unless it is `done`, it is still staged. */
  #publish(step: Step<'place-file' | 'make-link' | 'make-dir'>, staged: Staged, row?: DirsInRow): WriteResult {
    const parent = row?.open(parentOf(step.path)) ?? this.#parentFor(step.path, step.expect === undefined)
    if (parent === undefined) return DIFFERS
    const target = placeAt(parent, nameOf(step.path))
    const isFreed = step.do !== 'make-dir' && step.expect?.kind === 'dir'
    if (isFreed && !this.#freeDir(target, step.expect)) return DIFFERS
    if (publish(staged, target, isFreed ? undefined : step.expect) === 'differs') return DIFFERS
    this.#touched.add(parentOf(step.path))
    return { kind: 'done', print: printAfter(target, staged.print) }
  }

  /** Makes something small in staging and publishes it; it does not stay there. */
  #stageAndPublish(step: Step<'make-link' | 'make-dir'>, make: (place: string) => void): WriteResult {
    const place = this.#freePlace()
    try {
      make(place)
    } catch (error) {
      if (isAbsence(error)) this.#checkRoot()
      throw error
    }
    const staged = { place, print: printAt(place) }
    let isDone = false
    try {
      const result = this.#publish(step, staged)
      isDone = result.kind === 'done'
      return result
    } finally {
      if (!isDone) discardStaged(staged)
    }
  }

  #makeDir(step: Step<'make-dir'>): WriteResult {
    const { path, entry, expect } = step
    const parent = this.#parentFor(path, expect === undefined)
    if (parent === undefined) return DIFFERS
    const target = placeAt(parent, nameOf(path))
    const found = lookAtPlace(target)
    if (found !== undefined && found !== 'special' && found.kind === 'dir') {
      if (expect !== undefined && !samePrint(expect, found)) return DIFFERS
      return this.#setDirMode(target, found, entry)
    }
    if (!isAsExpected(found, expect)) return DIFFERS
    const result = this.#stageAndPublish(step, (place) => {
      mkdirSync(place, 0o700)
      chmodSync(place, entry.mode | 0o700) // it must be writable for as long as it is renamed
    })
    if (result.kind !== 'done' || result.print === undefined) return result
    const now = this.#parentFor(path, false) // to publish it was to open directories, and to close others
    return now === undefined ? DIFFERS : this.#setDirMode(placeAt(now, nameOf(path)), result.print, entry)
  }

  #makeLink(step: Step<'make-link'>): WriteResult {
    return this.#stageAndPublish(step, (place) => {
      symlinkSync(step.entry.target, place)
    })
  }

  #setMeta({ path, entry, expect }: Step<'set-meta'>): WriteResult {
    const parent = this.#parentFor(path, false)
    if (parent === undefined || entry.kind !== expect.kind) return DIFFERS
    const target = placeAt(parent, nameOf(path))
    if (entry.kind === 'dir') {
      return isAsExpected(lookAtPlace(target), expect) ? this.#setDirMode(target, expect, entry) : DIFFERS
    }
    return setFileMeta(target, entry, (now) => samePrint(expect, now))
  }

  #move({ from, path, expectFrom, entry }: Step<'move'>): WriteResult {
    const parentFrom = this.#parentFor(from, false)
    if (parentFrom === undefined || entry.kind !== expectFrom.kind) return DIFFERS
    if (!isAsExpected(lookAtPlace(placeAt(parentFrom, nameOf(from))), expectFrom)) return DIFFERS
    // To open another directory may close this one, and its number go to a third.
    using source = parentOf(from) === parentOf(path) ? undefined : holdDir(parentFrom)
    const parent = this.#parentFor(path, true)
    if (parent === undefined) return DIFFERS
    const old = placeAt(source?.fd ?? parent, nameOf(from))
    const target = placeAt(parent, nameOf(path))
    if (!publishMove(old, target, expectFrom)) return DIFFERS
    const moved = lookAtPlace(target)
    if (moved === undefined || moved === 'special' || !sameButCtime(expectFrom, moved)) {
      // Edited in the last instant: it goes back. When its place is taken by now, it stays where it is and the next scan finds it there.
      if (moved !== undefined) publishMove(target, old, moved === 'special' ? expectFrom : moved)
      return DIFFERS
    }
    this.#touched.add(parentOf(from)).add(parentOf(path))
    if (entry.kind === 'link') return { kind: 'done', print: moved }
    if (entry.kind === 'dir') return this.#setDirMode(target, moved, entry)
    if (moved.mode === (entry.mode & 0o777) && moved.mtimeNs === entry.mtimeNs) return { kind: 'done', print: moved }
    const result = setFileMeta(target, entry, (now) => sameButCtime(moved, now))
    return result.kind === 'done' ? result : { kind: 'done', print: moved }
  }

  /** Takes it out of sight, looks at what came out, and only then removes it. */
  #removeFile({ path, expect }: Step<'remove'>): WriteResult {
    const parent = this.#parentFor(path, false)
    if (parent === undefined) return DIFFERS
    const target = placeAt(parent, nameOf(path))
    if (!isAsExpected(lookAtPlace(target), expect)) return DIFFERS
    if (takeOut(target, this.#freePlace(), expect) === 'differs') return DIFFERS
    this.#touched.add(parentOf(path))
    return { kind: 'done', print: undefined }
  }

  #removeDir({ path, expect }: Step<'remove'>): WriteResult {
    const parent = this.#parentFor(path, false)
    if (parent === undefined || !this.#freeDir(placeAt(parent, nameOf(path)), expect)) return DIFFERS
    this.#touched.add(parentOf(path))
    return { kind: 'done', print: undefined }
  }

  /** Removes the empty directory `target`; `false` when it is not as expected. Throws a Node-style ENOTEMPTY. */
  #freeDir(target: string, expect: Fingerprint | undefined): boolean {
    if (expect === undefined || !isAsExpected(lookAtPlace(target), expect)) return false
    rmdirSync(target)
    return true
  }

  #setDirMode(target: string, found: Fingerprint, entry: DirEntry): WriteResult {
    if (found.mode === (entry.mode & 0o777)) return { kind: 'done', print: found }
    return setMode(target, found, entry.mode & 0o777)
  }

  /** The directory that `path` stands in, made when missing if `isMade`; `undefined` when something else stands on the way. */
  #parentFor(path: RelPath, isMade: boolean): number | undefined {
    return this.#openDir(parentOf(path), isMade)
  }

  #openDir(dir: DirPath, isMade: boolean): number | undefined {
    const fd = this.#dirs.open(dir)
    if (fd !== undefined) return fd
    if (dir === ROOT) throw this.#gone()
    const parent = isMade ? this.#openDir(parentOf(dir), true) : undefined
    if (parent === undefined) return undefined
    try {
      mkdirSync(placeAt(parent, nameOf(dir)), 0o755)
      this.#touched.add(parentOf(dir))
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    return this.#dirs.open(dir)
  }

  /** Tries a step; where a directory of ours forbids it, tries again with that lifted for as long as it takes. */
  #try(step: WriteStep, act: () => WriteResult): WriteResult {
    try {
      return act()
    } catch (error) {
      if (codeOf(error) !== 'EACCES') return failed(step, error)
      using unlocked = unlockDirs(this.#dirs, step.do === 'move' ? [step.from, step.path] : [step.path])
      if (!unlocked.isAny) return failed(step, error)
      try {
        return act()
      } catch (again) {
        return failed(step, again)
      }
    }
  }

  #freePlace(): string {
    return placeAt(this.#staging, `${this.#prefix}-${++this.#count}`)
  }

  /** Throws unless the folder stands where it stood and our staging is in it. */
  #checkRoot(): void {
    const root = this.#dirs.open(ROOT)
    if (root === undefined) throw this.#gone()
    const now = fstatSync(root, { bigint: true })
    const ours = lstatSync(placeAt(this.#staging, '../..'), { bigint: true, throwIfNoEntry: false })
    if (ours?.ino !== now.ino || ours.dev !== now.dev) throw this.#gone()
  }

  #gone(cause?: unknown): SyncError {
    return new SyncError(`Cannot write to "${this.#root}": the folder or its .systemsync is gone, expected both`, {
      code: 'ROOT_GONE',
      retry: 'later',
      hint: 'Mount the disk again or bring the folder back; it goes on by itself',
      ...(cause === undefined ? {} : { cause }),
    })
  }

  /** Makes the names in all directories that were changed durable. */
  #syncTouched(): void {
    const touched = [...this.#touched]
    this.#touched = new Set()
    const flushed = new Set<number>()
    for (const dir of touched) {
      const fd = this.#dirs.open(dir)
      if (fd === undefined) continue // gone since: nothing left to keep
      if (touched.length < FLUSH_ALL_FROM) this.#flush(fd, 'dir')
      else {
        const { dev } = fstatSync(fd)
        if (!flushed.has(dev)) this.#flush(fd)
        flushed.add(dev)
      }
    }
  }

  /** Flushes the directory `dirFd`, or all of the file system it is on. */
  #flush(dirFd: number, what: 'dir' | 'all' = 'all'): void {
    try {
      if (what === 'dir') syncDir(dirFd)
      else syncAll(dirFd)
    } catch (cause) {
      if (what === 'dir' && codeOf(cause) === 'EACCES') return this.#flush(this.#staging)
      throw new SyncError(
        `Cannot make changes in "${this.#root}" durable: the disk refused to flush, expected success`,
        {
          code: 'DISK',
          retry: 'later',
          hint: 'Check the disk and the system log',
          cause,
        },
      )
    }
  }
}

/** The place-file steps that follow one another from `at` on. */
function filesFrom(steps: readonly WriteStep[], at: number): Step<'place-file'>[] {
  const files: Step<'place-file'>[] = []
  for (let i = at; i < steps.length; i++) {
    const step = steps[i]
    if (step?.do !== 'place-file') break
    files.push(step)
  }
  return files
}

/** What became of a step that met `error`. Rethrows what is no trouble of this path. */
function failed(step: WriteStep, error: unknown): WriteResult {
  const code = codeOf(error)
  if (error instanceof SyncError) throw error
  if (isAbsence(error) || code === 'EEXIST') return DIFFERS
  if (code === 'ENOTEMPTY') return { kind: 'not-empty' }
  return { kind: 'problem', problem: problemOf(step.path, error) }
}

/** The fingerprint of what was published, unless it was touched since: then that of what was, so that the next scan sees the difference. */
function printAfter(target: string, published: Fingerprint): Fingerprint {
  const now = lookAtPlace(target)
  return now !== undefined && now !== 'special' && sameButCtime(published, now) ? now : published
}

function printAt(place: string): Fingerprint {
  const found = lookAtPlace(place)
  if (found === undefined || found === 'special') throw Object.assign(new Error('ENOENT: staging'), { code: 'ENOENT' })
  return found
}
