import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { clientControl } from '../../lib/commands/client-control.ts'
import { Refused, type SyncError, Unauthorised, Unreachable } from '../../lib/errors.ts'
import { InProcess } from '../support/in-process.ts'

/** The status with which it is refused. */
async function refusal(work: () => Promise<unknown>): Promise<unknown> {
  return await work().catch((error: unknown) => (error instanceof Refused ? error.status : error))
}

t.test('a client that has no coordinator says so and answers nothing it cannot know', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  await nodes.startServer()
  await nodes.stopServer()
  nodes.place('ann').put('f', 'written offline')
  await nodes.startClient('ann')
  const ann = nodes.client('ann')
  t.match(ann.link, { connected: false, failure: Unreachable })
  await t.rejects(ann.ask('conflicts', {}, nodes.signal), Unreachable)
  t.throws(() => ann.depot('docs'), Unreachable)
  t.equal(nodes.replica('ann').status().state, 'offline')
})

t.test('a client goes on by itself when the coordinator is back', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  await nodes.start()
  nodes.place('ann').put('before', 'x')
  await nodes.inStep()
  await nodes.stopServer()
  await nodes.eventually(() => !nodes.client('ann').link.connected)
  nodes.place('ann').put('meanwhile', 'y')
  nodes.server.put('there', 'z')
  await nodes.startServer()
  await nodes.inStep()
  t.equal(nodes.server.read('meanwhile'), 'y')
  t.equal(nodes.place('ann').read('there'), 'z')
})

t.test('a client whose key is not known is turned away for good, with what to do', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  await nodes.startServer()
  writeFileSync(`${nodes.server.home}/.ssh/authorized_keys`, '')
  const error = await nodes.startClient('ann').then(
    () => undefined,
    (cause: unknown) => cause,
  )
  t.type(error, Unauthorised)
  t.match((error as SyncError).exitStatus, 77)
  t.match(`${(error as SyncError).message} ${(error as SyncError).hint ?? ''}`, /key/)
})

t.test('a client that was let in once keeps trying when its key is taken away, and is let in again', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  await nodes.start()
  await nodes.inStep()
  const file = `${nodes.server.home}/.ssh/authorized_keys`
  const keys = readFileSync(file, 'utf8')
  rmSync(file)
  await nodes.stopServer()
  await nodes.startServer()
  await nodes.eventually(() => nodes.client('ann').link.failure instanceof Unauthorised)
  writeFileSync(file, keys, { mode: 0o600 })
  await nodes.inStep()
  t.ok(nodes.client('ann').link.connected)
})

t.test('every small content of a pack is got as it was, and every version', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann', 'bob'] })
  const texts = Object.fromEntries(
    Array.from({ length: 5 }, (_, index) => [`f${String(index)}`, `text ${String(index)}`.repeat(index)]),
  )
  for (const [name, text] of Object.entries(texts)) nodes.place('ann').put(name, text)
  const large = 'x'.repeat(300_000)
  nodes.place('ann').put('large', large)
  await nodes.start()
  await nodes.inStep()
  nodes.place('ann').put('f1', 'edited')
  await nodes.eventually(() => nodes.place('bob').read('f1') === 'edited')
  const control = clientControl(nodes.client('bob'), nodes.node('bob'))
  const got = async (path: string, rev?: number): Promise<string> => {
    const found = await control.get({ folder: 'docs', path, ...(rev === undefined ? {} : { rev }) }, nodes.signal)
    t.equal(found.temporary, true)
    t.equal(statSync(found.file).mode & 0o777, 0o600)
    const text = readFileSync(found.file, 'utf8')
    rmSync(found.file)
    return text
  }
  for (const [path, text] of Object.entries({ ...texts, large, f1: 'edited' })) t.equal(await got(path), text, path)
  const versions = await control.history({ folder: 'docs', path: 'f1' }, nodes.signal)
  t.equal(versions.length, 2)
  t.equal(await got('f1', versions[0]?.rev), texts['f1'])
  t.equal(await refusal(async () => await got('f1', 9999)), 404)
  t.equal(await refusal(async () => await got('nowhere')), 404)
  t.equal(await refusal(async () => await got('../outside')), 400)
})

t.test('the control socket’s answers on a client: status, log, clients, conflicts, restore', async (t) => {
  const nodes = InProcess.open(t, { clients: ['ann'] })
  nodes.place('ann').put('f', 'one')
  await nodes.start()
  await nodes.inStep()
  nodes.place('ann').put('f', 'two')
  await nodes.eventually(() => nodes.server.read('f') === 'two')
  await nodes.inStep()
  const control = clientControl(nodes.client('ann'), nodes.node('ann'))
  t.match(await control.status({}, nodes.signal), {
    role: 'client',
    node: 'ann',
    coordinator: { connected: true },
    folders: [{ name: 'docs', state: 'in step', pending: 0, problems: [] }],
  })
  t.match(await control.log({ folder: 'docs' }, nodes.signal), [
    { path: 'f', peer: 'ann', what: 'create' },
    { path: 'f', peer: 'ann', what: 'update' },
  ])
  t.same(await control.conflicts({}, nodes.signal), [])
  t.match(await control.clients({}, nodes.signal), [{ name: 'ann', online: true }])
  const { rev } = await control.restore({ folder: 'docs', path: 'f', rev: 1 }, nodes.signal)
  t.equal(rev, 3)
  await nodes.eventually(() => nodes.place('ann').read('f') === 'one' && nodes.server.read('f') === 'one')
  t.equal(await refusal(async () => await control.confirm({ folder: 'docs' }, nodes.signal)), 409)
  t.equal(await refusal(async () => await control.reject({ folder: 'nowhere' }, nodes.signal)), 404)
})
