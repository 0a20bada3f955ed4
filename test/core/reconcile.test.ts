import fc from 'fast-check'
import t from 'tap'
import type { Decision, Local } from '../../lib/core/reconcile.ts'
import { reconcile } from '../../lib/core/reconcile.ts'
import type { Entry } from '../../lib/model/entry.ts'
import { sameContent, sameEntry } from '../../lib/model/entry.ts'
import { dir, file, head, row, symlink } from '../support/builders.ts'

const AS_BASE: Local = { kind: 'as-base' }
const GONE: Local = { kind: 'gone' }
const put = (entry: Entry): Local => ({ kind: 'put', entry })
const base = (entry: Entry) => row('a', entry, 3)

const cases: readonly [string, Parameters<typeof reconcile>, Decision][] = [
  ['nothing happened', [base(file(1)), AS_BASE, undefined], { do: 'nothing' }],
  ['nothing is there and nothing was', [undefined, AS_BASE, undefined], { do: 'nothing' }],
  ['what was never agreed on may be gone', [undefined, GONE, undefined], { do: 'nothing' }],
  ['a new file is proposed', [undefined, put(file(1)), undefined], { do: 'propose', base: 0 }],
  ['an edit is proposed on its base', [base(file(1)), put(file(2)), undefined], { do: 'propose', base: 3 }],
  ['a delete is proposed on its base', [base(file(1)), GONE, undefined], { do: 'propose', base: 3 }],
  [
    'the same written again only renews the fingerprint',
    [base(file(1)), put(file(1)), undefined],
    { do: 'adopt', seq: 3 },
  ],
  ['a head comes to an untouched file', [base(file(1)), AS_BASE, head('a', 5, file(2))], { do: 'apply' }],
  ['a delete comes to an untouched file', [base(file(1)), AS_BASE, head('a', 5)], { do: 'apply' }],
  ['a head comes where nothing is', [undefined, AS_BASE, head('a', 5, file(2))], { do: 'apply' }],
  ['a head comes where something never agreed on is gone', [undefined, GONE, head('a', 5, file(2))], { do: 'apply' }],
  ['a delete of nothing is forgotten', [undefined, AS_BASE, head('a', 5)], { do: 'forget' }],
  ['deleted on both sides is forgotten', [base(file(1)), GONE, head('a', 5)], { do: 'forget' }],
  ['an equal head is adopted', [base(file(1)), AS_BASE, head('a', 5, file(1))], { do: 'adopt', seq: 5 }],
  [
    'the same edit on both sides is adopted',
    [base(file(1)), put(file(2)), head('a', 5, file(2))],
    { do: 'adopt', seq: 5 },
  ],
  [
    'equal content at first contact is adopted',
    [undefined, put(file(2)), head('a', 5, file(2))],
    { do: 'adopt', seq: 5 },
  ],
  [
    'equal content at first contact takes the mode of the head',
    [undefined, put(file(2)), head('a', 5, file(2, { mode: 0o600 }))],
    { do: 'apply' },
  ],
  [
    'a directory at first contact takes the mode of the head',
    [undefined, put(dir()), head('a', 5, dir(0o700))],
    { do: 'apply' },
  ],
  [
    'other content at first contact is proposed',
    [undefined, put(file(1)), head('a', 5, file(2))],
    { do: 'propose', base: 0 },
  ],
  ['first contact never deletes', [undefined, put(file(1)), head('a', 5)], { do: 'propose', base: 0 }],
  [
    'two edits are for the coordinator',
    [base(file(1)), put(file(2)), head('a', 5, file(3))],
    { do: 'propose', base: 3 },
  ],
  [
    'a mode on both sides is for the coordinator',
    [base(dir()), put(dir(0o700)), head('a', 5, dir(0o711))],
    { do: 'propose', base: 3 },
  ],
  [
    'an edit is proposed though it was deleted elsewhere',
    [base(file(1)), put(file(2)), head('a', 5)],
    { do: 'propose', base: 3 },
  ],
  [
    'what was edited elsewhere comes back though it was deleted here',
    [base(file(1)), GONE, head('a', 5, file(2))],
    { do: 'apply' },
  ],
  [
    'a head equal to the base is no edit: the delete goes on',
    [base(dir()), GONE, head('a', 5, dir())],
    { do: 'propose', base: 5 },
  ],
  ['written again as it was, it is untouched', [base(file(1)), put(file(1)), head('a', 5, file(2))], { do: 'apply' }],
]

for (const [promise, args, decision] of cases) {
  t.test(promise, async (t) => {
    t.same(reconcile(...args), decision)
  })
}

t.test('a head is only applied over what the coordinator holds, or over nothing', async () => {
  const entries = fc.constantFrom<Entry>(file(1), file(2), file(1, { mode: 0o600 }), dir(), dir(0o700), symlink('x'))
  const maybe = fc.option(entries, { nil: undefined })
  const locals = fc.oneof(fc.constant(AS_BASE), fc.constant(GONE), entries.map(put))
  fc.assert(
    fc.property(maybe, locals, maybe, (old, local, current) => {
      const decision = reconcile(old && base(old), local, head('a', 5, current))
      if (decision.do !== 'apply' || local.kind !== 'put') return true
      return sameEntry(local.entry, old) || sameContent(local.entry, current)
    }),
  )
})
