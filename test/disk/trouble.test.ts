import t from 'tap'
import { codeOf, displayOf, isAbsence, laterProblemOf, problemOf } from '../../lib/disk/trouble.ts'

const failing = (code: string): Error => Object.assign(new Error(code), { code })

t.test('every known error of the disk becomes a reason and something to do', async (t) => {
  t.match(problemOf('a', failing('ENOSPC')), {
    path: 'a',
    reason: 'no space left on the disk',
    todo: /Free some space/,
  })
  t.match(problemOf('a', failing('EACCES')), { reason: 'permission denied' })
  t.match(problemOf('a', failing('EXDEV')), { reason: /another file system/ })
  t.match(problemOf('a', failing('ENOTBLK')), { reason: 'the disk answered ENOTBLK', todo: /system log/ })
})

t.test('what is no error of the disk is a bug and stays an error', async (t) => {
  const bug = new TypeError('no such method')
  t.throws(() => problemOf('a', bug), bug)
  t.throws(() => problemOf('a', failing('ERR_INVALID_ARG_TYPE')), { code: 'ERR_INVALID_ARG_TYPE' })
  t.equal(codeOf('ENOENT'), undefined)
  t.equal(codeOf(Object.assign(new Error('x'), { code: 7 })), undefined)
})

t.test('whatever went wrong with a path that is tried again is a reason and something to do', async (t) => {
  t.match(laterProblemOf('a', failing('ENOSPC')), { path: 'a', reason: 'no space left on the disk' })
  t.match(laterProblemOf('a', new Error('the link broke')), { reason: 'the link broke', todo: /half a minute/ })
  t.match(laterProblemOf('a', failing('WRONG_CONTENT')), { reason: 'WRONG_CONTENT', todo: /half a minute/ })
  t.match(laterProblemOf('a', 'odd'), { reason: 'odd' })
})

t.test('absence is a missing name, a file on the way, or a link', async (t) => {
  for (const code of ['ENOENT', 'ENOTDIR', 'ELOOP']) t.equal(isAbsence(failing(code)), true)
  for (const code of ['EACCES', 'EIO']) t.equal(isAbsence(failing(code)), false)
})

t.test('bytes that are not UTF-8 are displayed as \\xNN, all others as they are', async (t) => {
  t.equal(displayOf(Buffer.from('añ\u{1f600}\ufffd')), 'añ\u{1f600}\ufffd')
  t.equal(displayOf(Buffer.from([0x61, 0xff, 0xc3, 0xb1, 0xc3, 0x62, 0xf0, 0x9f])), 'a\\xffñ\\xc3b\\xf0\\x9f')
})
