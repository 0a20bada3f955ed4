import { duplexPair, type Duplex } from 'node:stream'
import sinon from 'sinon'
import t from 'tap'
import { z } from 'zod'
import { silentLog } from '../../lib/daemon/log.ts'
import { Refused, Unauthorised, Unreachable } from '../../lib/errors.ts'
import { RpcPeer, type RpcMethod, type RpcPeerOptions } from '../../lib/rpc/peer.ts'

const never = new AbortController().signal
const anything = z.unknown()

const methods: Record<string, RpcMethod> = {
  double: {
    params: z.strictObject({ n: z.number().transform((n) => n * 2) }),
    result: z.object({ n: z.number().transform(String) }),
    run: (params) => ({ n: (params as { n: number }).n }),
  },
  refuse: {
    params: anything,
    result: anything,
    run: () => {
      throw new Refused('Not yours\u001b[2J', { status: 403, hint: 'ask' })
    },
  },
  unauthorised: {
    params: anything,
    result: anything,
    run: () => {
      throw new Unauthorised('Who are you')
    },
  },
  unreachable: {
    params: anything,
    result: anything,
    run: () => {
      throw new Unreachable('Cannot ask the coordinator: it is not connected', { hint: 'wait' })
    },
  },
  bug: {
    params: anything,
    result: anything,
    run: () => {
      throw new Error('secret inside')
    },
  },
  lies: { params: anything, result: z.number(), run: () => 'no number' },
  huge: { params: anything, result: anything, run: () => 'x'.repeat(2 ** 21) },
  hang: { params: anything, result: anything, run: () => new Promise(() => undefined) },
  nothing: { params: anything, result: anything, run: () => undefined },
}

function pair(options: Partial<RpcPeerOptions> = {}): { a: RpcPeer; b: RpcPeer } {
  const [left, right] = linkedPair()
  const a = new RpcPeer(left, { methods: {}, log: silentLog, ...options })
  const b = new RpcPeer(right, { methods, log: silentLog, ...options, ...(options.methods && { methods }) })
  return { a, b }
}

/** In memory; when one end closes, so does the other. */
function linkedPair(): [Duplex, Duplex] {
  const [left, right] = duplexPair()
  left.on('close', () => right.destroy())
  right.on('close', () => left.destroy())
  return [left, right]
}

/** A peer whose other side is played by hand: what it answers, line by line. */
function rawPair(options: Partial<RpcPeerOptions> = {}) {
  const [left, right] = linkedPair()
  const peer = new RpcPeer(right, { methods, log: silentLog, ...options })
  return { peer, channel: left, answers: linesOf(left) }
}

async function* linesOf(channel: Duplex): AsyncGenerator {
  let text = ''
  for await (const chunk of channel as AsyncIterable<Buffer>) {
    text += chunk.toString()
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
      yield JSON.parse(text.slice(0, at))
      text = text.slice(at + 1)
    }
  }
}

t.test('a call goes there and back, read by the schemas of both sides', async (t) => {
  const { a, b } = pair()
  t.same(await a.call('double', { n: 21 }, z.object({ n: z.number() }), never), { n: 42 })
  t.equal(await a.call('nothing', {}, z.null(), never), null)
  await b[Symbol.asyncDispose]()
  await a.closed
})

t.test('both sides call each other', async (t) => {
  const [left, right] = linkedPair()
  const echo: RpcMethod = {
    params: z.object({ n: z.number() }),
    result: z.number(),
    run: (p) => (p as { n: number }).n,
  }
  const relay: RpcMethod = {
    params: z.object({ n: z.number() }),
    result: z.number(),
    run: (params, { peer, signal }) => peer.call('echo', params, z.number(), signal),
  }
  await using a = new RpcPeer(left, { methods: { echo }, log: silentLog })
  await using b = new RpcPeer(right, { methods: { relay }, log: silentLog })
  t.equal(await a.call('relay', { n: 7 }, z.number(), never), 7)
  t.ok(b.signal)
})

t.test('a refusal arrives as a refusal, without control characters; a bug tells nothing', async (t) => {
  const { a, b } = pair()
  const refused = await a.call('refuse', {}, anything, never).catch((error: unknown) => error)
  t.match(refused, { status: 403, message: 'Not yours [2J', hint: 'ask' })
  t.ok(refused instanceof Refused)
  await t.rejects(a.call('unauthorised', {}, anything, never), new Refused('Who are you', { status: 401 }))
  const unreachable = { message: /not connected/, hint: 'wait', exitStatus: 75 }
  await t.rejects(a.call('unreachable', {}, anything, never), unreachable, 'whom it asked in turn cannot be reached')
  await t.rejects(a.call('bug', {}, anything, never), { code: 'PROTOCOL', message: /Internal error/ })
  await t.rejects(a.call('lies', {}, anything, never), { code: 'PROTOCOL', message: /-32603/ })
  await t.rejects(a.call('absent', {}, anything, never), { code: 'PROTOCOL', message: /-32601/ })
  await t.rejects(a.call('toString', {}, anything, never), { code: 'PROTOCOL', message: /-32601/ })
  await t.rejects(a.call('double', { n: 'x' }, anything, never), { code: 'PROTOCOL', message: /-32602/ })
  await t.rejects(a.call('double', { n: 1, extra: 1 }, anything, never), { code: 'PROTOCOL', message: /-32602/ })
  await t.rejects(a.call('double', { n: 1 }, z.string(), never), { code: 'PROTOCOL', message: /Cannot understand/ })
  await t.rejects(a.call('huge', {}, anything, never), Refused, 'an answer too long is an error')
  await t.rejects(a.call('double', { n: 'x'.repeat(2 ** 21) }, anything, never), { code: 'LINE_TOO_LONG' })
  t.same(await a.call('double', { n: 1 }, anything, never), { n: 2 }, 'and the connection lives on')
  await b[Symbol.asyncDispose]()
})

t.test('open calls are rejected when the channel closes, and later ones at once', async (t) => {
  const { a, b } = pair()
  const hanging = a.call('hang', {}, anything, never)
  await new Promise(setImmediate)
  await b[Symbol.asyncDispose]()
  await t.rejects(hanging, Unreachable)
  await a.closed
  await t.rejects(a.call('double', { n: 1 }, anything, never), Unreachable)
  await a.notify('double', {})
  t.ok(a.signal.aborted)
})

t.test('a call that is not answered in time is given up; one that is aborted is left at once', async (t) => {
  const due: (() => void)[] = []
  const after = (_ms: number, fn: () => void) => {
    due.push(fn)
    return { [Symbol.dispose]: () => undefined }
  }
  const clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve(), after }
  const { a, b } = pair({ clock })
  const late = a.call('hang', {}, anything, never)
  await new Promise(setImmediate)
  due[0]?.()
  await t.rejects(late, { name: 'Unreachable', message: /no answer came within 60 s/ })
  const abort = new AbortController()
  const left = a.call('hang', {}, anything, abort.signal)
  abort.abort(new Error('stop'))
  await t.rejects(left, { message: 'stop' })
  await t.rejects(a.call('hang', {}, anything, abort.signal), { message: 'stop' })
  await a[Symbol.asyncDispose]()
  await b.closed
})

t.test('our own calls beyond the limit wait their turn', async (t) => {
  let running = 0
  let most = 0
  const count: RpcMethod = {
    params: anything,
    result: anything,
    run: async () => {
      most = Math.max(most, ++running)
      await new Promise(setImmediate)
      running--
      return null
    },
  }
  const [left, right] = linkedPair()
  await using a = new RpcPeer(left, { methods: {}, log: silentLog, maxOutstanding: 2 })
  await using b = new RpcPeer(right, { methods: { count }, log: silentLog })
  await Promise.all(Array.from({ length: 9 }, () => a.call('count', {}, anything, never)))
  t.equal(most, 2)
  t.notOk(b.failure)
})

t.test('the other side’s calls beyond the limit are refused, its hints are read later', async (t) => {
  const { peer, channel, answers } = rawPair({ maxOutstanding: 1 })
  const call = (id: number, method: string) => channel.write(`${JSON.stringify({ jsonrpc: '2.0', id, method })}\n`)
  call(1, 'hang')
  call(2, 'hang')
  t.match((await answers.next()).value, { id: 2, error: { code: -32005 } })
  await peer[Symbol.asyncDispose]()
})

t.test('hints wait for room instead of being refused', async (t) => {
  const done: (() => void)[] = []
  const hint: RpcMethod = {
    params: anything,
    result: anything,
    run: () =>
      new Promise((resolve) => {
        done.push(() => {
          resolve(null)
        })
      }),
  }
  const { peer, channel } = rawPair({ methods: { hint }, maxOutstanding: 1 })
  for (let n = 0; n < 3; n++) channel.write('{"jsonrpc":"2.0","method":"hint"}\n')
  for (let n = 0; n < 3; n++) {
    while (done.length <= n) await new Promise(setImmediate)
    t.equal(done.length, n + 1)
    done[n]?.()
  }
  await peer[Symbol.asyncDispose]()
})

t.test('hostile lines never crash: each is answered as JSON-RPC says, or ignored', async (t) => {
  const warn = sinon.fake()
  const { peer, channel, answers } = rawPair({ log: { ...silentLog, warn } })
  const cases: [string, number][] = [
    ['garbage', -32700],
    ['{"jsonrpc":"2.0","id":1,"method":', -32700],
    ['[{"jsonrpc":"2.0","id":1,"method":"double"}]', -32600],
    ['[]', -32600],
    ['null', -32600],
    ['42', -32600],
    ['{"jsonrpc":"1.0","id":1,"method":"double"}', -32600],
    ['{"jsonrpc":"2.0","id":{},"method":"double"}', -32600],
    ['{"jsonrpc":"2.0","id":1,"method":5}', -32600],
    [`{"jsonrpc":"2.0","id":1,"method":"${'m'.repeat(5000)}"}`, -32600],
    ['{"jsonrpc":"2.0","id":1,"method":"double","params":"text"}', -32600],
    ['{"jsonrpc":"2.0","id":1,"method":"constructor"}', -32601],
    ['{"jsonrpc":"2.0","id":1,"method":"__proto__"}', -32601],
    ['{"jsonrpc":"2.0","id":1,"method":"double","params":{"__proto__":{"n":1}}}', -32602],
    [`{"jsonrpc":"2.0","id":1,"method":"double","params":{"n":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`, -32602],
    [`${'['.repeat(400_000)}${']'.repeat(400_000)}`, -32600],
  ]
  for (const [line, code] of cases) {
    channel.write(`${line}\n`)
    t.match((await answers.next()).value, { error: { code } }, line.slice(0, 60))
  }
  for (const answer of ['{"jsonrpc":"2.0","id":1,"error":5}', '{"jsonrpc":"2.0","id":1,"result":1,"error":null}']) {
    channel.write(`${answer}\n`)
  }
  channel.write('{"jsonrpc":"2.0","id":99,"result":1}\n')
  channel.write('{"jsonrpc":"2.0","method":"absent"}\n')
  channel.write('{"jsonrpc":"2.0","id":1,"method":"double","params":{"n":2}}\n')
  t.same((await answers.next()).value, { jsonrpc: '2.0', id: 1, result: { n: 4 } }, 'still alive')
  t.ok(warn.called, 'answers that are none are told')
  channel.write('x'.repeat(1024 * 1024 + 1))
  await peer.closed
  t.match(peer.failure, { code: 'LINE_TOO_LONG' }, 'a line without end closes the channel')
})

t.test('every message is noted, under the name of the peer', async (t) => {
  const noted: unknown[] = []
  const messageLog = { note: (...entry: unknown[]) => void noted.push(entry) }
  const { peer, channel, answers } = rawPair({ messageLog, name: 'client1' })
  const request = { jsonrpc: '2.0', id: 5, method: 'double', params: { n: 1 } }
  channel.write(`${JSON.stringify(request)}\n`)
  await answers.next()
  t.same(noted, [
    ['client1', 'in', request],
    ['client1', 'out', { jsonrpc: '2.0', id: 5, result: { n: 2 } }],
  ])
  await peer[Symbol.asyncDispose]()
  t.notOk(peer.failure, 'closing it ourselves is no failure')
})

t.test('a channel that breaks ends the peer with the reason', async (t) => {
  const { peer, channel } = rawPair()
  const hanging = peer.call('x', {}, anything, never)
  channel.on('error', () => undefined)
  channel.destroy(new Error('cut'))
  await t.rejects(hanging, Unreachable)
  await peer.closed
})
