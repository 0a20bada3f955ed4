// Keeps small what the process takes from the system, and gives back what it no longer uses: garbage of V8, and free room of the C library.

import { setFlagsFromString } from 'node:v8'

/**
 * Collects all garbage of this thread and moves what is left together, so that whole pages become free; some 50 ms. Nothing in Node says so
 * to V8 but the tools for developers, and a Node that was built without them keeps its garbage until it needs the room.
 */
export async function collectGarbage(): Promise<void> {
  const inspector = await import('node:inspector/promises').catch(() => undefined)
  if (inspector === undefined) return
  const session = new inspector.Session()
  session.connect()
  try {
    await session.post('HeapProfiler.collectGarbage')
  } finally {
    session.disconnect()
  }
}

/**
 * Returns free room of the C library to the system (malloc_trim(3)). `false` when there was none, or where the library cannot (musl).
 */
export async function trimFreeRoom(): Promise<boolean> {
  return (await callLibc('malloc_trim', ['size_t'], [0])) === 1
}

/**
 * Has V8 collect young objects in the room it has for them now, where it would take up to 32 MiB before it does. Whenever a thread begins V8
 * forgets that, so a lane says it again.
 */
export function keepYoungSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}

const M_ARENA_MAX = -8
/** Each thread would have one of its own, with free room of its own. */
const ARENAS = 2

/** Has all threads share a few pools of the C library's memory (mallopt(3)); early, before there are more. `false` where it cannot (musl). */
export async function shareArenas(): Promise<boolean> {
  return (await callLibc('mallopt', ['int', 'int'], [M_ARENA_MAX, ARENAS])) === 1
}

const M_TRIM_THRESHOLD = -1
const M_TOP_PAD = -2
const M_MMAP_THRESHOLD = -3
const MIB = 1024 * 1024
/** So much free room at the end of a pool is kept, and so much is taken at once. Bytes. */
const KEPT = 16 * MIB
const TAKEN = 4 * MIB
/** What is as large gets pages of its own, which go back at once; the buffers of a stream are smaller. Bytes. */
const OWN_PAGES = MIB

/**
 * Has the C library keep free room until `trimFreeRoom` (mallopt(3)). By itself it gives back each buffer of a transfer, and the system clears
 * the same pages again for the next one. `false` where it cannot (musl).
 */
export async function keepFreeRoom(): Promise<boolean> {
  const options = [
    [M_MMAP_THRESHOLD, OWN_PAGES],
    [M_TRIM_THRESHOLD, KEPT],
    [M_TOP_PAD, TAKEN],
  ] as const
  for (const option of options) {
    if ((await callLibc('mallopt', ['int', 'int'], option)) !== 1) return false
  }
  return true
}

/** What the C library's `name` returns, an int; `undefined` when it has no such function. */
async function callLibc(
  name: string,
  types: readonly string[],
  values: readonly number[],
): Promise<number | undefined> {
  const { default: koffi } = await import('koffi')
  const libc = koffi.load(null)
  let call
  try {
    call = libc.func(name, 'int', [...types])
  } catch {
    return undefined
  }
  return Number(call(...values))
}
