// The keys this node may show to a server, in the order in which they are shown: the agent's, then those in files.

import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import ssh2 from 'ssh2'
import type { AnyAuthMethod, ParsedKey } from 'ssh2'
import { fingerprintOf } from '../fingerprint.ts'

/** One key that can be shown. */
export interface Identity {
  /** For people: `agent SHA256:…`, or the file's name. */
  readonly name: string
  readonly fingerprint: string
  /** The public key in wire form. */
  readonly blob: Buffer
  /** As a line of authorized_keys: `type base64 comment`. */
  readonly publicKeyText: string
  /** How many of the server's tries it may cost: RSA keys are shown once per kind of signature. */
  readonly tries: number
  /** What ssh2 is given to log in as `user` with it. */
  authMethod(user: string): AnyAuthMethod
}

/** A key that cannot be used, and why. */
export interface SkippedIdentity {
  readonly name: string
  readonly reason: string
}

export interface Identities {
  readonly usable: readonly Identity[]
  readonly skipped: readonly SkippedIdentity[]
}

export interface IdentitySources {
  /** The home of the user this node runs for, absolute. */
  readonly home: string
  /** Configured key files, absolute; none = `~/.ssh/id_ed25519`, `id_ecdsa`, `id_rsa`, and no word about those that are missing. */
  readonly files: readonly string[]
  /** The agent's socket; `undefined` = no agent. */
  readonly agentSocket: string | undefined
  /** Whether only those keys of the agent are shown that `files` name too. */
  readonly identitiesOnly: boolean
}

/** Servers hang up after six refused keys. */
const MAX_TRIES = 6

const AGENT_TIMEOUT_MS = 5000

/** Finds the keys. Never throws for a key that cannot be used: it is in `skipped` with the reason. */
export async function gatherIdentities(sources: IdentitySources, signal: AbortSignal): Promise<Identities> {
  const files = await filesOf(sources)
  const skipped: SkippedIdentity[] = []
  const held = await agentIdentities(sources.agentSocket, skipped, signal)
  const named = held.filter((identity) => files.some((file) => isSameKey(file.blob, identity.blob)))
  const others = sources.identitiesOnly ? [] : held.filter((identity) => !named.includes(identity))
  const alone: Identity[] = []
  for (const file of files) {
    if (named.some((identity) => isSameKey(file.blob, identity.blob))) continue
    if (file.identity !== undefined) alone.push(file.identity)
    else skipped.push({ name: file.name, reason: file.reason ?? 'is not usable' })
  }
  // An agent full of keys must not crowd out the key in a file.
  const mustFit = [...named, ...alone].reduce((sum, identity) => sum + identity.tries, 0)
  const usable = [...named, ...cut(others, Math.max(0, MAX_TRIES - mustFit)), ...alone]
  return { usable: cut(usable, MAX_TRIES), skipped }
}

/** One sentence part on what was tried and what could not be: "tried 2 keys: agent SHA256:…, ~/.ssh/id_ed25519". */
export function describeTried(tried: readonly Identity[], skipped: readonly SkippedIdentity[]): string {
  const names = tried.map((identity) => identity.name).join(', ')
  const count =
    tried.length === 0
      ? 'had no key to try'
      : `tried ${tried.length === 1 ? '1 key' : `${tried.length} keys`}: ${names}`
  const rest = skipped.map(({ name, reason }) => `; "${name}" ${reason}`).join('')
  return count + rest
}

interface FileKey {
  readonly name: string
  readonly identity: Identity | undefined
  /** The public half, when it could be read. */
  readonly blob: Buffer | undefined
  readonly reason: string | undefined
}

async function filesOf({ home, files }: IdentitySources): Promise<FileKey[]> {
  const usual = ['id_ed25519', 'id_ecdsa', 'id_rsa'].map((name) => `${home}/.ssh/${name}`)
  const found: FileKey[] = []
  for (const path of files.length > 0 ? files : usual) {
    const name = path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path
    try {
      found.push(await parseKeyFile(path, name, await readFile(path)))
    } catch (error) {
      if (files.length === 0 && isMissing(error)) continue
      const reason = isMissing(error)
        ? 'does not exist'
        : `cannot be read: ${error instanceof Error ? error.message : String(error)}`
      found.push({ name, identity: undefined, blob: await publicHalf(path), reason })
    }
  }
  return found
}

async function parseKeyFile(path: string, name: string, text: Buffer): Promise<FileKey> {
  const key = parse(text)
  if (!(key instanceof Error)) {
    const blob = key.getPublicSSH()
    if (!key.isPrivateKey())
      return {
        name,
        identity: undefined,
        blob,
        reason: 'is a public key, and the agent does not hold its private half',
      }
    const authMethod = (username: string): AnyAuthMethod => ({ type: 'publickey', username, key })
    return { name, identity: toIdentity(name, key, authMethod), blob, reason: undefined }
  }
  const blob = publicHalfOf(text) ?? (await publicHalf(path))
  return { name, identity: undefined, blob, reason: reasonOf(key, text) }
}

function reasonOf(error: Error, text: Buffer): string {
  const head = text.toString('latin1', 0, 4096)
  if (/encrypted/i.test(error.message) || /ENCRYPTED/.test(head)) {
    return 'is protected by a passphrase: add it to an agent with ssh-add'
  }
  if (head.includes('-----BEGIN PRIVATE KEY-----')) {
    return 'is in PKCS#8 form, which is not supported: rewrite it with ssh-keygen -p -f'
  }
  if (/^sk-|sk-(?:ssh|ecdsa)/.test(error.message)) return 'needs a security key, which is not supported'
  return `is not a key that can be used: ${error.message}`
}

/** `ssh-add` reads what we cannot: then the public half still tells which key of the agent is meant. */
async function publicHalf(path: string): Promise<Buffer | undefined> {
  try {
    const key = parse(await readFile(`${path}.pub`))
    return key instanceof Error ? undefined : key.getPublicSSH()
  } catch {
    // No readable .pub beside it: nothing is known of the key, and nothing is claimed.
    return undefined
  }
}

// openssh-key-v1 = "openssh-key-v1\0" cipher kdf kdf-options count(1) public-key …; each but count a length-prefixed string
function publicHalfOf(text: Buffer): Buffer | undefined {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]+?)-----END/.exec(text.toString('latin1'))?.[1]
  if (body === undefined) return undefined
  const bytes = Buffer.from(body, 'base64')
  let at = 'openssh-key-v1\0'.length
  for (let field = 0; ; field++) {
    if (field === 3) at += 4
    if (at + 4 > bytes.length) return undefined
    const end = at + 4 + bytes.readUInt32BE(at)
    if (field === 3) return end > bytes.length ? undefined : bytes.subarray(at + 4, end)
    at = end
  }
}

async function agentIdentities(
  socket: string | undefined,
  skipped: SkippedIdentity[],
  signal: AbortSignal,
): Promise<Identity[]> {
  if (socket === undefined) return []
  try {
    const keys = await keysOf(socket, signal)
    return keys.map((key) => {
      const agent = new OneKeyAgent(socket, key)
      const name = `agent ${fingerprintOf(key.getPublicSSH())}`
      return toIdentity(name, key, (username) => ({ type: 'agent', username, agent }))
    })
  } catch (error) {
    signal.throwIfAborted()
    skipped.push({
      name: socket,
      reason: `did not answer as an agent: ${error instanceof Error ? error.message : String(error)}`,
    })
    return []
  }
}

async function keysOf(socket: string, signal: AbortSignal): Promise<ParsedKey[]> {
  const agent = new ClosableAgent(socket)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(AGENT_TIMEOUT_MS)])
  return await new Promise((resolve, reject) => {
    const stop = () => {
      reject(new Error('no answer in time'))
      agent.close()
    }
    limit.addEventListener('abort', stop, { once: true })
    agent.getIdentities((error, keys) => {
      limit.removeEventListener('abort', stop)
      if (error) reject(error)
      else resolve((keys ?? []).flatMap((key) => (isParsed(key) ? [key] : [])))
    })
  })
}

/** An agent that need not be waited for. */
class ClosableAgent extends ssh2.OpenSSHAgent {
  #stream: Duplex | undefined
  #isClosed = false

  override getStream(done: (error?: Error | null, stream?: Duplex) => void): void {
    super.getStream((error, stream) => {
      this.#stream = stream
      if (this.#isClosed) stream?.destroy()
      done(error, stream)
    })
  }

  close(): void {
    this.#isClosed = true
    this.#stream?.destroy()
  }
}

/** An agent that shows one of its keys, so that it is known which key was accepted. */
class OneKeyAgent extends ssh2.OpenSSHAgent {
  readonly #key: ParsedKey

  constructor(socket: string, key: ParsedKey) {
    super(socket)
    this.#key = key
  }

  override getIdentities(done: (error?: Error, keys?: ParsedKey[]) => void): void {
    done(undefined, [this.#key])
  }
}

function toIdentity(name: string, key: ParsedKey, authMethod: Identity['authMethod']): Identity {
  const blob = key.getPublicSSH()
  const comment = key.comment === '' ? '' : ` ${key.comment}`
  return {
    name,
    fingerprint: fingerprintOf(blob),
    blob,
    publicKeyText: `${key.type} ${blob.toString('base64')}${comment}`,
    tries: key.type === 'ssh-rsa' ? 2 : 1,
    authMethod,
  }
}

/** As many of `identities` as fit into `tries`, in order. */
function cut(identities: readonly Identity[], tries: number): Identity[] {
  let left = tries
  return identities.filter((identity) => {
    if (identity.tries > left) return false
    left -= identity.tries
    return true
  })
}

function parse(text: Buffer): ParsedKey | Error {
  const parsed: unknown = ssh2.utils.parseKey(text)
  const key: unknown = Array.isArray(parsed) ? parsed[0] : parsed
  if (key instanceof Error) return key
  return isParsed(key) ? key : new Error('it holds no key')
}

function isParsed(key: unknown): key is ParsedKey {
  return typeof key === 'object' && key !== null && 'getPublicSSH' in key && 'type' in key
}

function isSameKey(a: Buffer | undefined, b: Buffer): boolean {
  return a?.equals(b) === true
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
