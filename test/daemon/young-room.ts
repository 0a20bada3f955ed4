// Tells how much room V8 takes for young objects: what it had before much was made, and after; told to keep it small when asked, before a thread begins.

import { getHeapSpaceStatistics } from 'node:v8'
import type { TestJobs } from './test-worker.ts'
import { keepYoungSmall } from '../../lib/daemon/free-memory.ts'
import { WorkerLane } from '../../lib/daemon/worker-lane.ts'

const WORKER = new URL(import.meta.url.endsWith('.ts') ? './test-worker.ts' : './test-worker.js', import.meta.url)

function youngRoom(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? 0
}

if (process.argv.includes('small')) keepYoungSmall()
const before = youngRoom()
{
  await using lane = new WorkerLane<TestJobs>(WORKER, { name: 'test' })
  if (process.argv.includes('thread')) await lane.run('double', 1, {}, new AbortController().signal)
}
let most = 0
let kept: unknown[] = []
for (let i = 0; i < 1_000_000; i++) {
  kept.push({ a: i, b: String(i) })
  if (kept.length > 100_000) kept = []
  if (i % 10_000 === 0) most = Math.max(most, youngRoom())
}
process.stdout.write(JSON.stringify({ before, most }))
