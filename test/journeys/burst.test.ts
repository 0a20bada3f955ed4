// Journeys of many files at once.
import t from 'tap'
import { Journey } from '../support/journey.ts'

const FILES = 2000

const j = await Journey.open(t, { clients: ['a', 'b'] })
const [a, b] = [j.client('a'), j.client('b')]
await j.start()

t.test('two thousand files made at once arrive, while the other side makes some of its own', async (t) => {
  for (let i = 0; i < FILES; i++) {
    a.put(`many/${i % 50}/${i}`, `body ${i}`)
    if (i % 8 === 0) b.put(`own/${i}`, `of b ${i}`)
  }
  await j.inStep({ limitMs: 60_000 })
  t.equal(b.tree().size, FILES + 51 + FILES / 8 + 1)
})

t.test('two thousand edits arrive', async (t) => {
  for (let i = 0; i < FILES; i++) a.put(`many/${i % 50}/${i}`, `edited ${i}`)
  await j.inStep({ limitMs: 60_000 })
  t.equal(b.read('many/49/1999'), 'edited 1999')
})

t.test('edits of both sides in a jumble end equal, the last of each file standing', async (t) => {
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 200; i++) (i % 2 === 0 ? a : b).put(`jumble/${i}`, `${round} ${i}`)
    for (let i = 0; i < 40; i++) (i % 2 === 0 ? b : a).put(`jumble/extra${round}-${i}`, 'x')
  }
  await j.inStep({ limitMs: 60_000, until: () => b.has('jumble/198') && b.read('jumble/198') === '4 198' })
  t.equal(a.read('jumble/199'), '4 199')
  t.equal(j.server.tree().size, a.tree().size)
})

t.test('a daemon is quick to stop and start on them', async (t) => {
  await a.stop()
  a.put('many/0/0', 'edited while away')
  await a.start()
  await j.settled()
  t.equal(b.read('many/0/0'), 'edited while away')
})
