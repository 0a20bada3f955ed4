import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { inflateStaged } from '../../lib/disk/inflate-staged.ts'
import { Refused } from '../../lib/errors.ts'
import { hostPath } from '../../lib/model/path.ts'
import { withTinyDisk } from './tiny-disk.ts'

const text = Buffer.alloc(100_000, 'a text that shrinks ')

function staged(t: Test, bytes: Uint8Array) {
  const dir = mkdtempSync(join(tmpdir(), 'ssi-'))
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true })
  })
  const place = hostPath(join(dir, 'take-1'))
  writeFileSync(place, bytes)
  return { dir, place }
}

t.test('the plain form takes the place of the deflated one, closed to others', (t) => {
  const { dir, place } = staged(t, deflateSync(text))
  t.ok(inflateStaged(place, text.length))
  t.ok(readFileSync(place).equals(text))
  t.equal(statSync(place).mode & 0o777, 0o600)
  t.same(readdirSync(dir), ['take-1'])
  t.end()
})

t.test('what does not hold exactly what is expected is gone', (t) => {
  const good = deflateSync(text)
  for (const [why, bytes, size] of [
    ['cut short', good.subarray(0, -1), text.length],
    ['more than expected', good, text.length - 1],
    ['less than expected', good, text.length + 1],
    ['a bomb', deflateSync(Buffer.alloc(30_000_000)), 100_000],
    ['not deflated', text.subarray(0, 50_000), text.length],
    ['no smaller than what it holds', deflateSync(text, { level: 0 }), text.length],
    ['empty', Buffer.alloc(0), text.length],
  ] as const) {
    const { dir, place } = staged(t, bytes)
    t.notOk(inflateStaged(place, size), why)
    t.same(readdirSync(dir), [], why)
  }
  t.end()
})

t.test('a link is not followed', (t) => {
  const { dir, place } = staged(t, deflateSync(text))
  const link = hostPath(join(dir, 'link'))
  symlinkSync(place, link)
  t.throws(() => inflateStaged(link, text.length), { code: 'ELOOP' })
  t.ok(existsSync(place))
  t.end()
})

t.test('a full disk is told, and nothing is left of it', async (t) => {
  await withTinyDisk(t, ({ root }) => {
    const place = hostPath(`${root}/take-1`)
    writeFileSync(place, deflateSync(Buffer.alloc(1_000_000)))
    try {
      inflateStaged(place, 1_000_000)
      t.fail('it cannot fit')
    } catch (error) {
      t.match(error, { status: 507, retry: 'later' })
      t.ok(error instanceof Refused)
    }
    t.same(readdirSync(root), ['.systemsync'])
  })
})
