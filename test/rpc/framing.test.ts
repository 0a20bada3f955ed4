import { Duplex, duplexPair } from 'node:stream'
import t from 'tap'
import { encodeLine, LineTooLong, readLines, writeLine } from '../../lib/rpc/framing.ts'

async function linesOf(chunks: readonly (string | Buffer)[], maxBytes?: number): Promise<string[]> {
  const [here, there] = duplexPair()
  for (const chunk of chunks) here.write(chunk)
  here.end()
  const lines: string[] = []
  for await (const line of readLines(there, maxBytes)) lines.push(line)
  return lines
}

t.test('lines come out whole, however the bytes were cut', async (t) => {
  t.same(await linesOf(['{"a"', ':1}\n{"b":2}\r\n', '\n', '{"c":3}\n']), ['{"a":1}', '{"b":2}', '{"c":3}'])
  const bytes = Buffer.from('"käse"\n')
  t.same(await linesOf([bytes.subarray(0, 3), bytes.subarray(3)]), ['"käse"'], 'a character cut in two')
  t.same(await linesOf(['{"unfinished":']), [], 'a line without its end is none')
})

t.test('a line is read up to the limit and refused beyond it, with or without its end', async (t) => {
  t.same(await linesOf(['12345678\n'], 8), ['12345678'])
  await t.rejects(linesOf(['123456789\n'], 8), LineTooLong)
  await t.rejects(linesOf(['1234', '56789'], 8), LineTooLong)
})

t.test('a message longer than the limit is refused before it is written', async (t) => {
  t.equal(encodeLine({ a: 'ä' }).toString(), '{"a":"ä"}\n')
  t.throws(() => encodeLine('x'.repeat(10), 8), LineTooLong)
})

t.test('a full channel is waited for, a closed one is not', async (t) => {
  const pending: (() => void)[] = []
  const slow = new Duplex({
    highWaterMark: 1,
    read() {},
    write(_chunk, _encoding, done) {
      pending.push(done)
    },
  })
  let isDone = false
  const writing = writeLine(slow, Buffer.from('{}\n')).then(() => (isDone = true))
  await new Promise(setImmediate)
  t.notOk(isDone, 'waits for room')
  pending.shift()?.()
  await writing
  const again = writeLine(slow, Buffer.from('{}\n'))
  slow.destroy(new Error('cut'))
  slow.on('error', () => undefined)
  await again
  await writeLine(slow, Buffer.from('{}\n'))
})
