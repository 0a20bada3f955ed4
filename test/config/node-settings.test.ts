import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { NodeSettings } from '../../lib/config/node-settings.ts'
import { hostPath } from '../../lib/model/path.ts'

t.test('bindings and the id outlive the process, in a file for its owner only', async (t) => {
  const dir = hostPath(t.testdir({}))
  const settings = new NodeSettings(dir)
  const id = settings.nodeId()
  t.match(id, /^[0-9a-f-]{36}$/)
  t.equal(settings.keyOf('client.1'), undefined)
  t.equal(settings.keyOf('constructor'), undefined)
  settings.bindKey('client.1', 'SHA256:a')
  settings.bindKey('b', 'SHA256:b')
  settings.bindKey('b', 'SHA256:c')
  const again = new NodeSettings(dir)
  t.equal(again.nodeId(), id)
  t.equal(again.keyOf('client.1'), 'SHA256:a')
  t.same(
    [...again.keys()],
    [
      ['client.1', 'SHA256:a'],
      ['b', 'SHA256:c'],
    ],
  )
  t.equal(statSync(join(dir, 'node.json')).mode & 0o777, 0o600)
})
