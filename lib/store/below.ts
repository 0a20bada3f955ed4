// Below: walks the rows of a table with key (parent, name) that are below a directory, in bounded pages.

import { pathValues } from './columns.ts'
import { ROOT } from '../model/path.ts'
import type { DirPath, RelPath } from '../model/path.ts'
import type { Value } from './engine.ts'

/** Reads the rows that fit `where`, in its order and number. `where` is one of two texts: it can stay prepared. */
export type ReadRows<T> = (where: string, values: readonly Value[]) => T[]

const PAGE_ROWS = 1000
const CHILDREN = 'parent = ? AND name > ? ORDER BY parent, name LIMIT ?'
const DEEPER = 'parent < ? AND (parent, name) > (?, ?) ORDER BY parent, name LIMIT ?'

/** All rows below `dir`, each directory before what is in it. Of rows that change between two pages, either state may be seen. */
export function* below<T>(dir: DirPath, pathOf: (row: T) => RelPath, read: ReadRows<T>): IterableIterator<T> {
  yield* pages(['', ''], pathOf, (_, name) => read(CHILDREN, [dir, name, PAGE_ROWS]))
  const [from, before] = deepRange(dir)
  yield* pages([from, ''], pathOf, (parent, name) => read(DEEPER, [before, parent, name, PAGE_ROWS]))
}

/** The first `limit` rows below `dir`, in the same order. */
export function firstBelow<T>(dir: DirPath, limit: number, read: ReadRows<T>): T[] {
  const near = read(CHILDREN, [dir, '', limit])
  if (near.length >= limit) return near
  const [from, before] = deepRange(dir)
  return [...near, ...read(DEEPER, [before, from, '', limit - near.length])]
}

/** The range of `parent` (from the first to before the second) that holds all rows below `dir` but its own children. */
export function deepRange(dir: DirPath): readonly [from: string, before: Value] {
  if (dir === ROOT) return ['\u0001', new Uint8Array(1)] // a blob sorts after every text
  return [`${dir}/`, `${dir}0`] // '0' follows '/'
}

function* pages<T>(
  start: readonly [parent: string, name: string],
  pathOf: (row: T) => RelPath,
  read: (parent: string, name: string) => T[],
): IterableIterator<T> {
  let after = start
  for (;;) {
    const page = read(...after)
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE_ROWS) return
    after = pathValues(pathOf(last))
  }
}
