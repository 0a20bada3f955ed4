import fc from 'fast-check'
import t from 'tap'
import { conflictName } from '../../lib/core/conflict-name.ts'
import { isName, utf8Length } from '../../lib/model/path.ts'

const STAMP = { timeMs: Date.UTC(2024, 1, 29, 23, 5, 9, 999), peer: 'ann' }

t.test('the name tells who and when, before the extension', async (t) => {
  const name = conflictName('plan.txt', { kind: 'file', stamp: STAMP, count: 1 })
  t.equal(name, 'plan (conflict ann 2024-02-29 23.05.09).txt')
})

t.test('only the last extension counts, and a leading dot begins none', async (t) => {
  t.equal(
    conflictName('a.tar.gz', { kind: 'file', stamp: STAMP, count: 1 }),
    'a.tar (conflict ann 2024-02-29 23.05.09).gz',
  )
  t.equal(
    conflictName('.bashrc', { kind: 'file', stamp: STAMP, count: 1 }),
    '.bashrc (conflict ann 2024-02-29 23.05.09)',
  )
})

t.test('a directory has no extension', async (t) => {
  t.equal(conflictName('v1.2', { kind: 'dir', stamp: STAMP, count: 1 }), 'v1.2 (conflict ann 2024-02-29 23.05.09)')
})

t.test('copies of one second are counted', async (t) => {
  t.equal(conflictName('a', { kind: 'file', stamp: STAMP, count: 3 }), 'a (conflict ann 2024-02-29 23.05.09 3)')
})

t.test('a copy of a copy carries one suffix', async (t) => {
  for (const count of [1, 2]) {
    const first = conflictName('a.txt', { kind: 'file', stamp: { timeMs: 0, peer: 'bob' }, count })
    t.equal(conflictName(first, { kind: 'file', stamp: STAMP, count: 1 }), 'a (conflict ann 2024-02-29 23.05.09).txt')
  }
})

t.test('a copy of a copy without an extension carries one suffix too', async (t) => {
  for (const [name, kind] of [
    ['.bashrc', 'file'],
    ['v1.2', 'dir'],
    ['two\nlines', 'file'],
  ] as const) {
    const first = conflictName(name, { kind, stamp: { timeMs: 0, peer: 'bob' }, count: 1 })
    t.equal(conflictName(first, { kind, stamp: STAMP, count: 1 }), conflictName(name, { kind, stamp: STAMP, count: 1 }))
  }
})

t.test('a name that is nothing but such a suffix is a name', async (t) => {
  const name = ' (conflict bob 1970-01-01 00.00.00)'
  t.equal(conflictName(name, { kind: 'dir', stamp: STAMP, count: 1 }), `${name} (conflict ann 2024-02-29 23.05.09)`)
})

t.test('a name that only looks a little like a copy keeps what it says', async (t) => {
  const name = conflictName('on (conflict of interest).txt', { kind: 'file', stamp: STAMP, count: 1 })
  t.equal(name, 'on (conflict of interest) (conflict ann 2024-02-29 23.05.09).txt')
})

t.test('a long stem is cut between code points, and the extension kept', async (t) => {
  const name = conflictName(`${'é'.repeat(125)}.txt`, { kind: 'file', stamp: STAMP, count: 1 })
  t.ok(name.endsWith('é (conflict ann 2024-02-29 23.05.09).txt'))
  t.ok(utf8Length(name) <= 255 && utf8Length(name) >= 254)
})

t.test('an extension that leaves no room is cut as part of the stem', async (t) => {
  const name = conflictName(`a.${'b'.repeat(253)}`, { kind: 'file', stamp: STAMP, count: 1 })
  t.equal(utf8Length(name), 255)
  t.ok(name.endsWith('b (conflict ann 2024-02-29 23.05.09)'))
})

t.test('any name by any peer at any time gives a name that a folder can hold, and the date is right', async () => {
  const times = fc.integer({ min: Date.UTC(1960, 0, 1), max: Date.UTC(2400, 0, 1) })
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 90 }).filter(isName),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }).filter((text) => !text.includes('/')),
      times,
      (name, peer, timeMs) => {
        const named = conflictName(name, { kind: 'file', stamp: { timeMs, peer }, count: 1 })
        const date = new Date(timeMs).toISOString().slice(0, 19).replace('T', ' ').replaceAll(':', '.')
        return isName(named) && named.includes(` ${date})`)
      },
    ),
  )
})
