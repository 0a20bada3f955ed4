import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { outlastTick, type EditClock } from '../../lib/disk/outlast-tick.ts'
import type { Fingerprint } from '../../lib/model/entry.ts'
import { digest, Hands, hash, read } from '../../lib/replica/disk-jobs.ts'
import { Base } from '../../lib/store/base.ts'
import { aFolder, rel, sha256 } from './a-folder.ts'
import { withTickingDisk, withTinyDisk } from './tiny-disk.ts'

const MS = 1_000_000n
const print = (ctimeNs: bigint): Fingerprint => ({
  ...{ kind: 'file', size: 4, mtimeNs: '1', ino: '7', mode: 0o644 },
  ctimeNs: ctimeNs.toString(),
})

/** A clock that ticks each `tickMs`, which is looked at once a ms; how often it was looked at, and whether it is still open. */
function ticking(startNs: bigint, tickMs: bigint) {
  const seen = { looks: 0, isOpen: true }
  const open = (): EditClock => ({
    now: () => {
      const ns = startNs + BigInt(seen.looks++) * MS
      return ns - (ns % (tickMs * MS))
    },
    [Symbol.dispose]: () => {
      seen.isOpen = false
    },
  })
  return { seen, open }
}

t.test('an edit in the very tick in which a file was read is seen', async (t) => {
  await withTickingDisk(t, ({ root, outside, at, print }) => {
    const hands = new Hands()
    const baseFile = `${outside}/base.db`
    Base.open(baseFile).close()
    const place = { root, baseFile }
    const file = () => ({ path: rel('f'), print: print('f') })
    const jobs = {
      read: () => read(hands, { at: place, files: [file()] }).results[0],
      hash: () => hash(hands, { at: place, file: { ...file(), like: undefined }, isHashed: false }, () => false),
      digest: () => digest(hands, { at: place, file: file() }, () => false),
    }
    for (const [name, job] of Object.entries(jobs)) {
      for (let round = 0; round < 8; round++) {
        writeFileSync(at('f'), 'one!')
        const before = print('f')
        t.match(job(), { kind: 'read', sha256: sha256('one!') }, name)
        t.same(print('f'), before, 'reading it leaves no trace')
        writeFileSync(at('f'), 'two!')
        t.not(print('f').ctimeNs, before.ctimeNs, name)
      }
    }
    hands.dirs(root).close()
  })
})

t.test('a tick is outlasted once for all files, and only when one of them is of this tick', (t) => {
  const { root } = aFolder(t)
  const now = BigInt(Date.now()) * MS
  const tick = now - (now % (4n * MS))
  const young = ticking(tick + MS, 4n)
  const isPast = outlastTick(root, [print(tick), print(tick - 4n * MS), print(tick)].map(asFile), young.open)
  t.ok(isPast(print(tick)))
  t.same(young.seen, { looks: 4, isOpen: false })
  const calm = ticking(tick + MS, 4n)
  t.ok(outlastTick(root, [asFile(print(tick - 1n))], calm.open)(print(tick - 1n)))
  t.same(calm.seen, { looks: 1, isOpen: false })
  const unasked = ticking(0n, 1n)
  for (const old of [0n, now - 60_000n * MS, now + 60_000n * MS])
    t.ok(outlastTick(root, [asFile(print(old))], unasked.open)(print(old)))
  t.ok(outlastTick(root, [], unasked.open)(print(now)))
  t.equal(unasked.seen.looks, 0)
  t.end()
})

t.test('where times are in seconds nobody waits for one to end: what is of this second is read later', (t) => {
  const { root } = aFolder(t)
  const second = BigInt(Math.floor(Date.now() / 1000)) * 1000n * MS
  const slow = ticking(second + 100n * MS, 1000n)
  const isPast = outlastTick(root, [print(second), print(second - 1n), print(0n)].map(asFile), slow.open)
  t.equal(isPast(print(second)), false)
  t.ok(isPast(print(second - 1n)))
  t.ok(isPast(print(0n)))
  t.equal(slow.seen.looks, 13)
  t.end()
})

t.test('the clock of a file system leaves no file; without one that of the machine counts', async (t) => {
  const { root, at, print, staged } = aFolder(t)
  const isRead = (): boolean => {
    writeFileSync(at('f'), 'text')
    return outlastTick(root, [{ print: print('f') }])(print('f'))
  }
  const before = readdirSync('/proc/self/fd').length
  t.ok(isRead())
  t.same(staged(), [])
  renameSync(at('.systemsync'), at('elsewhere'))
  t.ok(isRead())
  t.equal(readdirSync('/proc/self/fd').length, before)
  await withTinyDisk(t, (tiny) => {
    t.throws(() => writeFileSync(tiny.at('full'), Buffer.alloc(1024 * 1024)), { code: 'ENOSPC' })
    t.ok(outlastTick(tiny.root, [{ print: tiny.print('full') }])(tiny.print('full')))
    t.same(tiny.staged(), [])
  })
})

function asFile(print: Fingerprint) {
  return { print }
}
