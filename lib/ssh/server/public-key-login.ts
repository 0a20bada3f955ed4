// Whether a login with a public key is good: the checks that ssh2 leaves to its user (RFC 4252 section 7, RFC 8332).

import ssh2, { type ParsedKey, type PublicKeyAuthContext } from 'ssh2'
import { fingerprintOf } from '../fingerprint.ts'

const { utils } = ssh2

/** A public key as a peer offers it. */
export interface OfferedKey {
  readonly type: string
  readonly blob: Buffer
  readonly fingerprint: string
}

/** What the person who runs the coordinator says of a key. */
export type IsAuthorised = (key: OfferedKey, username: string, remoteAddress: string) => boolean | Promise<boolean>

/**
 * `proved`: the key may log in and the peer holds it. `welcome`: the key may log in; the peer has yet to prove that it holds it.
 */
export type LoginVerdict =
  | { readonly kind: 'proved' | 'welcome'; readonly key: OfferedKey }
  | { readonly kind: 'refused'; readonly reason: string }

/** Keys below this are refused, as by OpenSSH's RequiredRSASize of its stricter distributions. Bits. */
const RSA_MIN_BITS = 2048

export async function judgeLogin(
  context: PublicKeyAuthContext,
  remoteAddress: string,
  isAuthorised: IsAuthorised,
): Promise<LoginVerdict> {
  const { algo, data } = context.key
  const key: OfferedKey = { type: algo, blob: data, fingerprint: fingerprintOf(data) }
  // ssh2 says 'ssh-rsa' for every RSA key; without a hash named it is a signature over SHA-1.
  if (algo === 'ssh-rsa' && context.hashAlgo === undefined) return refused('SHA-1 signatures are not accepted')
  // The blob is parsed only after it was found equal to one that is trusted.
  if (!(await isAuthorised(key, context.username, remoteAddress)))
    return refused(`${key.fingerprint} is not authorised`)
  const parsed = utils.parseKey(data)
  if (parsed instanceof Error || parsed.type !== algo) return refused(`${key.fingerprint} is not a key of type ${algo}`)
  if (algo === 'ssh-rsa' && rsaBits(data) < RSA_MIN_BITS) return refused(`RSA keys need ${RSA_MIN_BITS} bits`)
  if (context.signature === undefined) return { kind: 'welcome', key }
  return isProof(context, parsed) ? { kind: 'proved', key } : refused(`the signature of ${key.fingerprint} is wrong`)
}

function isProof({ blob, signature, hashAlgo }: PublicKeyAuthContext, key: ParsedKey): boolean {
  // `verify` may give an Error, which is truthy.
  return blob !== undefined && signature !== undefined && key.verify(blob, signature, hashAlgo) === true
}

/** Length of the modulus: string type, mpint e, mpint n. */
function rsaBits(blob: Buffer): number {
  let at = 0
  let length = 0
  for (let field = 0; field < 3; field++) {
    at += length
    if (at + 4 > blob.length) return 0
    length = blob.readUInt32BE(at)
    at += 4
  }
  const modulus = blob.subarray(at, at + length)
  const first = modulus.findIndex((byte) => byte !== 0)
  return first < 0 ? 0 : (modulus.length - first) * 8 - Math.clz32(modulus[first] ?? 0) + 24
}

function refused(reason: string): LoginVerdict {
  return { kind: 'refused', reason }
}
