// Trust in one server for one connection: which kinds of key to ask for, whether the key it shows is its own, and what to remember.

import { Unauthorised } from '../../errors.ts'
import { fingerprintOf } from '../fingerprint.ts'
import { KnownHosts, knownHostsLine, knownHostsName, type KnownHostsPlace } from './known-hosts.ts'

/** `yes`: only keys that are known. `accept-new`: the first key of a host is remembered. A changed key is never accepted. */
export type HostKeyChecking = 'yes' | 'accept-new'

export interface HostToCheck {
  readonly address: string
  readonly port: number
  /** The first is the one that new keys are added to. */
  readonly knownHosts: readonly string[]
  readonly hostKeyChecking: HostKeyChecking
}

/** Signature algorithms by type of key, best first; SHA-1 is not among them. */
const ALGORITHMS = [
  ['ssh-ed25519', 'ssh-ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256'],
  ['ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp384'],
  ['ecdsa-sha2-nistp521', 'ecdsa-sha2-nistp521'],
  ['rsa-sha2-512', 'ssh-rsa'],
  ['rsa-sha2-256', 'ssh-rsa'],
] as const

export type HostKeyAlgorithm = (typeof ALGORITHMS)[number][0]

/** Judges the key of one host. */
export class HostKeyCheck {
  readonly #host: HostToCheck
  readonly #known: KnownHosts
  #blob: Buffer | undefined
  #isNew = false
  #refusal: Unauthorised | undefined

  private constructor(host: HostToCheck, known: KnownHosts) {
    this.#host = host
    this.#known = known
  }

  /** Reads the files anew, as they may have been mended since. Throws `Unauthorised` when one cannot be read. */
  static async load(host: HostToCheck): Promise<HostKeyCheck> {
    try {
      return new HostKeyCheck(host, await KnownHosts.load(host.knownHosts))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new Unauthorised(`Cannot check the host key of ${nameOf(host)}: ${reason}`, {
        cause: error,
        retry: 'later',
      })
    }
  }

  /** The key that was accepted, in wire form. */
  get blob(): Buffer | undefined {
    return this.#blob
  }

  /** Why the key was refused. */
  get refusal(): Unauthorised | undefined {
    return this.#refusal
  }

  /** Algorithms to offer: those of known keys first, so that the server shows a key that can be compared. */
  algorithms(): HostKeyAlgorithm[] {
    const known = this.#known.keyTypes(this.#host.address, this.#host.port)
    const first = ALGORITHMS.filter(([, type]) => known.includes(type))
    const rest = ALGORITHMS.filter(([, type]) => !known.includes(type))
    return [...first, ...rest].map(([algorithm]) => algorithm)
  }

  /** Whether the server may show this key; called again whenever the connection changes its keys. */
  accepts(blob: Buffer): boolean {
    if (this.#blob !== undefined) return this.#blob.equals(blob)
    const { address, port } = this.#host
    const verdict = this.#known.check(address, port, typeOf(blob), blob)
    if (verdict === 'unknown' && this.#host.hostKeyChecking === 'accept-new') this.#isNew = true
    else if (verdict !== 'known') this.#refusal = this.#refuse(verdict, blob)
    if (this.#refusal !== undefined) return false
    // ssh2 reuses its buffers.
    this.#blob = Buffer.from(blob)
    return true
  }

  /** Records a new key, once the server has proved that it owns it. Tells the sentence for the log when it did. Throws `Unauthorised`. */
  async remember(): Promise<string | undefined> {
    const blob = this.#blob
    if (!this.#isNew || blob === undefined) return undefined
    const { address, port } = this.#host
    try {
      const file = await this.#known.add(address, port, typeOf(blob), blob)
      return `trusting the new host key ${fingerprintOf(blob)} of ${nameOf(this.#host)}, added to "${file}"`
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#refusal = new Unauthorised(`Cannot remember the host key of ${nameOf(this.#host)}: ${reason}`, {
        cause: error,
        retry: 'later',
        hint: 'Make the known_hosts file writable, or name another with known-hosts in [systemsync.ssh]',
      })
      throw this.#refusal
    }
  }

  #refuse(verdict: 'unknown' | 'revoked' | ({ kind: 'changed' } & KnownHostsPlace), blob: Buffer): Unauthorised {
    const host = nameOf(this.#host)
    const { address, port, knownHosts } = this.#host
    const seen = `${typeOf(blob)} ${fingerprintOf(blob)}`
    if (verdict === 'revoked') {
      return new Unauthorised(`Cannot trust ${host}: its key ${seen} is marked @revoked in known_hosts`, {
        code: 'HOST_KEY_REVOKED',
        hint: 'Somebody may be posing as the server; ask its owner for a new host key',
      })
    }
    if (verdict === 'unknown') {
      return new Unauthorised(`Cannot trust ${host}: its key ${seen} is unknown and host-key-checking is yes`, {
        code: 'HOST_KEY_UNKNOWN',
        hint: `If the fingerprint is right: echo '${knownHostsLine(address, port, typeOf(blob), blob)}' >> ${knownHosts[0] ?? '~/.ssh/known_hosts'}`,
      })
    }
    const { file, line } = verdict
    return new Unauthorised(`Cannot trust ${host}: its key is ${seen}, but ${file}:${line} has another`, {
      code: 'HOST_KEY_CHANGED',
      hint: `Somebody may be posing as the server. If it was reinstalled, remove that line: ssh-keygen -R '${knownHostsName(address, port)}' -f ${file}`,
    })
  }
}

function nameOf({ address, port }: HostToCheck): string {
  return `${address} port ${port}`
}

/** A key in wire form begins with its type, as a length-prefixed string. */
function typeOf(blob: Buffer): string {
  const length = blob.length < 4 ? 0 : blob.readUInt32BE(0)
  return blob.toString('latin1', 4, Math.min(4 + length, 4 + 64))
}
