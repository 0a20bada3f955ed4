import t from 'tap'
import { limitProblem } from '../../lib/watch/limits.ts'

t.test('the message names the limit, its value, what is needed and the line that raises it', (t) => {
  t.same(limitProblem({ kind: 'watches', used: 8000, missing: 4000 }, 8192), {
    path: '.',
    reason:
      'The limit of inotify watches is reached: fs.inotify.max_user_watches is 8192, at least 12192 needed; ' +
      'this folder has 12000 directories, 4000 of them are polled',
    todo: 'Run: sudo sysctl fs.inotify.max_user_watches=16384',
  })
  t.same(limitProblem({ kind: 'instances' }, 128), {
    path: '.',
    reason:
      'The limit of inotify instances is reached: fs.inotify.max_user_instances is 128, at least 129 needed; ' +
      'the whole folder is polled',
    todo: 'Run: sudo sysctl fs.inotify.max_user_instances=256',
  })
  t.end()
})

t.test('the value is read from this machine unless it is given', (t) => {
  t.match(limitProblem({ kind: 'instances' }).reason, /max_user_instances is \d+, at least \d+ needed/)
  t.end()
})
