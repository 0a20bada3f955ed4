import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LocalBlocks, type LocalPart } from '../../../lib/ssh/client/local-blocks.ts'
import { pattern } from './support.ts'

t.test('the parts of a file are its bytes, in order, whatever the sizes', async (t) => {
  for (const size of [0, 1, 10, 39, 40, 41, 95]) {
    for (const from of [0, 7]) {
      const bytes = pattern(100)
      const fd = open(t, bytes)
      await using blocks = new LocalBlocks(fd, { from, size, partBytes: 10 })
      const parts: Buffer[] = []
      let at = from
      for (let part = await blocks.next(); part !== undefined; part = await blocks.next()) {
        t.equal(part.offset, at)
        at += part.bytes.length
        parts.push(Buffer.from(part.bytes))
        part.release()
      }
      t.ok(Buffer.concat(parts).equals(bytes.subarray(from, Math.max(from, size))), `${from} to ${size}`)
    }
  }
})

t.test('a part that is not released keeps its bytes while later ones are read', async (t) => {
  const bytes = pattern(400)
  const fd = open(t, bytes)
  await using blocks = new LocalBlocks(fd, { from: 0, size: 400, partBytes: 10 })
  const held: LocalPart[] = []
  for (let part = await blocks.next(); part !== undefined; part = await blocks.next()) {
    if (part.offset % 50 === 0) held.push(part)
    else part.release()
  }
  for (const part of held) t.ok(part.bytes.equals(bytes.subarray(part.offset, part.offset + 10)), `at ${part.offset}`)
})

t.test('released buffers are used again', async (t) => {
  const fd = open(t, pattern(4000))
  await using blocks = new LocalBlocks(fd, { from: 0, size: 4000, partBytes: 10 })
  const buffers = new Set<ArrayBufferLike>()
  for (let part = await blocks.next(); part !== undefined; part = await blocks.next()) {
    buffers.add(part.bytes.buffer)
    part.release()
  }
  t.ok(buffers.size <= 3, `${buffers.size} buffers for 100 blocks`)
})

t.test('a file that ends early or cannot be read is an error, also when nobody waits for it', async (t) => {
  const short = open(t, pattern(45))
  await using blocks = new LocalBlocks(short, { from: 0, size: 80, partBytes: 10 })
  for (let i = 0; i < 4; i++) t.equal((await blocks.next())?.offset, i * 10)
  await t.rejects(blocks.next(), { code: 'LOCAL_CHANGED', message: /it ends at 45/ })
  const unread = new LocalBlocks(9999, { from: 0, size: 80, partBytes: 10 })
  await unread[Symbol.asyncDispose]()
})

function open(t: Test, bytes: Buffer): number {
  const file = join(t.testdir({}), 'file')
  writeFileSync(file, bytes)
  const fd = openSync(file, 'r')
  t.teardown(() => {
    closeSync(fd)
  })
  return fd
}
