// Reads single values of the configuration: each reader gives the value, or says what would be right.

import { isIP } from 'node:net'
import type { MaxDelete, Versions } from './config.ts'

export type Read<Value> = { readonly value: Value } | { readonly wanted: string }

export type Reader<Value> = (text: string) => Read<Value>

/** One of `choices`, in any case. */
export function oneOf<Choice extends string>(...choices: readonly Choice[]): Reader<Choice> {
  return (text) => {
    const choice = choices.find((candidate) => candidate === text.toLowerCase())
    return choice === undefined ? { wanted: `one of ${choices.join(', ')}` } : { value: choice }
  }
}

/** A comma-separated list; empty text is an empty list. */
export function readList(text: string): Read<string[]> {
  if (text === '') return { value: [] }
  const parts = text.split(',').map((part) => part.trim())
  return parts.includes('') ? { wanted: 'a list such as "a, b", with no empty part' } : { value: parts }
}

export function readPort(text: string): Read<number> {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65535 ? { value: port } : { wanted: 'a port from 1 to 65535' }
}

/** An IPv4 or IPv6 address (brackets are taken off), or a host name. */
export function readAddress(text: string): Read<string> {
  const address = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (isIP(address) !== 0) return { value: address }
  const isName = address.length <= 253 && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(address) && !/^[\d.]+$/.test(address)
  return isName ? { value: address } : { wanted: 'an IP address such as 192.168.1.10, or a host name' }
}

export function readUser(text: string): Read<string> {
  return /^[a-z0-9_][a-z0-9_.@-]*\$?$/i.test(text) ? { value: text } : { wanted: 'a user name such as shailesh' }
}

/** `~`, `~/rest` or an absolute path. */
export function readPath(text: string): Read<string> {
  if (text.includes('\0')) return { wanted: 'a path without NUL' }
  return /^(?:\/|~$|~\/)/.test(text) ? { value: text } : { wanted: 'an absolute path, or one that starts with "~/"' }
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `50ms`, `2s`, `5m`, `1h`, `7d`; in ms. */
export function readDuration(text: string): Read<number> {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/i.exec(text) ?? []
  const ms = Number(digits) * (UNIT_MS[unit?.toLowerCase() ?? ''] ?? Number.NaN)
  return Number.isFinite(ms) && ms <= 3650 * 86_400_000
    ? { value: Math.round(ms) }
    : { wanted: 'a time with its unit, such as 50ms, 2s, 5m, 1h or 7d' }
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** `0`, `500`, `64K`, `1.5M`, `2G`; in bytes (K = 1024). */
export function readSize(text: string): Read<number> {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([kmg]?)$/i.exec(text) ?? []
  const bytes = Number(digits) * (UNIT_BYTES[unit?.toLowerCase() ?? ''] ?? Number.NaN)
  return Number.isSafeInteger(Math.round(bytes))
    ? { value: Math.round(bytes) }
    : { wanted: 'bytes per second such as 0, 500K, 2M or 1G' }
}

/** `50%`, or `off`. */
export function readMaxDelete(text: string): Read<MaxDelete> {
  if (text.toLowerCase() === 'off') return { value: { kind: 'off' } }
  const [, digits] = /^(\d+(?:\.\d+)?)\s*%$/.exec(text) ?? []
  const share = Number(digits ?? Number.NaN) / 100
  return share >= 0 && share <= 1 ? { value: { kind: 'share', share } } : { wanted: 'a share from 0% to 100%, or off' }
}

/** `30d`, `10`, `all` or `none`. */
export function readVersions(text: string): Read<Versions> {
  const low = text.toLowerCase()
  if (low === 'all' || low === 'none') return { value: { kind: low } }
  const [, digits, unit] = /^(\d{1,7})\s*(d?)$/.exec(low) ?? []
  const count = Number(digits ?? Number.NaN)
  if (!(count >= 1)) return { wanted: 'days such as 30d, a number of revisions such as 10, all, or none' }
  return { value: unit === 'd' ? { kind: 'days', days: count } : { kind: 'count', count } }
}

/** The name of a folder or a client: it is also the name of a directory. */
export function readName(text: string): Read<string> {
  const isGood = /^[a-z0-9_][a-z0-9._-]{0,63}$/i.test(text)
  return isGood
    ? { value: text }
    : { wanted: 'a name of at most 64 letters, digits, "_", "-" and ".", that does not start with "-" or "."' }
}
