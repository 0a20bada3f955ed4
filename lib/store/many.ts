// Many: reads rows by many keys at once, with statements of a few fixed lengths, so that each of them stays prepared.

import type { Database } from './database.ts'
import type { Row, Value } from './engine.ts'

/** One query in several lengths, the longest first. */
export type Many = readonly { readonly sql: string; readonly keys: number }[]

/** So many keys a statement takes. Longer ones are hardly faster. */
const LENGTHS = [64, 8, 1]

/** The query `sqlOf` in each length; it gets a list of keys, as it goes after `IN`. `key` is one of them: `(?)` or `(?, ?)`. */
export function many(key: string, sqlOf: (keys: string) => string): Many {
  return LENGTHS.map((keys) => ({ sql: sqlOf(`(VALUES ${Array<string>(keys).fill(key).join(', ')})`), keys }))
}

/** The rows of all `keys`, in any order. A key that comes twice may give its row twice. */
export function readMany<T>(
  db: Database,
  query: Many,
  keys: readonly (readonly Value[])[],
  parse: (row: Row) => T,
): T[] {
  const found: T[] = []
  for (let from = 0; from < keys.length;) {
    const left = keys.length - from
    const fit = query.findLast((length) => length.keys >= left) ?? query[0]
    if (fit === undefined) throw new Error('Cannot read rows: the query has no length')
    const some = keys.slice(from, from + fit.keys)
    const last = some.at(-1) ?? []
    while (some.length < fit.keys) some.push(last) // the same key again asks for nothing more
    for (const one of db.all(parse, fit.sql, ...some.flat())) found.push(one)
    from += fit.keys
  }
  return found
}
