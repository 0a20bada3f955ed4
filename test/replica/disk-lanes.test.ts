// A large file that was edited: one thread hashes it, another finds what is new in it.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { hostPath } from '../../lib/model/path.ts'
import { DiskLanes } from '../../lib/replica/disk-lanes.ts'
import { Base } from '../../lib/store/base.ts'
import { aFolder, rel, sha256 } from '../disk/a-folder.ts'
import { noise, recipeOf } from '../support/contents.ts'

const MIB = 1024 * 1024
const signal = new AbortController().signal
const old = noise(2 * MIB, 1)

/** A folder with a file of 130 MiB, the start of which is `old` with another first byte, a hole of 8 GiB, and a base that keeps the recipe of `old`. */
function edited(t: Parameters<typeof aFolder>[0]) {
  const folder = aFolder(t)
  const start = Buffer.from(old)
  start.writeUInt8((start.readUInt8(0) + 1) % 256, 0)
  writeFileSync(folder.at('big'), start)
  truncateSync(folder.at('big'), 130 * MIB)
  const baseFile = hostPath(`${folder.root}.base.db`)
  const base = Base.open(baseFile)
  base.putRecipe(sha256(old), recipeOf(old))
  base.close()
  const whole = createHash('sha256').update(start)
  for (let i = 0; i < 128; i++) whole.update(Buffer.alloc(MIB))
  writeFileSync(folder.at('huge'), '')
  truncateSync(folder.at('huge'), 8192 * MIB)
  const prints = { print: folder.print('big'), huge: folder.print('huge') }
  return { at: { root: folder.root, baseFile }, ...prints, wanted: whole.digest('hex') }
}

t.test(
  'an edited file is hashed by one thread while another finds its patch: both are of the same bytes',
  async (t) => {
    const { at, print, wanted } = edited(t)
    await using lanes = new DiskLanes()
    const disk = lanes.disk(at)
    const hashed = await disk.hash({ path: rel('big'), print, like: sha256(old) }, signal)
    t.match(hashed, { kind: 'read', sha256: wanted, patch: { sources: [sha256(old)] } })
    const alone = await disk.hash({ path: rel('big'), print, like: undefined }, signal)
    t.match(alone, { kind: 'read', sha256: wanted }, 'and of those that one thread reads alone')
    await lanes.freeMemory()
  },
)

t.test('an edited file that is not what was expected is told as changed', async (t) => {
  const { at, print } = edited(t)
  await using lanes = new DiskLanes()
  const disk = lanes.disk(at)
  const other = { ...print, ctimeNs: '1' }
  t.same(await disk.hash({ path: rel('big'), print: other, like: sha256(old) }, signal), { kind: 'changed' })
  t.match(await disk.hash({ path: rel('big'), print, like: sha256(old) }, signal), { kind: 'read' })
})

/** How many bytes all threads of this process have read so far. */
const bytesRead = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])

t.test('an edited file that is not wanted any more is read on by neither thread', async (t) => {
  const { at, print, huge } = edited(t)
  await using lanes = new DiskLanes()
  const disk = lanes.disk(at)
  const stop = new AbortController()
  const before = bytesRead()
  const hashed = disk.hash({ path: rel('huge'), print: huge, like: sha256(old) }, stop.signal)
  hashed.catch(() => undefined)
  while (bytesRead() - before < 64 * MIB) await setTimeout(1)
  stop.abort(new Error('not wanted'))
  await t.rejects(hashed, { message: 'not wanted' })
  // Both threads do this after that.
  t.match(await disk.hash({ path: rel('big'), print, like: sha256(old) }, signal), { kind: 'read' })
  t.ok(bytesRead() - before < 8192 * MIB, 'they have read less than all of it')
})

t.test('lanes that are closed while their threads still load end in peace', async (t) => {
  const lib = new URL('../../lib/replica/disk-lanes.js', import.meta.url).href
  const code = `const { DiskLanes } = await import(${JSON.stringify(lib)})
    for (let round = 0; round < 12; round++) {
      const lanes = new DiskLanes()
      const disk = lanes.disk({ root: '/nowhere', baseFile: '/nowhere.db' })
      const looked = disk.look(['a'], new AbortController().signal).catch(() => undefined)
      await new Promise((done) => setTimeout(done, round * 8))
      await lanes[Symbol.asyncDispose]()
      await looked
    }
    console.log('in peace')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  const said: string[] = []
  child.stdout.on('data', (bytes: Buffer) => said.push(bytes.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  t.equal(status, 0)
  t.equal(said.join('').trim(), 'in peace')
})
