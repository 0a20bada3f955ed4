// Unheard: what was proposed and not answered yet, kept so that a lost answer can be told from later news.

import { z } from 'zod'
import { parseDigest } from '../model/digest.ts'
import { parseRelPath } from '../model/path.ts'
import type { Said, SaidMove } from '../model/snapshot.ts'
import { number, text } from './columns.ts'
import type { Database } from './database.ts'
import { RowFault } from './database.ts'
import type { Row } from './engine.ts'

/** One batch: proposals of paths, or moves of directories. */
export interface Saying {
  readonly said: readonly Said[]
  readonly moves: readonly SaidMove[]
}

/** A batch that was noted, by its number. */
export interface NotedSaying extends Saying {
  readonly id: number
}

export const UNHEARD_TABLE = 'CREATE TABLE unheard (id INTEGER PRIMARY KEY, saying TEXT NOT NULL);'

const path = parsed(parseRelPath, 'a path')
const digest = parsed(parseDigest, 'a digest')
const print = z.strictObject({
  kind: z.enum(['file', 'dir', 'link']),
  size: z.number(),
  mtimeNs: z.string(),
  ctimeNs: z.string(),
  ino: z.string(),
  mode: z.number(),
})
const entry = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('file'), size: z.number(), mtimeNs: z.string(), mode: z.number(), sha256: digest }),
  z.strictObject({ kind: z.literal('dir'), mode: z.number() }),
  z.strictObject({ kind: z.literal('link'), target: z.string() }),
])
const saying = z.strictObject({
  said: z.array(z.strictObject({ path, entry: entry.optional(), print: print.optional() })),
  moves: z.array(z.strictObject({ from: path, to: path, print })),
})

/** The batches of one base that wait for an answer. One row each, as JSON: it is read only after an answer was lost. */
export class Unheard {
  readonly #db: Database
  /** The number given last; no number is given twice by one process. */
  #last: number | undefined

  constructor(db: Database) {
    this.#db = db
  }

  /** Notes a batch before it is proposed. Gives its number. */
  note(batch: Saying): number {
    this.#last ??= this.#db.get((row) => number(row, 'last'), 'SELECT coalesce(max(id), 0) AS last FROM unheard') ?? 0
    this.#last += 1
    this.#db.run('INSERT INTO unheard (id, saying) VALUES (?, ?)', this.#last, JSON.stringify(batch))
    return this.#last
  }

  /** The batch was answered. */
  heard(id: number): void {
    this.#db.run('DELETE FROM unheard WHERE id = ?', id)
  }

  /** All that was not answered, oldest first. */
  all(): NotedSaying[] {
    return this.#db.all(readSaying, 'SELECT id, saying FROM unheard ORDER BY id')
  }

  /** The batch of that number, as long as it is not answered. */
  find(id: number): NotedSaying | undefined {
    return this.#db.get(readSaying, 'SELECT id, saying FROM unheard WHERE id = ?', id)
  }

  clear(): void {
    this.#db.run('DELETE FROM unheard')
  }
}

function readSaying(row: Row): NotedSaying {
  const read = saying.safeParse(JSON.parse(text(row, 'saying')))
  if (!read.success) throw new RowFault('a batch that waits for its answer is no batch')
  const { said, moves } = read.data
  return {
    id: number(row, 'id'),
    said: said.map((one) => ({ path: one.path, entry: one.entry, print: one.print })),
    moves,
  }
}

function parsed<T>(parse: (value: string) => T | undefined, what: string): z.ZodType<T> {
  return z.string().transform((value, context): T => {
    const found = parse(value)
    if (found !== undefined) return found
    context.addIssue({ code: 'custom', message: `not ${what}` })
    return z.NEVER
  })
}
