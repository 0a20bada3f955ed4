// Fingerprints: the short names of public keys that people compare.

import { createHash } from 'node:crypto'

/** `SHA256:` and the unpadded base64 of the digest of a public key in wire format (RFC 4253 section 6.6), as `ssh-keygen -l` prints it. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}
