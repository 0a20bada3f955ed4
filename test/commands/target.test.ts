import t from 'tap'
import { readFolder, readNothing, readPath, readRevision, readScope } from '../../lib/commands/target.ts'
import { UsageError } from '../../lib/errors.ts'

const say = (...words: string[]) => ({ words, isLiteral: false })

t.test('a folder, a path, a revision are read from one word', async (t) => {
  t.same(readFolder(say('docs')), { folder: 'docs' })
  t.same(readFolder(say('docs/')), { folder: 'docs' })
  t.same(readPath(say('docs/a/b@1')), { folder: 'docs', path: 'a/b@1' })
  t.same(readPath(say('docs/dir/')), { folder: 'docs', path: 'dir' })
  t.same(readRevision(say('docs/a@12')), { folder: 'docs', path: 'a', rev: 12 })
  t.same(readRevision(say('docs/a@b@3')), { folder: 'docs', path: 'a@b', rev: 3 })
  t.same(readRevision(say('docs/a@b')), { folder: 'docs', path: 'a@b' })
  t.same(readRevision({ words: ['docs/a@12'], isLiteral: true }), { folder: 'docs', path: 'a@12' })
  t.same(readScope(say()), {})
  t.same(readScope(say('docs')), { folder: 'docs' })
  t.same(readScope(say('docs/')), { folder: 'docs' })
  t.same(readScope(say('docs/a')), { folder: 'docs', path: 'a' })
  t.doesNotThrow(() => {
    readNothing(say())
  })
})

t.test('anything else is a usage error', async (t) => {
  const wrong: (() => unknown)[] = [
    () => readFolder(say()),
    () => readFolder(say('a', 'b')),
    () => readFolder(say('a/b')),
    () => readFolder(say('/')),
    () => readPath(say()),
    () => readPath(say('docs')),
    () => readPath(say('/a')),
    () => readPath(say('docs/../a')),
    () => readPath(say('docs//a')),
    () => readPath(say('docs/.systemsync/x')),
    () => readRevision(say('docs@1')),
    () => readRevision(say('docs/@1')),
    () => readScope(say('a', 'b')),
    () => {
      readNothing(say('x'))
    },
  ]
  for (const read of wrong) t.throws(read, UsageError, read.toString())
})
