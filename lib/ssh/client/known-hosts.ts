// Host keys this machine trusts: reads known_hosts files, compares a server's key with them, and adds new ones.

import { createHmac } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Where a line of a known_hosts file stands; lines count from 1. */
export interface KnownHostsPlace {
  readonly file: string
  readonly line: number
}

/**
 * What the files say of a server's key. `changed`: they hold another key of this host (at the place named), so this may be
 * somebody else. `revoked`: the key is marked as stolen.
 */
export type HostKeyVerdict = 'known' | 'unknown' | 'revoked' | ({ readonly kind: 'changed' } & KnownHostsPlace)

/** Types of host key that the client can check; a line of another type (sk, dss, a certificate) says nothing. */
const CHECKABLE = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'ssh-rsa']

/** What `known_hosts` files said when they were read. A file that does not exist says nothing. Format: sshd(8). */
export class KnownHosts {
  readonly #files: readonly string[]
  readonly #lines: readonly Line[]

  private constructor(files: readonly string[], lines: readonly Line[]) {
    this.#files = files
    this.#lines = lines
  }

  /** Reads `files`, of which the first is the one that new keys are added to. Throws when one is there but unreadable. */
  static async load(files: readonly string[]): Promise<KnownHosts> {
    const lines: Line[] = []
    for (const file of files) lines.push(...parseKnownHosts(await textOf(file), file))
    return new KnownHosts(files, lines)
  }

  /** Compares the key of `host` (`blob`, in wire form, of the type `keyType`) with the lines that name the host. */
  check(host: string, port: number, keyType: string, blob: Uint8Array): HostKeyVerdict {
    const key = Buffer.from(blob).toString('base64')
    const lines = this.#linesOf(host, port)
    if (lines.some((line) => line.revoked && line.key === key)) return 'revoked'
    const trusted = lines.filter((line) => !line.revoked)
    if (trusted.some((line) => line.key === key)) return 'known'
    // A key of a type never seen from a known host is a change too: the types that are known are asked for first, so an
    // honest server would have shown one of those.
    const other = trusted.find((line) => line.type === keyType) ?? trusted[0]
    return other === undefined ? 'unknown' : { kind: 'changed', file: other.file, line: other.line }
  }

  /** The types of key that are known of the host, in the order of the lines. */
  keyTypes(host: string, port: number): string[] {
    const trusted = this.#linesOf(host, port).filter((line) => !line.revoked)
    return [...new Set(trusted.map((line) => line.type))]
  }

  /** Adds a line for the host to the first file, which is made (0600, its directory 0700) when missing; tells that file. */
  async add(host: string, port: number, keyType: string, blob: Uint8Array): Promise<string> {
    const file = this.#files[0]
    if (file === undefined) throw new Error('no known_hosts file is configured')
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const handle = await open(file, 'a+', 0o600)
    try {
      const { size } = await handle.stat()
      const last = Buffer.alloc(1)
      if (size > 0) await handle.read(last, 0, 1, size - 1)
      const newline = size > 0 && last.toString() !== '\n' ? '\n' : ''
      await handle.appendFile(`${newline}${knownHostsLine(host, port, keyType, blob)}\n`)
    } finally {
      await handle.close()
    }
    return file
  }

  #linesOf(host: string, port: number): Line[] {
    const name = knownHostsName(host, port)
    return this.#lines.filter((line) => line.names(name))
  }
}

/** How known_hosts calls a host: its name in lower case, with the port when that is not 22. */
export function knownHostsName(host: string, port: number): string {
  const name = host.toLowerCase()
  return port === 22 ? name : `[${name}]:${port}`
}

/** The line that makes a key known. */
export function knownHostsLine(host: string, port: number, keyType: string, blob: Uint8Array): string {
  return `${knownHostsName(host, port)} ${keyType} ${Buffer.from(blob).toString('base64')}`
}

interface Line extends KnownHostsPlace {
  readonly revoked: boolean
  readonly type: string
  readonly key: string
  names(name: string): boolean
}

// line   = [ "@revoked" | "@cert-authority" ] hosts type base64 [ comment ]
// hosts  = hashed | pattern *( "," pattern )      pattern = [ "!" ] name, with * and ?
// hashed = "|1|" base64( salt ) "|" base64( HMAC-SHA1( salt, name ) )
function parseKnownHosts(text: string, file: string): Line[] {
  const lines: Line[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const words = raw.trim().split(/[ \t]+/)
    const marker = words[0]?.startsWith('@') === true ? words.shift() : undefined
    const [hosts, type, key] = words
    if (hosts === undefined || hosts.startsWith('#') || type === undefined || key === undefined) continue
    if (marker !== undefined && marker !== '@revoked') continue
    if (!CHECKABLE.includes(type)) continue
    // A canonical form, so that a difference in padding is no difference.
    const canonical = Buffer.from(key, 'base64').toString('base64')
    const names = hosts.startsWith('|') ? hashedMatcher(hosts) : patternMatcher(hosts)
    lines.push({ file, line: index + 1, revoked: marker === '@revoked', type, key: canonical, names })
  }
  return lines
}

function hashedMatcher(hosts: string): (name: string) => boolean {
  const [, version, salt, hash] = hosts.split('|')
  if (version !== '1' || salt === undefined || hash === undefined) return () => false
  return (name) => createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash
}

function patternMatcher(hosts: string): (name: string) => boolean {
  const patterns = hosts.toLowerCase().split(',')
  const refused = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1))
  const named = patterns.filter((pattern) => !pattern.startsWith('!'))
  return (name) => !refused.some((it) => matchesPattern(name, it)) && named.some((it) => matchesPattern(name, it))
}

/** Whether `name` fits `pattern`, in which `*` stands for any text and `?` for one character. */
function matchesPattern(name: string, pattern: string): boolean {
  let at = 0
  let star = -1
  let resume = 0
  for (let i = 0; i < name.length;) {
    if (pattern[at] === '*') {
      star = at++
      resume = i
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[i])) {
      at++
      i++
    } else if (star >= 0) {
      at = star + 1
      i = ++resume
    } else return false
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
