// Journeys of a client that may not read everything: what it cannot see is a problem, never a delete, never empty.
import { chmodSync, chownSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { pause } from '../support/journey-node.ts'
import { Journey } from '../support/journey.ts'
import { PROJECT } from '../support/journey-node.ts'

const isRoot = process.getuid?.() === 0
const canRun =
  !isRoot || spawnSync('ls', [`${PROJECT}/bin/monitor`], { uid: 65534, gid: 65534, stdio: 'ignore' }).status === 0

t.test('a client without rights', { skip: !canRun && 'the project is not readable by another user' }, async (t) => {
  const j = await Journey.open(t, { clients: ['a', 'b'], nobody: isRoot ? ['b'] : [] })
  const [server, a, b] = [j.server, j.client('a'), j.client('b')]
  for (let i = 0; i < 4; i++) a.put(`dir/${i}`, `body ${i}`)
  a.put('file', 'first')
  await j.start()
  await j.settled()
  const problemAt = (path: string) => async () => (await b.folder()).problems.some((problem) => problem.path === path)

  await t.test('an unreadable file is a problem, and nobody gets an empty one', async (t) => {
    writeFileSync(b.at('secret'), 'secret')
    if (isRoot) chownSync(b.at('secret'), 0, 0)
    chmodSync(b.at('secret'), 0o000)
    await j.eventually('it is in status', problemAt('secret'))
    t.notOk(server.has('secret'))
    t.equal((await b.command('status')).status, 1)
    rmSync(b.at('secret'))
    await j.eventually('the problem goes with the file', async () => !(await problemAt('secret')()))
  })

  await t.test(
    'an unreadable directory is a problem, and nothing in it is deleted elsewhere',
    { skip: !isRoot && 'needs an owner who is somebody else' },
    async (t) => {
      // Its mode must not change, for that would travel; only its owner does.
      chmodSync(a.at('dir'), 0o700)
      await j.inStep()
      const before = a.tree()
      await b.stop()
      chownSync(b.at('dir'), 0, 0)
      await b.start()
      await j.eventually('it is in status', problemAt('dir'))
      await pause(300)
      t.same(a.tree(), before)
      chownSync(b.at('dir'), 65534, 65534)
      await b.stop()
      await b.start()
      await j.settled()
      t.same(a.tree(), before)
    },
  )

  await t.test('what cannot be written here is a problem here, and the others go on', async (t) => {
    a.mkdir('fixed')
    await j.inStep()
    if (isRoot) chownSync(b.at('fixed'), 0, 0)
    else chmodSync(b.at('fixed'), 0o555)
    a.put('fixed/file', 'x')
    a.put('free', 'x')
    await j.eventually('the other file arrives', () => b.has('free'))
    await j.eventually('it is in status', async () =>
      (await b.folder()).problems.some((problem) => problem.path.startsWith('fixed')),
    )
    t.ok(server.has('fixed/file'))
    if (isRoot) chownSync(b.at('fixed'), 65534, 65534)
    else chmodSync(b.at('fixed'), 0o755)
    await b.stop()
    await b.start()
    await j.settled()
  })
})
