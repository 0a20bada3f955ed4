// The host key of the embedded server: an ed25519 key in a file of its own, made at first start.

import { randomBytes } from 'node:crypto'
import { chmod, link, lstat, open, readFile, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import ssh2, { type ParsedKey } from 'ssh2'
import { fingerprintOf } from '../fingerprint.ts'
import { ConfigError } from '../../errors.ts'
import type { Log } from '../../daemon/log.ts'

const { utils } = ssh2

/** A private key in OpenSSH's format, and the public one: its text for known_hosts (`type base64`) and its fingerprint. */
export interface HostKey {
  readonly privateText: string
  readonly publicText: string
  readonly fingerprint: string
}

/**
 * Loads the host key at `file`, or makes one (0600, whole or not at all). A key that others can read is made private, with a warning.
 * Throws `ConfigError` when the file is no usable key; it is never replaced, for clients remember the key.
 */
export async function loadHostKey(file: string, log: Pick<Log, 'info' | 'warn'>): Promise<HostKey> {
  const known = await readKey(file, log)
  if (known !== undefined) return known
  const made = makeHostKey()
  await publish(file, made.privateText)
  log.info(`Made the host key "${file}"`, { fingerprint: made.fingerprint })
  // Whoever came first has made it: what stands there counts.
  return (await readKey(file, log)) ?? made
}

/** A new ed25519 key. */
export function makeHostKey(): HostKey {
  for (;;) {
    // ssh2 1.17 mis-encodes about 1 in 300 ed25519 keys (a leading zero byte is lost) and then cannot read them.
    const { private: privateText } = utils.generateKeyPairSync('ed25519', { comment: 'systemsync host key' })
    const key = utils.parseKey(privateText)
    if (!(key instanceof Error) && canSign(key)) return describe(privateText, key)
  }
}

async function readKey(file: string, log: Pick<Log, 'warn'>): Promise<HostKey | undefined> {
  const stat = await lstat(file).catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new ConfigError(`Cannot read the host key "${file}"`, { cause })
  })
  if (stat === undefined) return undefined
  if (!stat.isFile()) throw new ConfigError(`Cannot use the host key "${file}": it is not a regular file`)
  if ((stat.mode & OTHERS) !== 0) {
    await chmod(file, PRIVATE)
    log.warn(`Made the host key "${file}" private: others could read it`, { hint: 'Replace it if they may have' })
  }
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(`Cannot read the host key "${file}"`, { cause })
  })
  const key = utils.parseKey(text)
  if (key instanceof Error || !key.isPrivateKey() || !canSign(key)) {
    throw new ConfigError(
      `Cannot use the host key "${file}": it is not a private key without a passphrase in OpenSSH's format`,
      {
        hint: 'Move it away and start again: a new one is made, and clients have to accept it',
        ...(key instanceof Error ? { cause: key } : {}),
      },
    )
  }
  return describe(text, key)
}

const PRIVATE = 0o600
const OTHERS = 0o077

function describe(privateText: string, key: ParsedKey): HostKey {
  const blob = key.getPublicSSH()
  return { privateText, publicText: `${key.type} ${blob.toString('base64')}`, fingerprint: fingerprintOf(blob) }
}

/** Whether the two halves belong together. */
function canSign(key: ParsedKey): boolean {
  const probe = randomBytes(32)
  const signature = key.sign(probe)
  return Buffer.isBuffer(signature) && key.verify(probe, signature) === true
}

/** Writes `text` beside `file`, syncs it, and links it into place unless something stands there already. */
async function publish(file: string, text: string): Promise<void> {
  const staged = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    await writeSynced(staged, text)
    await link(staged, file).catch((cause: unknown) => {
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause
    })
    await syncDirectory(dirname(file))
  } catch (cause) {
    throw new ConfigError(`Cannot make the host key "${file}"`, { cause })
  } finally {
    await unlink(staged).catch(() => undefined) // Never made, when writing it failed.
  }
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', PRIVATE)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
