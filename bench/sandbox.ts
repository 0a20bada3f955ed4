// The private place of a run: a directory, and (where the kernel allows) a network and a process table of its own.

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

/** Tells the inner run that all traffic on its loopback is its own. */
export const OWN_NETWORK = 'BENCH_OWN_NETWORK'
/** Tells the inner run where its private directory is. */
export const PRIVATE_DIR = 'BENCH_PRIVATE_DIR'

const GRACE_MS = 30_000

/** Runs this program again inside a sandbox; returns its exit status when all it made is gone again. */
export async function runInSandbox(script: string, argv: readonly string[], on: 'tmpfs' | 'disk'): Promise<number> {
  const dir = mkdtempSync(join(on === 'tmpfs' ? '/dev/shm' : tmpdir(), 'ssb-'))
  const wrap = namespaces()
  if (wrap.length === 0) console.error('bench: no network namespace here; all traffic goes through a counting relay')
  const [command = process.execPath, ...args] = [...wrap, process.execPath, script, ...argv]
  const env = { ...process.env, [PRIVATE_DIR]: dir, [OWN_NETWORK]: wrap.length > 0 ? '1' : '' }
  // The inner run watches its standard input: when it ends, for whatever reason, so does the run.
  const inner = spawn(command, args, { stdio: ['pipe', 'inherit', 'inherit'], env })
  const stop = () => {
    inner.stdin.end()
    setTimeout(() => inner.kill('SIGKILL'), GRACE_MS).unref()
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop)
  const status = await new Promise<number>((resolve) => {
    inner.once('error', () => resolve(70))
    inner.once('exit', (code) => resolve(code ?? 70))
  })
  rmSync(dir, { recursive: true, force: true })
  return status
}

/** The command that gives a program its own network and process table; empty when this machine refuses. */
function namespaces(): string[] {
  const own = ['--net', '--pid', '--fork', '--mount-proc', '--kill-child', '--']
  const asUser = ['--user', '--map-current-user', '--keep-caps']
  const command = ['unshare', ...(userInfo().uid === 0 ? [] : asUser), ...own]
  const up = ['sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
  const probe = [...command.slice(1), ...up, 'true']
  return spawnSync('unshare', probe, { stdio: 'ignore' }).status === 0 ? [...command, ...up] : []
}
