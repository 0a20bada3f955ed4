// The `from=` option of authorized_keys: from which addresses a key may be used (ssh_config(5), PATTERNS). Names are never looked up.

import { BlockList, isIP } from 'node:net'

/**
 * Whether `patterns` admit `address`. A pattern is an address, one with `*` and `?`, or a network `address/bits`; with `!` in front it forbids.
 * A host name admits nobody, and forbids everybody: what cannot be decided here is refused.
 */
export function matchesFrom(patterns: readonly string[], address: string): boolean {
  const from = plainAddress(address)
  let admitted = false
  for (const pattern of patterns) {
    if (!pattern.startsWith('!')) admitted ||= matches(pattern, from) ?? false
    else if (matches(pattern.slice(1), from) ?? true) return false
  }
  return admitted
}

/** An IPv4 address that came in over an IPv6 socket, as IPv4. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '').toLowerCase()
}

/** `undefined`: cannot be decided from an address alone. */
function matches(pattern: string, address: string): boolean | undefined {
  const plain = pattern.toLowerCase()
  const network = /^([0-9a-f.:]+)\/(\d{1,3})$/.exec(plain)
  if (network !== null) return inNetwork(network[1] ?? '', Number(network[2]), address)
  const spellsAddress = /^[0-9.*?]+$/.test(plain) || /^(?=.*:)[0-9a-f.:*?]+$/.test(plain)
  if (!spellsAddress) return undefined
  const wanted = plain.replace(/[.]/g, '\\.').replace(/\*+/g, '.*').replace(/\?/g, '.')
  return new RegExp(`^${wanted}$`).test(address)
}

function inNetwork(base: string, bits: number, address: string): boolean | undefined {
  const family = isIP(base)
  if (family === 0 || bits > (family === 4 ? 32 : 128)) return undefined
  if (isIP(address) !== family) return false
  const type = family === 4 ? 'ipv4' : 'ipv6'
  const list = new BlockList()
  list.addSubnet(base, bits, type)
  return list.check(address, type)
}
