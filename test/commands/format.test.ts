import t from 'tap'
import { localTime, plural, size, sizeOf, table, visible } from '../../lib/commands/format.ts'

t.test('columns are aligned, without blanks at the end of a line', async (t) => {
  t.equal(table([['a', 'bb', 'c'], ['aaa', 'b', ''], ['x']]), 'a    bb  c\naaa  b\nx\n')
  t.equal(table([]), '')
})

t.test('sizes are short, in one unit with what they are part of', async (t) => {
  t.same([0, 999, 1000, 1234, 120_000, 3.4e9, 1e18].map(size), [
    '0 B',
    '999 B',
    '1 KB',
    '1.2 KB',
    '120 KB',
    '3.4 GB',
    '1000 PB',
  ])
  t.equal(sizeOf(1.2e9, 3.4e9), '1.2/3.4 GB')
  t.equal(sizeOf(0, 0), '0/0 B')
})

t.test('times, counts and hostile names are made readable', async (t) => {
  t.match(localTime('2026-01-02T03:04:05.678Z'), /^2026-01-0\d \d\d:\d\d:05$/)
  t.equal(localTime('\u001bnever'), '\\x1bnever')
  t.same([plural(1, 'file'), plural(2, 'file')], ['1 file', '2 files'])
  t.equal(visible('a\u001b[2Jb\n'), 'a\\x1b[2Jb\\x0a')
})
