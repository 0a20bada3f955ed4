// Who may log in: the lines of an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT), read again whenever the file changes.

import { timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { fingerprintOf } from './fingerprint.ts'
import { matchesFrom } from './from-patterns.ts'
import type { Log } from '../daemon/log.ts'

/** A key that may log in. `from`: the patterns of its `from=` option. `expiresMs`: ms since 1970, from `expiry-time=`. */
export interface AuthorisedKey {
  readonly type: string
  readonly blob: Buffer
  readonly comment: string
  readonly from: readonly string[] | undefined
  readonly expiresMs: number | undefined
}

/** A line that grants nothing, with the reason. Line numbers start at 1. */
export interface SkippedLine {
  readonly line: number
  readonly reason: string
}

/**
 * Parses an authorized_keys file. Certificates' authorities, key types that cannot be checked here and unknown options grant nothing.
 * `command=`, `restrict` and the options about forwarding and terminals are accepted and mean nothing: this server runs no commands at all.
 */
export function parseAuthorizedKeys(text: string): { keys: AuthorisedKey[]; skipped: SkippedLine[] } {
  const keys: AuthorisedKey[] = []
  const skipped: SkippedLine[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const parsed = parseLine(line)
    if (typeof parsed === 'string') skipped.push({ line: index + 1, reason: parsed })
    else keys.push(parsed)
  }
  return { keys, skipped }
}

/** Where a login comes from and when: `now` in ms since 1970. */
export interface Login {
  readonly remoteAddress: string
  readonly now: number
}

/** The keys of one authorized_keys file. A missing or unreadable file lets nobody in. */
export class KeyBook {
  readonly #file: string
  readonly #log: Pick<Log, 'warn'>
  #print: string | undefined
  #keys: readonly AuthorisedKey[] = []

  constructor(file: string, log: Pick<Log, 'warn'>) {
    this.#file = file
    this.#log = log
  }

  /** The authorised key equal to the given one, if it may log in from there and then. Reads the file again when its stat has changed. */
  find(key: { type: string; blob: Uint8Array }, login: Login): { fingerprint: string; comment: string } | undefined {
    this.#refresh()
    let found: AuthorisedKey | undefined
    for (const known of this.#keys) {
      if (known.type === key.type && sameBytes(known.blob, key.blob) && admits(known, login)) found ??= known
    }
    return found && { fingerprint: fingerprintOf(found.blob), comment: found.comment }
  }

  #refresh(): void {
    try {
      const stat = statSync(this.#file, { bigint: true })
      const print = [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ')
      if (print === this.#print) return
      this.#keys = this.#read(Number(stat.size), Number(stat.mode))
      this.#print = print
    } catch (cause) {
      this.#keys = []
      const print = `error ${codeOf(cause)}`
      if (print !== this.#print) this.#log.warn(`Cannot read "${this.#file}": nobody can log in`, { cause })
      this.#print = print
    }
  }

  #read(size: number, mode: number): readonly AuthorisedKey[] {
    if (size > MAX_FILE_BYTES || (mode & OTHERS_WRITE) !== 0) {
      const state = size > MAX_FILE_BYTES ? 'it is larger than 1 MiB' : 'everybody can write to it, wanted chmod o-w'
      this.#log.warn(`Cannot use "${this.#file}": ${state}; nobody can log in`)
      return []
    }
    const { keys, skipped } = parseAuthorizedKeys(readFileSync(this.#file, 'utf8'))
    for (const { line, reason } of skipped) this.#log.warn(`Skipped line ${line} of "${this.#file}": ${reason}`)
    return keys
  }
}

const MAX_FILE_BYTES = 1024 * 1024
const OTHERS_WRITE = 0o002

const KEY_TYPES: ReadonlySet<string> = new Set([
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
])

/** Options without a meaning for a server that has no shell, no terminal and no forwarding. */
const IDLE_OPTIONS = new Set(
  (
    'restrict agent-forwarding no-agent-forwarding port-forwarding no-port-forwarding pty no-pty user-rc no-user-rc ' +
    'x11-forwarding no-x11-forwarding no-touch-required command environment permitopen permitlisten tunnel'
  ).split(' '),
)

/** The key on a line, or why there is none. Grammar: [options SP] type SP base64 [SP comment]. */
function parseLine(line: string): AuthorisedKey | string {
  const bare = parseKey(line)
  if (typeof bare !== 'string') return { ...bare, from: undefined, expiresMs: undefined }
  const options = /^(ssh|ecdsa|sk)-/.test(line) ? undefined : splitOptions(line)
  if (options === undefined) return bare
  const key = parseKey(options.rest)
  if (typeof key === 'string') return key
  const limits = readOptions(options.list)
  return typeof limits === 'string' ? limits : { ...key, ...limits }
}

function parseKey(text: string): Pick<AuthorisedKey, 'type' | 'blob' | 'comment'> | string {
  const [type = '', base64 = '', ...comment] = text.split(/[ \t]+/)
  if (!KEY_TYPES.has(type)) return `key type ${JSON.stringify(type)} is not supported`
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return 'the key is not base64'
  const blob = Buffer.from(base64, 'base64')
  const named = blob.length >= 4 ? blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1') : ''
  if (named !== type) return `the key is not of the type ${type} that the line names`
  return { type, blob, comment: comment.join(' ') }
}

/** Splits `name,name="value with \" and blanks" rest` at the first blank outside quotes; `undefined` when a quote stays open. */
function splitOptions(line: string): { list: string[]; rest: string } | undefined {
  const list: string[] = []
  let quoted = false
  let start = 0
  for (let i = 0; i < line.length; i++) {
    const sign = line.charAt(i)
    if (sign === '\\' && line.charAt(i + 1) === '"') i++
    else if (sign === '"') quoted = !quoted
    else if (!quoted && sign === ',') {
      list.push(line.slice(start, i))
      start = i + 1
    } else if (!quoted && (sign === ' ' || sign === '\t')) {
      list.push(line.slice(start, i))
      return { list, rest: line.slice(i).trim() }
    }
  }
  return undefined
}

function readOptions(list: readonly string[]): Pick<AuthorisedKey, 'from' | 'expiresMs'> | string {
  let from: readonly string[] | undefined
  let expiresMs: number | undefined
  for (const option of list) {
    const [, name = '', value] = /^([^=]*)(?:="((?:[^"\\]|\\.)*)")?$/s.exec(option) ?? []
    const key = name.toLowerCase()
    if (key === 'from' && value !== undefined) from = value.split(',').map((pattern) => pattern.trim())
    else if (key === 'expiry-time' && value !== undefined) {
      expiresMs = parseExpiry(value)
      if (expiresMs === undefined) return `expiry-time ${JSON.stringify(value)} is not a time`
    } else if (key === 'cert-authority') return 'certificates are not supported'
    else if (!IDLE_OPTIONS.has(key)) return `option ${JSON.stringify(option)} is not known`
  }
  return { from, expiresMs }
}

/** `YYYYMMDD` or `YYYYMMDDHHMM[SS]`, local time or, with `Z`, UTC. Milliseconds since 1970. */
function parseExpiry(text: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z)?$/i.exec(text)
  if (parts === null) return undefined
  const [, year, month, day, hour = '00', minute = '00', second = '00', zone = ''] = parts
  const ms = Date.parse(`${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour}:${minute}:${second}${zone.toUpperCase()}`)
  return Number.isNaN(ms) ? undefined : ms
}

function admits(key: AuthorisedKey, login: Login): boolean {
  if (key.expiresMs !== undefined && login.now >= key.expiresMs) return false
  return key.from === undefined || matchesFrom(key.from, login.remoteAddress)
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
}
