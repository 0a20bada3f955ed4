import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { writeAll, writeSparse } from '../../lib/disk/write-bytes.ts'

t.test('what is written with holes reads as what was written, wherever it starts', async (t) => {
  const file = join(t.testdir(), 'file')
  const piece = fc.record({ length: fc.integer({ min: 0, max: 9000 }), fill: fc.constantFrom(0, 0, 7) })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), fc.integer({ min: 0, max: 9000 }), (pieces, offset) => {
      const bytes = Buffer.concat(pieces.map(({ length, fill }) => Buffer.alloc(length, fill)))
      const fd = openSync(file, 'w+')
      writeSparse(fd, bytes, offset)
      ftruncateSync(fd, offset + bytes.length)
      closeSync(fd)
      return readFileSync(file).equals(Buffer.concat([Buffer.alloc(offset), bytes]))
    }),
    { numRuns: 60 },
  )
  t.pass('always')
})

t.test('a disk that fails is an error', async (t) => {
  const fd = openSync('/dev/full', 'w')
  t.throws(() => writeAll(fd, Buffer.from('x'), 0), { code: 'ENOSPC' })
  t.throws(() => writeSparse(fd, Buffer.from('x'), 0), { code: 'ENOSPC' })
  closeSync(fd)
})
