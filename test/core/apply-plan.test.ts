import t from 'tap'
import { planApply } from '../../lib/core/apply-plan.ts'
import type { ApplyItem, ApplyStep, Holdings } from '../../lib/core/apply-step.ts'
import { EMPTY_DIGEST } from '../../lib/model/digest.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { isBelow } from '../../lib/model/path.ts'
import type { BaseRow } from '../../lib/model/snapshot.ts'
import { dir, file, head, row, symlink } from '../support/builders.ts'

/** What becomes of a path: from what stands there now to what is to stand there. */
type Fate = [path: string, now: Entry | undefined, then: Entry | undefined]

function items(fates: readonly Fate[]): ApplyItem[] {
  return fates.map(([path, now, then], i) => ({ head: head(path, 100 + i, then), base: now && row(path, now) }))
}

function holdings(rows: readonly BaseRow[]): Holdings {
  return {
    heldBy: (sha256) => rows.filter(({ entry }) => entry.kind === 'file' && entry.sha256 === sha256),
    countBelow: (dir) => rows.filter(({ path }) => isBelow(dir, path)).length,
  }
}

/** The plan of these fates, with further rows in the base; each stage as sorted words. */
function plan(fates: readonly Fate[], further: readonly BaseRow[] = []): string[][] {
  const all = items(fates)
  const rows = [...all.flatMap(({ base }) => (base === undefined ? [] : [base])), ...further]
  return planApply(all, holdings(rows)).stages.map((stage) => stage.map(tell).sort())
}

function tell(step: ApplyStep): string {
  const { path } = step.head
  if (step.do === 'move' || step.do === 'move-dir') return `${step.do} ${step.base.path} ${path}`
  if (step.do !== 'write') return `${step.do} ${path}`
  return step.content.from === 'copy' ? `copy ${step.content.row.path} ${path}` : `${step.content.from} ${path}`
}

t.test('nothing to apply has no stages', async (t) => {
  t.same(plan([]), [])
})

t.test('a new tree is made from the top', async (t) => {
  t.same(
    plan([
      ['d/s/f', undefined, file(1)],
      ['d/s', undefined, dir()],
      ['d/l', undefined, symlink('x')],
      ['d', undefined, dir()],
    ]),
    [['make-dir d'], ['link d/l', 'make-dir d/s'], ['fetch d/s/f']],
  )
})

t.test('a tree is removed from the bottom', async (t) => {
  t.same(
    plan([
      ['d', dir(), undefined],
      ['d/s', dir(), undefined],
      ['d/s/f', file(1), undefined],
    ]),
    [['remove d/s/f'], ['remove d/s'], ['remove d']],
  )
})

t.test('what is gone already is only forgotten', async (t) => {
  t.same(plan([['a', undefined, undefined]]), [['forget a']])
})

t.test('an edit is fetched over what stands there, a mode or mtime is set in place', async (t) => {
  const fates: Fate[] = [
    ['a', file(1), file(2)],
    ['b', file(3), file(3, { mode: 0o600 })],
    ['c', dir(), dir(0o711)],
    ['d', symlink('x'), symlink('y')],
    ['e', symlink('x'), file(4)],
    ['f', file(5), symlink('x')],
  ]
  t.same(plan(fates), [['fetch a', 'fetch e', 'link d', 'link f', 'meta b', 'meta c']])
  const [first] = planApply(items([['a', file(1), file(2)]]), holdings([])).stages
  t.match(first, [{ do: 'write', base: { path: 'a' }, entry: file(2) }])
})

t.test('an empty file needs no bytes', async (t) => {
  t.same(plan([['a', undefined, file(0, { sha256: EMPTY_DIGEST })]]), [['empty a']])
})

t.test('a file that is gone and stands elsewhere is renamed, best to the same name', async (t) => {
  t.same(
    plan([
      ['a/x', file(1), undefined],
      ['a/y', file(1), undefined],
      ['b/x', undefined, file(1)],
      ['b/z', undefined, file(1)],
      ['b/w', undefined, file(1)],
    ]),
    [['copy a/x b/w', 'move a/y b/z'], ['move a/x b/x']],
  )
})

t.test('an empty file that is gone is not renamed', async (t) => {
  const empty = file(0, { sha256: EMPTY_DIGEST })
  t.same(
    plan([
      ['a', empty, undefined],
      ['b', undefined, empty],
    ]),
    [['empty b', 'remove a']],
  )
})

t.test('held bytes are copied, from an untouched file if there is one', async (t) => {
  t.same(
    plan(
      [
        ['a', file(1), file(2)],
        ['b', undefined, file(1)],
      ],
      [row('c', file(1))],
    ),
    [['copy c b', 'fetch a']],
  )
})

t.test('a file is copied before it is overwritten, or its fingerprint changes', async (t) => {
  t.same(
    plan([
      ['a', file(1), file(2)],
      ['b', file(3), file(1)],
      ['c', file(4), file(3)],
      ['d', file(5), file(5, { mode: 0o600 })],
      ['e', file(6), file(5)],
    ]),
    [['copy b c', 'copy d e'], ['copy a b', 'meta d'], ['fetch a']],
  )
})

t.test('two files that swap contents cost one fetch', async (t) => {
  t.same(
    plan([
      ['a', file(1), file(2)],
      ['b', file(2), file(1)],
    ]),
    [['copy a b'], ['fetch a']],
  )
})

t.test('each circle of copies is broken once, what hangs on it is copied still', async (t) => {
  const stages = plan([
    ['z', file(9), file(1)],
    ['a', file(1), file(2)],
    ['b', file(2), file(3)],
    ['c', file(3), file(1)],
    ['p', file(11), file(12)],
    ['q', file(12), file(11)],
  ])
  t.equal(stages.flat().length, 6)
  t.equal(stages.flat().filter((step) => step.startsWith('copy')).length >= 3, true)
})

t.test('a file gives way to a directory, and a directory, once empty, to a file', async (t) => {
  t.same(
    plan([
      ['a', file(1), dir()],
      ['a/f', undefined, file(2)],
      ['d', dir(), file(3)],
      ['d/f', file(4), undefined],
      ['e', dir(), symlink('x')],
    ]),
    [
      ['remove a', 'remove d/f', 'remove e'],
      ['link e', 'make-dir a', 'remove d'],
      ['fetch a/f', 'fetch d'],
    ],
  )
})

t.test('a file that becomes a directory which holds it cannot be kept, and is fetched', async (t) => {
  const stages = plan([
    ['a', file(1), dir()],
    ['a/f', undefined, file(1)],
  ])
  t.same(stages, [['remove a'], ['make-dir a'], ['fetch a/f']])
})

t.test('what is in a directory that becomes a file is moved out first', async (t) => {
  t.same(
    plan([
      ['d', dir(), file(3)],
      ['d/f', file(4), undefined],
      ['e', undefined, dir()],
      ['e/f', undefined, file(4)],
    ]),
    [['make-dir e'], ['move d/f e/f'], ['remove d'], ['fetch d']],
  )
})

t.test('a directory that moved whole is one rename, and what is new in it comes after', async (t) => {
  t.same(
    plan(
      [
        ['a', dir(), undefined],
        ['a/s', dir(), undefined],
        ['a/s/f', file(1), undefined],
        ['a/l', symlink('x'), undefined],
        ['n', undefined, dir()],
        ['n/b', undefined, dir()],
        ['n/b/s', undefined, dir()],
        ['n/b/s/f', undefined, file(1)],
        ['n/b/l', undefined, symlink('x')],
        ['n/b/new', undefined, file(2)],
      ],
      [row('a-z', file(9))],
    ),
    [['make-dir n'], ['move-dir a n/b'], ['fetch n/b/new']],
  )
})

t.test('a directory is moved piece by piece when something stays, changed or was not there', async (t) => {
  const moved: Fate[] = [
    ['a', dir(), undefined],
    ['a/f', file(1), undefined],
    ['b', undefined, dir()],
    ['b/f', undefined, file(1)],
  ]
  const pieces = [['make-dir b'], ['move a/f b/f'], ['remove a']]
  t.same(plan(moved, [row('a/stays', file(5))]), pieces, 'something stays')
  const changed = moved.map(([path, now, then]): Fate => [
    path,
    now,
    then?.kind === 'file' ? file(1, { mode: 0o600 }) : then,
  ])
  t.same(plan(changed), pieces, 'a mode changed')
  t.same(
    plan([...moved, ['a/g', file(2), undefined]])
      .flat()
      .includes('move-dir a b'),
    false,
    'one is not there',
  )
  const standing = moved.map(([path, now, then]): Fate => [
    path,
    path === 'b' ? dir() : now,
    path === 'b' ? dir(0o711) : then,
  ])
  t.same(plan(standing).flat().includes('move a/f b/f'), true, 'the target stood there')
})

t.test('an empty directory is not worth a rename', async (t) => {
  t.same(
    plan([
      ['a', dir(), undefined],
      ['a/e', file(0, { sha256: EMPTY_DIGEST }), undefined],
      ['b', undefined, dir()],
      ['b/e', undefined, file(0, { sha256: EMPTY_DIGEST })],
      ['c', undefined, file(3)],
    ]),
    [
      ['fetch c', 'make-dir b', 'remove a/e'],
      ['empty b/e', 'remove a'],
    ],
  )
})

t.test('a directory does not move into itself', async (t) => {
  const stages = plan([
    ['a', dir(), undefined],
    ['a/f', file(1), undefined],
    ['a/b', undefined, dir()],
    ['a/b/f', undefined, file(1)],
  ])
  t.notOk(stages.flat().includes('move-dir a a/b'))
})

t.test('of two equal directories each goes to a place of its own', async (t) => {
  const stages = plan([
    ['a', dir(), undefined],
    ['a/f', file(1), undefined],
    ['b', dir(), undefined],
    ['b/f', file(1), undefined],
    ['c', undefined, dir()],
    ['c/f', undefined, file(1)],
    ['d', undefined, dir()],
    ['d/f', undefined, file(1)],
  ])
  t.same(stages, [['move-dir a c', 'move-dir b d']])
})

t.test('a directory inside one that moved moves with it, not by itself', async (t) => {
  const fates: Fate[] = [
    ['a', dir(), undefined],
    ['a/s', dir(), undefined],
    ['a/s/f', file(1), undefined],
    ['b', undefined, dir()],
    ['b/s', undefined, dir()],
    ['b/s/f', undefined, file(1)],
  ]
  const [[step] = []] = planApply(items(fates), holdings(items(fates).flatMap(({ base }) => base ?? []))).stages
  t.match(step, {
    do: 'move-dir',
    members: [{ gone: { path: 'a/s' } }, { gone: { path: 'a/s/f' }, head: { path: 'b/s/f' } }],
  })
})

t.test('a directory that moved and is closed to its owner is closed last', async (t) => {
  t.same(
    plan([
      ['a', dir(), undefined],
      ['a/f', file(1), undefined],
      ['b', undefined, dir(0o500)],
      ['b/f', undefined, file(1)],
      ['b/g', undefined, dir()],
    ]),
    [['move-dir a b'], ['make-dir b/g'], ['meta b']],
  )
})

t.test('a directory closed to its owner is closed last, and opened first', async (t) => {
  t.same(
    plan([
      ['d', undefined, dir(0o500)],
      ['d/f', undefined, file(1)],
      ['e', dir(0o500), dir(0o700)],
      ['e/f', undefined, file(2)],
      ['g', dir(0o700), dir(0o500)],
      ['g/s/f', file(3), undefined],
    ]),
    [['make-dir d', 'meta e', 'remove g/s/f'], ['fetch d/f', 'fetch e/f', 'meta g'], ['meta d']],
  )
})
