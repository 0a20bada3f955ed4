import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { silentLog } from '../../lib/daemon/log.ts'
import type { ReplicaParts } from '../../lib/replica/folder-state.ts'
import { sendLarge } from '../../lib/replica/patch-push.ts'
import type { Depot, Hub } from '../../lib/replica/ports.ts'
import { aFolder, rel, sha256 } from '../disk/a-folder.ts'

const never = new AbortController().signal

t.test('a large file that is a pipe by the time it is sent is looked at again, and nobody waits for it', async (t) => {
  const { root, at, print } = aFolder(t)
  writeFileSync(at('file'), 'body')
  const content = {
    ...{ sha256: sha256('body'), size: 4, staged: 0, patch: 'it is new' },
    file: { path: rel('file'), print: print('file') },
  }
  const sent: string[] = []
  const discarded: string[] = []
  const depot: Pick<Depot, 'putFile' | 'discard'> = {
    putFile: async ({ fd }) => {
      sent.push(readFileSync(fd, 'utf8'))
      await Promise.resolve()
    },
    discard: async (name) => {
      discarded.push(name)
      await Promise.resolve()
    },
  }
  // All that is asked of either.
  const hub = { depot } as unknown as Hub
  const parts = { root, name: 'docs', log: silentLog } as unknown as ReplicaParts
  const send = () => sendLarge(content, { hub, parts }, () => undefined, never)
  t.match(await send(), { kind: 'staged' })
  t.same([sent, discarded], [['body'], []])
  rmSync(at('file'))
  execFileSync('mkfifo', [at('file')])
  t.equal(await send(), undefined)
  t.same([sent, discarded], [['body'], [`o-${sha256('body')}`]], 'what an earlier try had staged is gone')
})
