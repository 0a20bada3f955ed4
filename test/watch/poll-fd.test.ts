import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pollReadable } from '../../lib/watch/poll-fd.ts'

t.test('libuv called directly does the same as the poll of koffi', async (t) => {
  const dir = t.testdir()
  execFileSync('mkfifo', [join(dir, 'fifo')])
  const fd = openSync(join(dir, 'fifo'), 'r+')
  for (const byLibuv of [true, false]) {
    const text = await new Promise<string>((resolve) => {
      const poll = pollReadable(
        fd,
        () => {
          const bytes = Buffer.alloc(10)
          const length = readSync(fd, bytes)
          poll.close()
          poll.close()
          resolve(bytes.toString('utf8', 0, length))
        },
        byLibuv,
      )
      writeFileSync(join(dir, 'fifo'), 'hello')
    })
    t.equal(text, 'hello')
  }
  closeSync(fd)
})

t.test('libuv says why it cannot wait', (t) => {
  t.throws(() => pollReadable(-1, () => undefined, true), /Cannot wait on a descriptor: libuv returned -\d+/)
  t.end()
})
