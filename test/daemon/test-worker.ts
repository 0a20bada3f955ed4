// A worker thread for the tests of lanes.

import { serveJobs } from '../../lib/daemon/serve-jobs.ts'
import { Refused, SyncError } from '../../lib/errors.ts'

export interface TestJobs {
  double: { input: number; output: number }
  fill: { input: number; output: Uint8Array }
  count: { input: number; output: string; part: number }
  fail: { input: 'refused' | 'sync' | 'system' | 'text' | 'exit' | 'throw'; output: undefined }
  spin: { input: undefined; output: string }
  /** Whether what an earlier call left lying about is gone. */
  litter: { input: undefined; output: boolean }
  missing: { input: undefined; output: undefined }
}

let sent = 0
let litter: WeakRef<object> | undefined

serveJobs<Omit<TestJobs, 'missing'>>({
  double: (n) => n * 2,
  fill: (n, port) => {
    const bytes = new Uint8Array(n).fill(7)
    port.transfer(bytes.buffer)
    return bytes
  },
  count: async (n, port) => {
    sent = 0
    for (let part = 1; part <= n; part++) {
      await port.send(part)
      sent++
    }
    return `sent ${String(sent)}`
  },
  litter: () => {
    const isGone = litter?.deref() === undefined
    litter = new WeakRef({})
    return isGone
  },
  fail: (how) => {
    switch (how) {
      case 'refused':
        throw new Refused('not yours', { status: 403, hint: 'ask' })
      case 'sync':
        throw new SyncError('no', { code: 'NO', retry: 'later', exitStatus: 75 })
      case 'system':
        throw Object.assign(new Error('ENOENT: none'), { code: 'ENOENT', errno: -2, path: '/x' })
      case 'text':
        throw 'only text' as unknown as Error
      case 'exit':
        process.exit(3)
        break
      case 'throw':
        setImmediate(() => {
          throw new Error('out of band')
        })
        return new Promise(() => undefined)
      default:
        throw new Error(how satisfies never)
    }
    return undefined
  },
  spin: (_input, port) => {
    while (!port.isCancelled()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    return 'stopped'
  },
})
