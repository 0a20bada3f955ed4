// Large contents over a data connection that dies on the way: what has arrived stands.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DataLink } from '../../lib/client/data-link.ts'
import { remoteHub } from '../../lib/client/remote-hub.ts'
import { systemClock } from '../../lib/daemon/clock.ts'
import { silentLog } from '../../lib/daemon/log.ts'
import { openStagedToSend } from '../../lib/disk/open-to-send.ts'
import { hostPath } from '../../lib/model/path.ts'
import type { RpcPeer } from '../../lib/rpc/peer.ts'
import { SshSession } from '../../lib/ssh/client/ssh-session.ts'
import { sha256 as digestOf } from '../disk/a-folder.ts'
import { identityIn, makeKey, never, pattern, startServer, target, type Faults } from '../ssh/client/support.ts'

const MIB = 1024 * 1024
const key = makeKey()
const body = pattern(6 * MIB)
const [sha256, size] = [digestOf(body), body.length]

/** A depot whose data connection dies once: when the server is asked for something at `deadAt` or beyond. */
async function rig(t: Test, deadAt: number) {
  const dir = t.testdir({ docs: { staging: { ann: {} }, objects: {}, coming: {} }, home: {} })
  const home = join(dir, 'home')
  const server = await startServer({ dir })
  const identities = await identityIn(home, key)
  const life = new AbortController()
  const open = () => SshSession.open(target({ port: server.port, home, identities }), life.signal)
  const data = new DataLink(
    { open, session: 's', rpc: { log: silentLog }, clock: systemClock, roundTripMs: 0 },
    life.signal,
  )
  t.teardown(async () => {
    life.abort()
    await server[Symbol.asyncDispose]()
  })
  const { faults } = server
  let hasDied = false
  const die = (position: number): void => {
    if (hasDied || position < deadAt) return
    hasDied = true
    for (const connection of server.connections) connection.close()
  }
  faults.beforeRead = faults.beforeWrite = die
  const control = undefined as unknown as RpcPeer // contents need no words
  const { depot } = remoteHub({ folder: 'docs', client: 'ann', control, data, clockOffsetMs: 0 })
  const told: number[] = []
  return { dir, depot, faults, told, onBytes: (bytes: number) => void told.push(bytes) }
}

/** Where each request of a kind was, after the file was opened for the last time. */
function lastTry({ log }: Faults, kind: 'read' | 'write'): { opened: string; first: number } {
  const at = log.findLastIndex((line) => line.startsWith('open'))
  const positions = log.slice(at).flatMap((line) => (line.startsWith(kind) ? [Number(line.split(' ')[1])] : []))
  return { opened: log[at] ?? '', first: Math.min(...positions) }
}

const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0)

t.test('an upload whose data connection dies goes on where it was, and what was sent stands', async (t) => {
  const { dir, depot, faults, told, onBytes } = await rig(t, 2 * MIB)
  const place = hostPath(`${dir}/home/file`)
  writeFileSync(place, body)
  using file = openStagedToSend(place)
  await depot.putFile({ fd: file.fd, name: 'o-1', size, from: 0 }, onBytes, never())
  const { opened, first } = lastTry(faults, 'write')
  t.equal(opened, 'open docs/staging/ann/o-1', 'it is not emptied')
  t.ok(first > 0 && first < size, `it goes on at ${String(first)}`)
  t.ok(readFileSync(`${dir}/docs/staging/ann/o-1`).equals(body))
  t.equal(sum(told), size, 'each byte is told once')
})

t.test('an upload whose data connection dies before anything arrived starts anew', async (t) => {
  const { dir, depot, faults, told, onBytes } = await rig(t, 0)
  const place = hostPath(`${dir}/home/file`)
  writeFileSync(place, body)
  using file = openStagedToSend(place)
  await depot.putFile({ fd: file.fd, name: 'o-1', size, from: 0 }, onBytes, never())
  t.equal(lastTry(faults, 'write').opened, 'open docs/staging/ann/o-1 truncate')
  t.ok(readFileSync(`${dir}/docs/staging/ann/o-1`).equals(body))
  t.equal(sum(told), size)
})

for (const [what, where, read] of [
  ['a content', `objects/${sha256}`, 'readFile'],
  ['a content that is still on its way', `coming/${sha256}`, 'readComing'],
  ['a large part of a content', `objects/${sha256}`, 'readRanges'],
] as const) {
  t.test(`${what} is read on where it was when the data connection dies`, async (t) => {
    const { dir, depot, faults, told, onBytes } = await rig(t, 2 * MIB)
    writeFileSync(`${dir}/docs/${where}`, body)
    const place = hostPath(`${dir}/home/file`)
    writeFileSync(place, '')
    const content = { sha256, size, place: { kind: 'object' } } as const
    if (read === 'readFile') await depot.readFile(content, { place, from: 0 }, onBytes, never())
    else if (read === 'readComing') {
      t.ok(await depot.readComing(content, { place, from: 0, to: size }, onBytes, never()))
    } else await depot.readRanges(content, { place, ranges: [{ offset: 0, length: size }] }, onBytes, never())
    const { first } = lastTry(faults, 'read')
    t.ok(first > 0 && first < size, `it goes on at ${String(first)}`)
    t.ok(readFileSync(place).equals(body))
    t.equal(sum(told), size, 'each byte is told once')
  })
}
