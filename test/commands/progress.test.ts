import { PassThrough } from 'node:stream'
import t from 'tap'
import { openProgress, progressText } from '../../lib/commands/progress.ts'
import { systemClock } from '../../lib/daemon/clock.ts'

t.test('the line says files, bytes, rate and what is left', async (t) => {
  const done = { files: 12, filesTotal: 340, bytes: 1.2e9, bytesTotal: 3.4e9 }
  t.equal(progressText(done, 12_000), '12/340 files 1.2/3.4 GB 100 MB/s 22 s left')
  t.equal(progressText(done, 1_200_000), '12/340 files 1.2/3.4 GB 1 MB/s 37 min left')
  t.equal(progressText(done, 120_000_000), '12/340 files 1.2/3.4 GB 10 KB/s 62 h left')
  t.equal(progressText({ files: 0, filesTotal: 1, bytes: 0, bytesTotal: 0 }, 0), '0/1 files 0/0 B 0 B/s')
})

function streamOf(isTTY: boolean): { stream: NodeJS.WriteStream; said: () => string } {
  let said = ''
  const stream = new PassThrough()
  stream.on('data', (text: Buffer) => (said += text.toString()))
  const cursor = { isTTY, columns: 120, cursorTo: () => true, clearLine: () => true, moveCursor: () => true }
  return { stream: Object.assign(stream, cursor) as unknown as NodeJS.WriteStream, said: () => said }
}

t.test('there is a bar on a terminal, and nothing elsewhere', async (t) => {
  for (const isTTY of [true, false]) {
    const { stream, said } = streamOf(isTTY)
    const progress = await openProgress(stream, systemClock)
    progress.update({ files: 1, filesTotal: 2, bytes: 10, bytesTotal: 20 })
    progress.update({ files: 2, filesTotal: 2, bytes: 20, bytesTotal: 20 })
    progress.done()
    await new Promise(setImmediate)
    t.equal(said().includes('files'), isTTY)
  }
})
