// Virtual paths: what an SFTP client calls a place, as a list of names.

const MAX_PATH_BYTES = 4096

/**
 * The names of `path`, seen from the root: `.` and empty parts are left out, `..` goes up but never above the root.
 * `undefined` when it holds a NUL, is not UTF-8 any more (`path` comes from a decoder, so: a lone surrogate) or is too long.
 */
export function parseVirtualPath(path: string): string[] | undefined {
  if (path.length > MAX_PATH_BYTES || path.includes('\0') || !path.isWellFormed()) return undefined
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue
    if (name === '..') names.pop()
    else names.push(name)
  }
  return names
}

/** The canonical spelling of `names`. */
export function virtualPath(names: readonly string[]): string {
  return `/${names.join('/')}`
}
