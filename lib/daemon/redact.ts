// Redaction: what never reaches a log.

const SECRET_FIELD = /^(?:.*[-_.])?(?:key|private_?key|token|secret|passphrase|password|code|nonce|session|signature)$/i
const DEEPEST = 12
/** Of a longer list only so many are told: a log is no copy of the data. */
const MOST_SHOWN = 16

/**
 * A copy of `value` in which texts under names such as `key`, `token`, `secret`, `passphrase` or `code` are replaced. Numbers stay (an error's
 * `code` tells no secret). What lies deeper than 12 levels is left out, and so is all but the start of a long list.
 */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEEPEST) return '[deeper]'
  if (Array.isArray(value)) {
    const shown = value.slice(0, MOST_SHOWN).map((part) => redact(part, depth + 1))
    return value.length <= MOST_SHOWN ? shown : [...shown, `[${String(value.length - MOST_SHOWN)} more]`]
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [
      name,
      SECRET_FIELD.test(name) && isSecretValue(part) ? '[secret]' : redact(part, depth + 1),
    ]),
  )
}

function isSecretValue(value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
}
