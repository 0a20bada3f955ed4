import { createHash, randomBytes } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { hostPath, type HostPath } from '../../lib/model/path.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import { Following, type FollowLane } from '../../lib/replica/following.ts'

const MIB = 1024 * 1024
const never = new AbortController().signal
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function written(t: Test, bytes: Uint8Array): HostPath {
  const place = hostPath(`${t.testdir({})}/staged`)
  writeFileSync(place, bytes)
  return place
}

t.test('a file that is followed has the hash of its bytes, whatever the steps', async (t) => {
  await using lanes = new DiskLanes()
  const bytes = randomBytes(20 * MIB)
  const place = written(t, bytes.subarray(0, 9 * MIB))
  using followed = lanes.follow(place)
  followed.reached(9 * MIB)
  appendFileSync(place, bytes.subarray(9 * MIB))
  followed.reached(10 * MIB)
  followed.reached(20 * MIB)
  t.equal(await followed.digest(place, never), sha256(bytes))
})

t.test('what is written anew below the end is hashed anew', async (t) => {
  await using lanes = new DiskLanes()
  const place = written(t, randomBytes(10 * MIB))
  using followed = lanes.follow(place)
  followed.reached(10 * MIB)
  await lanes.follow(place).digest(place, never) // by now the first step is done: the lane goes in order
  const other = randomBytes(10 * MIB)
  writeFileSync(place, other)
  followed.reached(1 * MIB)
  followed.reached(10 * MIB)
  t.equal(await followed.digest(place, never), sha256(other))
})

t.test('a job goes out for each large step, one at a time, and none for a small file', async (t) => {
  const asked: string[] = []
  let finish: () => void = () => undefined
  const lane: FollowLane = {
    follow: ({ end }) => {
      asked.push(`to ${end / MIB}`)
      return new Promise((resolve) => (finish = resolve))
    },
    followed: () => Promise.reject(new Error('not asked')),
    hash: () => Promise.reject(new Error('not asked')),
    unfollow: () => {
      asked.push('unfollow')
      return Promise.resolve()
    },
  }
  const place = hostPath('/nowhere')
  {
    using small = new Following(lane, 'small', place)
    small.reached(7 * MIB)
  }
  t.same(asked, [])
  const large = new Following(lane, 'large', place)
  large.reached(8 * MIB)
  large.reached(12 * MIB)
  large.reached(30 * MIB)
  t.same(asked, ['to 8'])
  finish()
  await new Promise(setImmediate)
  t.same(asked, ['to 8', 'to 16'], 'in small steps: others use the lane too')
  large[Symbol.dispose]()
  t.same(asked, ['to 8', 'to 16', 'unfollow'])
})
