// Large contents over a slow link: bytes are counted, with text and with what does not shrink, both ways.
import { renameSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { noise, words } from '../support/contents.ts'
import { slowTrio, type SlowTrio } from '../support/slow-trio.ts'

const MIB = 1024 * 1024
/** A third of what counts as slow. */
const BYTES_PER_SECOND = 10e6
/** What goes over a link besides contents: words, requests, headers. Bytes. */
const WORDS = 0.5 * MIB
const SIZE = 8 * MIB
const HALF = SIZE / 2

const text = (seed: number, size = SIZE) => words(size, seed)

/** Lets ann put a file, and waits until all have it; the bytes that this took over the slow link. */
async function moved({ nodes, relay }: SlowTrio, name: string, body: Buffer) {
  const before = { ...relay.carried }
  writeFileSync(`${nodes.dir}/aside`, body)
  renameSync(`${nodes.dir}/aside`, nodes.place('ann').at(name))
  await nodes.inStep()
  t.ok(nodes.place('bob').bytes(name).equals(body), `${name} is what it was`)
  return { up: relay.carried.up - before.up, down: relay.carried.down - before.down }
}

for (const [slow, way] of [
  ['ann', 'up'],
  ['bob', 'down'],
] as const) {
  t.test(
    `${way}: a large content is measured while it moves; what follows of it, and the next, is deflated`,
    async (t) => {
      const nodes = await slowTrio(t, slow, BYTES_PER_SECOND)
      const first = await moved(nodes, 'first', text(1))
      t.ok(first[way] < SIZE * 0.85 && first[way] > SIZE / 4, `${first[way]} of ${SIZE}: the start goes as it is`)
      const next = await moved(nodes, 'next', text(2))
      t.ok(next[way] < SIZE / 2, `${next[way]} of ${SIZE}`)
      t.comment(`${way}: ${first[way]}, then ${next[way]} bytes for ${SIZE} of text`)
    },
  )

  t.test(`${way}: what does not shrink takes no more than it is`, async (t) => {
    const nodes = await slowTrio(t, slow, BYTES_PER_SECOND)
    await moved(nodes, 'text', text(3, 2 * MIB))
    const random = await moved(nodes, 'noise', noise(HALF))
    t.ok(random[way] >= HALF && random[way] < HALF + WORDS, `${random[way]} of ${HALF}`)
    const next = await moved(nodes, 'next', Buffer.concat([noise(HALF / 2, 2), text(4, HALF)]))
    t.ok(next[way] < 1.5 * HALF, `${next[way]} of ${1.5 * HALF}: the text behind it is deflated`)
  })
}
