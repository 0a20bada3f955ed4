// Virtual paths never lead above the root.

import fc from 'fast-check'
import t from 'tap'
import { parseVirtualPath, virtualPath } from '../../../lib/ssh/server/virtual-path.ts'

const CASES: readonly [path: string, names: string[] | undefined][] = [
  ['', []],
  ['/', []],
  ['.', []],
  ['/docs/objects/a', ['docs', 'objects', 'a']],
  ['docs//a/./b/', ['docs', 'a', 'b']],
  ['/docs/../other', ['other']],
  ['../../../etc/passwd', ['etc', 'passwd']],
  ['/a/b/../../../..', []],
  ['...', ['...']],
  ['a\0b', undefined],
  ['\ud800', undefined],
  ['a'.repeat(4097), undefined],
]

for (const [path, names] of CASES) {
  t.test(`${JSON.stringify(path.slice(0, 40))} is ${JSON.stringify(names)}`, (t) => {
    t.same(parseVirtualPath(path), names)
    t.end()
  })
}

t.test('what is parsed holds no name that leads elsewhere, and is its own canonical path', (t) => {
  const part = fc.oneof(fc.constantFrom('', '.', '..', 'a', '/'), fc.string())
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const names = parseVirtualPath(parts.join('/'))
      if (names === undefined) return true
      const again = parseVirtualPath(virtualPath(names))
      return (
        names.every((name) => !['', '.', '..'].includes(name) && !name.includes('/')) &&
        JSON.stringify(again) === JSON.stringify(names)
      )
    }),
  )
  t.end()
})
