// Digests: the names of contents.

import type { Brand } from './brand.ts'

/** SHA-256 of a content, 64 lower-case hex digits. */
export type Digest = Brand<string, 'Digest'>

/** Parses untrusted text into a `Digest`; `undefined` when it is not one. */
export function parseDigest(text: string): Digest | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? (text as Digest) : undefined
}

/** The digest of the empty content. */
export const EMPTY_DIGEST = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' as Digest
