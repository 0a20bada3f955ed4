// Large contents in legs: which go in frames, what is told meanwhile, and what happens where a server knows no frames, or others.

import { closeSync, openSync, readFileSync, writeFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { getLarge, putLarge, type MeteredLink } from '../../lib/client/large-bodies.ts'
import { LinkMeter, Turns, type Finished } from '../../lib/client/link-meter.ts'
import { systemClock } from '../../lib/daemon/clock.ts'
import { SshSession } from '../../lib/ssh/client/ssh-session.ts'
import { noise } from '../support/contents.ts'
import { identityIn, makeKey, never, startServer, target } from '../ssh/client/support.ts'

const MIB = 1024 * 1024
const key = makeKey()
const SLOW: Finished = { bytes: MIB, ms: 1000, trips: 0 }
const text = Buffer.alloc(5 * MIB, 'a dump of a table is mostly words; ')
const mixed = Buffer.concat([text.subarray(0, MIB), noise(3 * MIB), text.subarray(0, MIB)])

/** A server with the files of `docs`, a channel to it, and a link that is slow when it is made. */
async function rig(t: Test, { frames, isSlow = true }: { frames: boolean; isSlow?: boolean }) {
  const dir = t.testdir({ docs: {}, here: {} })
  const server = await startServer({ dir, frames })
  const home = join(dir, 'home')
  mkdirSync(home)
  const identities = await identityIn(home, key)
  const session = await SshSession.open({ ...target({ port: server.port, home, identities }) }, never())
  const sftp = await session.sftp()
  t.teardown(async () => {
    await session[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  const finished: Finished[] = []
  const use = () => ({ turns: new Turns({ misses: 3, restTurns: 64 }), framed: 0 })
  const link: MeteredLink = {
    ...{ up: new LinkMeter(0), down: new LinkMeter(0), large: { up: use(), down: use() }, clock: systemClock },
    finished: (way, transfer) => {
      finished.push(transfer)
      // The loopback is no slow link: the meter goes on with what the test says.
      if (isSlow) link[way].note(SLOW)
    },
  }
  if (isSlow) for (const way of [link.up, link.down]) way.note(SLOW)
  const { log } = server.faults
  const move = async (way: 'up' | 'down', { from = 0, size }: { from?: number; size: number }) => {
    const fd = openSync(`${dir}/here/file`, way === 'up' ? 'r' : 'r+')
    const told: number[] = []
    const transfer = { from, size, onProgress: (end: number) => void told.push(end) }
    log.length = 0
    try {
      const act = way === 'up' ? putLarge : getLarge
      await act(link, { sftp, folder: 'docs', path: 'file', fd }, transfer, never())
    } finally {
      closeSync(fd)
    }
    return { told, opened: log.filter((line) => line.startsWith('open')) }
  }
  const wire = () => finished.reduce((sum, { bytes }) => sum + bytes, 0)
  return { ...{ link, finished, wire, move, log }, here: `${dir}/here/file`, there: `${dir}/docs/file` }
}

for (const frames of [true, false]) {
  t.test(`${frames ? 'with' : 'without'} frames contents arrive as they are, both ways, from any offset`, async (t) => {
    const it = await rig(t, { frames })
    for (const [way, source, goal] of [
      ['up', it.here, it.there],
      ['down', it.there, it.here],
    ] as const) {
      for (const body of [text, mixed, noise(2 * MIB), Buffer.alloc(3 * MIB), text.subarray(0, 1000)]) {
        writeFileSync(source, body)
        for (const from of [0, 500]) {
          writeFileSync(goal, from === 0 ? 'what was there' : body.subarray(0, from))
          const { told } = await it.move(way, { from, size: body.length })
          t.ok(readFileSync(goal).subarray(0, body.length).equals(body), `${way} ${body.length} from ${from}`)
          t.equal(told.at(-1), body.length)
          t.same(
            told,
            told.toSorted((a, b) => a - b),
            'progress is that of plain bytes, in order',
          )
        }
      }
    }
  })
}

t.test('on a slow link text goes deflated and noise as it is, in one go each', async (t) => {
  const it = await rig(t, { frames: true })
  writeFileSync(it.here, text)
  t.same((await it.move('up', { size: text.length })).opened, ['open docs/file truncate'])
  t.ok(it.wire() < text.length / 4, `${it.wire()} of ${text.length}`)
  it.finished.length = 0
  const random = noise(5 * MIB)
  writeFileSync(it.here, random)
  await it.move('up', { size: random.length })
  t.ok(it.wire() <= random.length + 200, `${it.wire()} of ${random.length}`)
})

t.test('on a quick link nothing is deflated, and one leg is all', async (t) => {
  const it = await rig(t, { frames: true, isSlow: false })
  it.link.up.note({ bytes: 100 * MIB, ms: 100, trips: 0 })
  writeFileSync(it.here, text)
  t.equal((await it.move('up', { size: text.length })).opened.length, 1)
  t.notOk(it.log.some((line) => line.startsWith('write') && Number(line.split(' ')[2]) > 200_000))
})

t.test('a server without frames is asked three times, and then left alone for long', async (t) => {
  const it = await rig(t, { frames: false })
  writeFileSync(it.there, text)
  writeFileSync(it.here, text)
  let asked = 0
  for (let i = 0; i < 10; i++) {
    const { opened } = await it.move('down', { size: MIB })
    asked += opened.filter((line) => line.includes('deflated')).length
  }
  t.ok(asked <= 3, `${asked} times`)
  t.ok(!it.link.large.down.turns.take())
})

t.test('after long in frames some of it goes as it is: the link is measured anew', async (t) => {
  const it = await rig(t, { frames: true })
  writeFileSync(it.here, text)
  it.link.large.up.framed = 255 * MIB
  const { opened } = await it.move('up', { size: text.length })
  t.equal(opened.length, 2, 'a leg in frames, and one that ends only at the end: the rest is one span')
  t.equal(it.link.large.up.framed, 0)
  t.ok(readFileSync(it.there).equals(text))
})

t.test('what is gone, or shorter than it should be, is told as without frames', async (t) => {
  const it = await rig(t, { frames: true })
  writeFileSync(it.here, '')
  await t.rejects(it.move('down', { size: MIB }), { message: /no such file/i })
  writeFileSync(it.there, text.subarray(0, MIB))
  await t.rejects(it.move('down', { size: 2 * MIB }), { code: 'TRUNCATED' })
  writeFileSync(it.here, text.subarray(0, MIB))
  await t.rejects(it.move('up', { size: 2 * MIB }), { code: 'LOCAL_CHANGED' })
})
