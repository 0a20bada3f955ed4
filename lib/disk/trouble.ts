// Trouble: turns errors of the disk into problems that say what the person can do.

import { isUtf8 } from 'node:buffer'
import type { Problem } from '../model/problem.ts'

/** The errno name of a Node-style error (`ENOENT`…); `undefined` for anything else. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Whether `error` says that nothing, or no directory, or a link stands where one was looked for. */
export function isAbsence(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP'
}

/** The problem that the disk's `error` is at `path` (for display). Rethrows what is no error of the disk: that is a bug. */
export function problemOf(path: string, error: unknown): Problem {
  const code = codeOf(error)
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw error
  const known = SENTENCES.get(code)
  if (known !== undefined) return { path, reason: known[0], todo: known[1] }
  return { path, reason: `the disk answered ${code}`, todo: 'Check the disk and the system log; it is tried again' }
}

/** As `problemOf`, of whatever went wrong with `path`, the disk or not; it is tried again. */
export function laterProblemOf(path: string, error: unknown): Problem {
  if (/^E[A-Z0-9]+$/.test(codeOf(error) ?? '')) return problemOf(path, error)
  return { path, reason: error instanceof Error ? error.message : String(error), todo: RETRIED }
}

/** A text of bytes that may not be UTF-8, for display: bytes that are not appear as `\xNN`. */
export function displayOf(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  if (!text.includes('\ufffd')) return text
  let shown = ''
  for (let at = 0; at < bytes.length;) {
    const length = sequenceAt(bytes, at)
    shown +=
      length === 0
        ? `\\x${(bytes[at] ?? 0).toString(16).padStart(2, '0')}`
        : Buffer.from(bytes.subarray(at, at + length)).toString('utf8')
    at += Math.max(length, 1)
  }
  return shown
}

/** Length of the whole UTF-8 sequence that starts at `at`, in bytes; 0 when none does. */
function sequenceAt(bytes: Uint8Array, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    if (isUtf8(bytes.subarray(at, at + length))) return length
  }
  return 0
}

type Sentence = readonly [reason: string, todo: string]

const RETRIED = 'it is tried again in half a minute'
const NO_SPACE = ['no space left on the disk', 'Free some space; it is tried again'] as const
const DENIED = ['permission denied', 'Give the user that runs SystemSync access to it'] as const

const SENTENCES: ReadonlyMap<string, Sentence> = new Map<string, Sentence>([
  ['ENOSPC', NO_SPACE],
  ['EDQUOT', ['disk quota exceeded', 'Free some space or raise the quota; it is tried again']],
  ['EFBIG', ['the file is too large for this file system', 'Move the folder to a file system that can hold it']],
  ['EACCES', DENIED],
  ['EPERM', ['operation not permitted', 'Look for an immutable flag or another owner, and lift it']],
  ['EROFS', ['the file system is read-only', 'Mount it read-write; it is tried again']],
  ['EIO', ['the disk failed to read or write', 'Check the disk and the system log; it is tried again']],
  ['ENAMETOOLONG', ['the name is too long for this file system', 'Give it a shorter name']],
  ['EILSEQ', ['this file system cannot hold the name', 'Rename it']],
  ['EINVAL', ['this file system cannot hold the name', 'Rename it']],
  ['EMFILE', ['too many open files', 'Raise the limit of open files (ulimit -n); it is tried again']],
  ['ENFILE', ['too many open files', 'Raise the limit of open files (fs.file-max); it is tried again']],
  ['ETXTBSY', ['the program is running', 'Stop it; it is tried again']],
  ['EBUSY', ['it is in use by the system', 'Unmount it or end its use; it is tried again']],
  ['EXDEV', ['it is on another file system than the folder', 'Make it a folder of its own, or move it']],
])
