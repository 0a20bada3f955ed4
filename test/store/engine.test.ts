import { join } from 'node:path'
import t from 'tap'

import { Statement, connect, hasEngine } from '../../lib/store/engine.ts'
import type { EngineName } from '../../lib/store/engine.ts'
import { onEachEngine } from './engines.ts'

t.test('some engine runs here, and is chosen without asking', async (t) => {
  const connection = connect(join(t.testdir(), 'x.db'))
  t.same(new Statement(connection, 'SELECT 1 AS one').get([])?.['one'], 1)
  connection.close()
})

t.test('without any engine it is said what to do', async (t) => {
  const none = 'no-such-engine' as EngineName
  t.notOk(hasEngine(none))
  t.throws(() => connect(join(t.testdir(), 'x.db'), none), { code: 'NO_SQLITE', hint: /npm install/ })
})

onEachEngine(t, 'a lone blob, null or big integer is bound by its place', (t, { engine }) => {
  const connection = connect(':memory:', engine)
  const kind = new Statement(connection, 'SELECT typeof(?) AS kind')
  t.equal(kind.get([new Uint8Array([1])])?.['kind'], 'blob')
  t.equal(kind.get([null])?.['kind'], 'null')
  t.equal(kind.get([2n ** 62n])?.['kind'], 'integer')
  connection.close()
})
