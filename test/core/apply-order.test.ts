import fc from 'fast-check'
import t from 'tap'
import { planApply } from '../../lib/core/apply-plan.ts'
import type { ApplyStep } from '../../lib/core/apply-step.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { sameEntry } from '../../lib/model/entry.ts'
import type { RelPath } from '../../lib/model/path.ts'
import { isBelow, parentOf, rebase, ROOT } from '../../lib/model/path.ts'
import { dir, file, head, rel, row, symlink } from '../support/builders.ts'

type Tree = Map<RelPath, Entry>

const PATHS = ['a', 'a/a', 'a/a/a', 'a/b', 'b', 'b/a', 'b/b', 'c', 'c/a'].map(rel)
const entries = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 4 }).map((content): Entry => file(content)) },
  { weight: 5, arbitrary: fc.constantFrom<Entry>(dir(), dir(0o500)) },
  { weight: 1, arbitrary: fc.constant<Entry>(symlink('x')) },
)

/** A tree: each path has an entry only if its parent is a directory. */
const trees = fc
  .array(fc.option(entries, { nil: undefined }), { minLength: PATHS.length, maxLength: PATHS.length })
  .map((drawn) => {
    const tree: Tree = new Map()
    for (const [i, path] of PATHS.entries()) {
      const entry = drawn[i]
      const parent = parentOf(path)
      if (entry !== undefined && (parent === ROOT || tree.get(parent)?.kind === 'dir')) tree.set(path, entry)
    }
    return tree
  })

/** Carries a step out as a disk would, and refuses what a disk, or its owner, would refuse. */
function carryOut(tree: Tree, step: ApplyStep): void {
  const { path } = step.head
  const enter = (place: RelPath): void => {
    const parent = parentOf(place)
    const above = parent === ROOT ? dir() : tree.get(parent)
    if (above?.kind !== 'dir') throw new Error(`Cannot reach ${place}`)
    if ((above.mode & 0o300) !== 0o300) throw new Error(`Cannot change what is in the directory of ${place}`)
  }
  switch (step.do) {
    case 'forget':
      return
    case 'meta':
      if (step.base !== undefined && !sameEntry(tree.get(path), step.base.entry)) throw new Error(`${path} differs`)
      tree.set(path, step.entry)
      return
    case 'remove':
      enter(path)
      if ([...tree.keys()].some((other) => isBelow(path, other))) throw new Error(`${path} is not empty`)
      tree.delete(path)
      return
    case 'move':
    case 'move-dir': {
      const from = step.base.path
      enter(from)
      enter(path)
      if (tree.has(path) || !sameEntry(tree.get(from), step.base.entry)) throw new Error(`Cannot move ${from} ${path}`)
      for (const [place, entry] of [...tree]) {
        if (place !== from && !isBelow(from, place)) continue
        tree.delete(place)
        tree.set(rebase(place, from, path), entry)
      }
      tree.set(path, step.entry)
      return
    }
    case 'make-dir':
    case 'write':
    case 'link':
      enter(path)
      if (!sameEntry(tree.get(path), step.base?.entry)) throw new Error(`${path} differs`)
      if (step.do === 'write' && step.content.from === 'copy') {
        const { row } = step.content
        if (!sameEntry(tree.get(row.path), row.entry)) throw new Error(`Cannot copy ${row.path}: it differs`)
      }
      tree.set(path, step.entry)
      return
    default:
      step satisfies never
  }
}

t.test(
  'from any tree to any other, every step finds the disk as it expects it, in any order within a stage',
  async () => {
    fc.assert(
      fc.property(trees, trees, fc.boolean(), (now, then, isReversed) => {
        // A closed directory that stays closed cannot be changed inside; that is the writer's trouble, not the order's.
        for (const [path, entry] of now) {
          if (entry.kind === 'dir' && !sameEntry(then.get(path), dir())) now.set(path, dir())
        }
        const rows = [...now].map(([path, entry]) => row(path, entry))
        const byPath = new Map(rows.map((one) => [one.path, one]))
        const items = PATHS.filter((path) => !sameEntry(now.get(path), then.get(path))).map((path) => ({
          head: head(path, 9, then.get(path)),
          base: byPath.get(path),
        }))
        const { stages } = planApply(items, {
          heldBy: (sha256) => rows.filter(({ entry }) => entry.kind === 'file' && entry.sha256 === sha256),
          countBelow: (dir) => rows.filter(({ path }) => isBelow(dir, path)).length,
        })
        const tree = new Map(now)
        for (const stage of stages) for (const step of isReversed ? [...stage].reverse() : stage) carryOut(tree, step)
        return tree.size === then.size && [...then].every(([path, entry]) => sameEntry(tree.get(path), entry))
      }),
      { numRuns: 3000 },
    )
  },
)
