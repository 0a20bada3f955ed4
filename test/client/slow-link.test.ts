// Small contents over a slow link: bytes are counted, with texts and with what does not shrink.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { noise, words } from '../support/contents.ts'
import { slowTrio, type SlowTrio } from '../support/slow-trio.ts'

const MIB = 1024 * 1024
/** A tenth of what counts as slow. */
const BYTES_PER_SECOND = 3e6
/** What goes over a link besides contents: logins, words, requests. Bytes. */
const WORDS = 0.5 * MIB
const FILE_BYTES = 100_000
const FILES = 40
const TOTAL = FILES * FILE_BYTES

const text = (seed: number, size = FILE_BYTES) => words(size, seed)

/** Lets ann put files, and waits until all have them; the bytes that this took over the slow link. */
async function moved({ nodes, relay }: SlowTrio, dir: string, bodies: readonly Buffer[]) {
  const before = { ...relay.carried }
  // All at once, so that it is one pack where it fits one.
  const aside = `${nodes.dir}/aside`
  mkdirSync(aside)
  bodies.forEach((body, index) => {
    writeFileSync(`${aside}/f${index}`, body)
  })
  renameSync(aside, nodes.place('ann').at(dir))
  await nodes.inStep()
  return { up: relay.carried.up - before.up, down: relay.carried.down - before.down }
}

const texts = (seed: number) => Array.from({ length: FILES }, (_, index) => text(seed + index))
const noises = (seed: number) => Array.from({ length: FILES }, (_, index) => noise(FILE_BYTES, seed + index))
const first = () => Array.from({ length: 15 }, (_, index) => text(1000 + index))

for (const [slow, way] of [
  ['ann', 'up'],
  ['bob', 'down'],
] as const) {
  t.test(`${way}: nothing is guessed of a link; once it is known to be slow, texts take less than half`, async (t) => {
    const nodes = await slowTrio(t, slow, BYTES_PER_SECOND)
    const guessed = await moved(nodes, 'first', first())
    t.ok(guessed[way] >= 15 * FILE_BYTES, `${guessed[way]} of ${15 * FILE_BYTES}: the first go as they are`)
    const known = await moved(nodes, 'texts', texts(1))
    t.ok(known[way] < TOTAL / 2, `${known[way]} of ${TOTAL}`)
    t.comment(`${way}: ${known[way]} bytes for ${TOTAL} of text`)
  })

  t.test(`${way}: what does not shrink takes no more than it is`, async (t) => {
    const nodes = await slowTrio(t, slow, BYTES_PER_SECOND)
    await moved(nodes, 'first', first())
    const known = await moved(nodes, 'noise', noises(1))
    t.ok(known[way] >= TOTAL && known[way] < TOTAL + WORDS, `${known[way]} of ${TOTAL}`)
    let last = 0
    for (let turn = 0; turn < 10; turn++) last = (await moved(nodes, `text${turn}`, [text(turn)]))[way]
    t.ok(last < FILE_BYTES / 2, `${last} of ${FILE_BYTES}: texts are tried again`)
  })
}

t.test('a coordinator that takes no deflated packs gets plain ones after the first', async (t) => {
  const nodes = await slowTrio(t, 'ann', BYTES_PER_SECOND)
  await moved(nodes, 'first', first())
  const { store } = nodes.nodes.hub()
  const seen: string[] = []
  const take = store.takePack.bind(store)
  store.takePack = async (peer, name, slices, signal) => {
    seen.push(name.slice(0, 2))
    if (!name.startsWith('z-')) return await take(peer, name, slices, signal)
    store.discard(peer, name)
    return { pack: undefined, good: slices.map(() => false) }
  }
  const { up } = await moved(nodes, 'texts', texts(1))
  t.ok(up >= TOTAL, 'all arrived, as it is')
  t.ok(seen.indexOf('z-') === 0 && seen.lastIndexOf('z-') < 2, seen.join(' '))
})
