// Journeys through `kill -9`: no torn file is ever visible, nothing is lost, no litter stays, large transfers resume.
import { randomBytes } from 'node:crypto'
import { lstatSync, readFileSync } from 'node:fs'
import t from 'tap'
import { type JourneyNode, pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import type { Conflict } from '../support/listings.ts'
import { sha256 } from '../support/trees.ts'

const LARGE = 64 * 1024 * 1024
const MIB = 1024 * 1024

const j = await Journey.open(t, { clients: ['a', 'b'] })
const [server, a, b] = [j.server, j.client('a'), j.client('b')]
await j.start()

t.test('the pushing client dies in the middle of a large file and goes on where it was', async (t) => {
  const body = randomBytes(LARGE)
  await using readers = watchWhole([server, b], 'pushed.bin', [sha256(body)])
  a.put('pushed.bin', body)
  const held = await caughtInTransfer(server, LARGE)
  await a.kill9()
  t.notOk(server.has('pushed.bin'), 'it died in time')
  await a.start()
  const writtenBefore = bytesWritten(a)
  await j.inStep({ limitMs: 30_000 })
  t.same(readers.torn, [])
  const sent = bytesWritten(a) - writtenBefore
  t.ok(sent < LARGE - held / 2, `resumed: ${held} bytes were there, ${sent} were sent`)
  await nothingStaged()
})

t.test('the pulling client dies in the middle of a large file and goes on where it was', async (t) => {
  const body = randomBytes(LARGE)
  await using readers = watchWhole([server, b], 'pulled.bin', [sha256(body)])
  a.put('pulled.bin', body)
  const held = await caughtInTransfer(b, LARGE)
  await b.kill9()
  t.notOk(b.has('pulled.bin'), 'it died in time')
  await j.inStep({ nodes: [server, a] })
  const writtenBefore = bytesWritten(server)
  await b.start()
  await j.inStep({ limitMs: 30_000 })
  t.same(readers.torn, [])
  const sent = bytesWritten(server) - writtenBefore
  t.ok(sent < LARGE - held / 2, `resumed: ${held} bytes were there, ${sent} were sent`)
  await nothingStaged()
})

t.test('the coordinator dies while it takes a large file in', async (t) => {
  const body = randomBytes(LARGE)
  await using readers = watchWhole([server, b], 'taken.bin', [sha256(body)])
  a.put('taken.bin', body)
  await caughtInTransfer(server, LARGE)
  await server.kill9()
  await server.start()
  await j.inStep({ limitMs: 40_000 })
  t.same(readers.torn, [])
  await nothingStaged()
})

t.test('a large file is edited while it travels: the old or the new one is seen, never a mixture', async (t) => {
  const [first, second] = [randomBytes(LARGE), randomBytes(LARGE)]
  await using readers = watchWhole([server, b], 'edited.bin', [sha256(first), sha256(second)])
  a.put('edited.bin', first)
  await caughtInTransfer(server, LARGE)
  a.put('edited.bin', second)
  await j.inStep({ limitMs: 40_000, until: () => sha256(readFileSync(b.at('edited.bin'))) === sha256(second) })
  t.same(readers.torn, [])
  await nothingStaged()
})

for (const victim of [a, server, b]) {
  t.test(`${victim.name} dies in the middle of a burst of edits, and nothing is lost`, async (t) => {
    const dir = `burst-${victim.name}`
    for (let i = 0; i < 600; i++) a.put(`${dir}/${i % 7}/${i}`, `body ${i}`)
    const watched = victim === b ? b : server
    await j.eventually('some files have arrived', () => count(watched, `${dir}/`) > 20)
    await victim.kill9()
    for (let i = 0; i < 100; i++) a.put(`${dir}/${i % 7}/${i}`, `edited ${i}`)
    await victim.start()
    await j.inStep({ limitMs: 40_000 })
    t.equal(count(b, `${dir}/`), 607)
    t.equal(b.read(`${dir}/1/99`), 'edited 99')
  })
}

t.test('all of them die again and again, and it ends in step', async (t) => {
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 60; i++) a.put(`again/a${i}`, `${round} ${i}`)
    for (let i = 0; i < 60; i++) b.put(`again/b${i}`, `${round} ${i}`)
    const victim = [server, a, b, server][round] ?? server
    await pause(40 * round)
    await victim.kill9()
    await victim.start()
  }
  await j.inStep({ limitMs: 40_000 })
  t.equal(server.read('again/a59'), '3 59')
  t.equal(a.read('again/b59'), '3 59')
  await nothingStaged()
})

t.test('after all this there is no conflict and everyone says so', async (t) => {
  await j.settled()
  t.same(await server.json<Conflict[]>('conflicts'), [])
})

/** Waits until a file is on its way into `node`; gives the bytes that are there. */
async function caughtInTransfer(node: JourneyNode, size: number): Promise<number> {
  const deadline = performance.now() + 20_000
  while (performance.now() < deadline) {
    const found = node.staged().find((file) => file.size > 24 * MIB && file.size < size)
    if (found !== undefined) return found.size
    await pause(1)
  }
  throw new Error(`no transfer into ${node.name} was seen\n${node.story()}`)
}

async function nothingStaged(): Promise<void> {
  const litter = () => j.nodes.flatMap((node) => node.staged().map(({ path }) => path))
  try {
    await j.eventually('no staging holds anything', () => litter().length === 0)
  } catch {
    throw new Error(`litter in staging:\n${litter().join('\n')}`)
  }
}

function count(node: JourneyNode, prefix: string): number {
  return [...node.tree().keys()].filter((path) => path.startsWith(prefix)).length
}

/** Bytes that a process has written to files and sockets since it started. */
function bytesWritten(node: JourneyNode): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${node.pid}/io`, 'utf8'))?.[1])
}

/** Reads the file again and again where it appears, as any program might; collects what was neither absent nor one of `whole`. */
function watchWhole(nodes: readonly JourneyNode[], path: string, whole: readonly string[]) {
  const torn: string[] = []
  const known = new Map<JourneyNode, string>()
  const timer = setInterval(() => {
    for (const node of nodes) {
      const stat = lstatSync(node.at(path), { bigint: true, throwIfNoEntry: false })
      const print = stat === undefined ? '' : `${stat.ino} ${stat.ctimeNs} ${stat.size}`
      if (stat === undefined || known.get(node) === print) continue
      known.set(node, print)
      if (!whole.includes(sha256(readFileSync(node.at(path))))) torn.push(`${node.name}: ${stat.size} bytes`)
    }
  }, 3)
  return {
    torn,
    [Symbol.asyncDispose]: async () => clearInterval(timer),
  }
}
