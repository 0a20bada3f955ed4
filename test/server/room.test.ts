import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { Refused } from '../../lib/errors.ts'
import { hostPath } from '../../lib/model/path.ts'
import { jail } from '../../lib/ssh/server/jail.ts'
import { ContentStore } from '../../lib/server/content-store.ts'
import { Room } from '../../lib/server/room.ts'

const MIB = 1024 * 1024

/** What is said to `bytes` more; nothing when they may come. */
function answer(room: Room, bytes: number): string | undefined {
  try {
    room.demand(bytes)
    return undefined
  } catch (error) {
    return error instanceof Refused ? `${String(error.status)} ${error.message}` : String(error)
  }
}

t.test('what would leave less than 64 MiB, or than a hundredth of a small disk, is refused', async (t) => {
  const large = new Room(() => ({ total: 1000 * 1024 * MIB, free: 100 * MIB }))
  t.equal(answer(large, 36 * MIB), undefined)
  t.equal(
    answer(large, 36 * MIB + 1),
    "507 Cannot take 36.0 MiB more: 100.0 MiB are free on the coordinator's disk, and 64.0 MiB of them are kept free",
  )
  const small = new Room(() => ({ total: 100 * MIB, free: 2 * MIB }))
  t.equal(answer(small, MIB), undefined)
  t.match(answer(small, MIB + 1), /^507 .* 1.0 MiB of them are kept free$/)
})

t.test('room for what is being made is given to nobody else', async (t) => {
  const room = new Room(() => ({ total: 1000 * 1024 * MIB, free: 100 * MIB }))
  {
    using reserved = room.reserve(30 * MIB)
    void reserved
    t.equal(answer(room, 6 * MIB), undefined)
    t.match(
      answer(room, 7 * MIB),
      /^507 .* 100.0 MiB are free on the coordinator's disk, 30.0 MiB are for what is being/,
    )
    t.throws(() => room.reserve(7 * MIB), Refused)
  }
  t.equal(answer(room, 36 * MIB), undefined)
})

t.test('a client that writes without asking is stopped too, and goes on when there is room again', async (t) => {
  const root = t.testdir({ '.systemsync': { staging: {} } })
  let free = 80 * MIB
  const store = new ContentStore(
    hostPath(root),
    {
      follow: () => ({
        reached: () => undefined,
        digest: () => Promise.reject(new Error('nobody asks')),
        [Symbol.dispose]: () => undefined,
      }),
      take: () => Promise.resolve([]),
      assemble: () => Promise.resolve(false),
    },
    () => ({ total: 100 * 1024 * MIB, free }),
  )
  mkdirSync(`${root}/.systemsync/staging/ann`)
  const tree = jail({
    client: 'ann',
    folders: () => [{ name: 'docs', root: hostPath(root) }],
    watch: () => store.watch,
  })
  const place = ['docs', 'staging', 'ann', 'o-1']
  const file = await tree.openWrite(place, { create: true, exclusive: false, truncate: false })
  let written = 0
  const write = async (): Promise<void> => {
    await file.write(Buffer.alloc(1024, 'x'), written)
    written += 1024
  }
  await write()
  free = 63 * MIB
  await t.rejects(
    async () => {
      for (let i = 0; i < 16; i++) await write()
    },
    { code: 'ENOSPC' },
  )
  await t.rejects(write(), { code: 'ENOSPC' }, 'and stays so')
  free = 65 * MIB
  await write()
  await file.close()
  t.equal(readFileSync(`${root}/.systemsync/staging/ann/o-1`).length, written, 'nothing of a refused write is there')
  await tree.rename(place, ['docs', 'staging', 'ann', 'o-2'], { replace: true })
  free = 0
  await tree.remove(['docs', 'staging', 'ann', 'o-2'])
  t.notOk(existsSync(`${root}/.systemsync/staging/ann/o-2`), 'on a full disk it can still be removed')
})
