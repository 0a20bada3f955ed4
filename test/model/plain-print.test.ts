import t from 'tap'
import { isPlainDir, samePlainPrint } from '../../lib/model/plain-print.ts'

const file = [0o100644, 5, 1_700_000_000, 123_456_789, 1_700_000_001, 999_999_999, 1, 4_294_967_295]
const dir = [0o040755, 4096, 1, 2, 3, 4, 5, 6]

t.test('a directory is known by its kind', async (t) => {
  t.equal(isPlainDir(dir), true)
  t.equal(isPlainDir(file), false)
  t.equal(isPlainDir([]), false)
})

t.test('a file is the same when each number is, whatever follows them', async (t) => {
  t.equal(samePlainPrint([...file, 'name'], file), true)
  file.forEach((number, i) => {
    t.equal(samePlainPrint(file.with(i, number + 1), file), false, String(i))
    t.equal(samePlainPrint((file as unknown[]).with(i, null), file), false, `${String(i)} cannot be told`)
  })
})

t.test('of a directory only kind and mode count', async (t) => {
  t.equal(samePlainPrint([0o040755, null, null, null, null, null, null, null], dir), true)
  t.equal(samePlainPrint(dir.with(0, 0o040700), dir), false)
  t.equal(samePlainPrint(dir.with(0, 0o100755), dir), false)
})
