import { createHash } from 'node:crypto'
import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { FollowHash } from '../../lib/disk/follow-hash.ts'
import { hostPath } from '../../lib/model/path.ts'

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

t.test('a file that grows and is renamed has the hash of all its bytes at the end', (t) => {
  const dir = t.testdir({})
  const place = hostPath(`${dir}/grows`)
  writeFileSync(place, 'first ')
  using file = FollowHash.open(place)
  file.reach(3)
  file.reach(6)
  appendFileSync(place, 'second ')
  file.reach(100)
  renameSync(place, `${dir}/elsewhere`)
  appendFileSync(`${dir}/elsewhere`, 'third')
  t.notOk(file.isAt(place))
  t.ok(file.isAt(hostPath(`${dir}/elsewhere`)))
  t.equal(file.finish(), sha256('first second third'))
  t.end()
})

t.test('another file of the same name is another file', (t) => {
  const place = hostPath(`${t.testdir({})}/name`)
  writeFileSync(place, 'one')
  using file = FollowHash.open(place)
  writeFileSync(`${place}-new`, 'two')
  renameSync(`${place}-new`, place)
  t.notOk(file.isAt(place))
  t.end()
})
