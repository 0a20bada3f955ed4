// Looks at real folders: what stands in them, whether they are equal, and where they differ.
import { createHash } from 'node:crypto'
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** Path (bytes that are not UTF-8 as `\xNN`) to what is synced of it, as one line. */
export type Tree = ReadonlyMap<string, string>

/** Digests of files that have not changed since they were last looked at, by inode and times. */
export type DigestCache = Map<string, string>

/** What stands below `root`, `.systemsync` at its top left out. A root that is missing is one line saying so. */
export function treeOf(root: string, cache: DigestCache = new Map()): Tree {
  const tree = new Map<string, string>()
  walk(Buffer.from(root), '', { tree, cache })
  return tree
}

/** Names of all that stands in `left` or `right` and not alike in both, with both sides; at most `limit` lines. */
export function differences(left: Tree, right: Tree, limit = 20): string[] {
  const paths = [...new Set([...left.keys(), ...right.keys()])].sort()
  const lines = paths
    .filter((path) => left.get(path) !== right.get(path))
    .map((path) => `${JSON.stringify(path)}: ${left.get(path) ?? 'absent'} | ${right.get(path) ?? 'absent'}`)
  return lines.length <= limit ? lines : [...lines.slice(0, limit), `… and ${lines.length - limit} more`]
}

/** A name as `status` shows it: text when it is UTF-8, else with `\xNN` for every byte that is not. */
export function shown(name: Buffer): string {
  const text = name.toString('utf8')
  if (Buffer.from(text, 'utf8').equals(name)) return text
  return [...name].map((byte) => (byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`)).join('')
}

export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

interface Walk {
  readonly tree: Map<string, string>
  readonly cache: DigestCache
}

function walk(dir: Buffer, prefix: string, into: Walk): void {
  let names: Buffer[]
  try {
    names = readdirSync(dir, { encoding: 'buffer' })
  } catch (error) {
    into.tree.set(prefix === '' ? '.' : prefix, `unreadable: ${(error as NodeJS.ErrnoException).code ?? ''}`)
    return
  }
  for (const name of names) {
    if (prefix === '' && name.toString() === '.systemsync') continue
    const place = Buffer.concat([dir, Buffer.from('/'), name])
    const path = prefix === '' ? shown(name) : `${prefix}/${shown(name)}`
    try {
      look(place, path, into)
    } catch (error) {
      // It may go while we look; the next look tells.
      into.tree.set(path, `unstable: ${(error as NodeJS.ErrnoException).code ?? String(error)}`)
    }
  }
}

function look(place: Buffer, path: string, into: Walk): void {
  const stat = lstatSync(place, { bigint: true })
  const mode = (Number(stat.mode) & 0o777).toString(8)
  if (stat.isSymbolicLink()) into.tree.set(path, `link to ${readlinkSync(place)}`)
  else if (stat.isDirectory()) {
    into.tree.set(path, `dir ${mode}`)
    walk(place, path, into)
  } else if (stat.isFile()) {
    const key = `${stat.dev} ${stat.ino} ${stat.ctimeNs} ${stat.size}`
    const digest = into.cache.get(key) ?? sha256(readFileSync(place))
    into.cache.set(key, digest)
    into.tree.set(path, `file ${mode} ${stat.size} ${stat.mtimeNs} ${digest.slice(0, 12)}`)
  } else into.tree.set(path, 'special')
}
