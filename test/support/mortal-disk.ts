// A disk that dies: from a chosen change on, or wherever a chosen place is looked at, the calls of `node:fs` fail in this thread.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import sinon from 'sinon'

const CHANGES = ['mkdirSync', 'renameSync', 'rmSync', 'rmdirSync', 'unlinkSync', 'writeFileSync'] as const
const LOOKS = ['lstatSync', 'readFileSync', 'readdirSync', 'rmdirSync'] as const

/** Lets `diesAfter` changes at or below `below` happen, then none any more until it is disposed. */
export function mortalDisk({ diesAfter, below }: { readonly diesAfter: number; readonly below: string }) {
  const death = new Error('died')
  let left = diesAfter
  const undo = replaced(CHANGES, (place) => {
    if (place.startsWith(below) && left-- <= 0) throw death
  })
  return {
    death,
    /** Whether it has come to that. */
    get isDead() {
      return left < 0
    },
    [Symbol.dispose]: undo,
  }
}

/** Fails with `code` whatever is asked of `place`, until it is disposed. */
export function failingDisk(place: string, code: string): Disposable {
  const undo = replaced(LOOKS, (asked) => {
    if (asked === place) throw Object.assign(new Error(`${code}: ${place}`), { code })
  })
  return { [Symbol.dispose]: undo }
}

function replaced(names: readonly (keyof typeof fs)[], before: (place: string) => void): () => void {
  const sandbox = sinon.createSandbox()
  for (const name of names) {
    const real = fs[name] as (...values: unknown[]) => unknown
    sandbox.replace(fs, name, ((...values: unknown[]) => {
      before(String(values[0]))
      return real(...values)
    }) as never)
  }
  syncBuiltinESMExports()
  return () => {
    sandbox.restore()
    syncBuiltinESMExports()
  }
}
