// Runs a script in a process of its own, where wished for in a user namespace with lower limits of inotify.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** `undefined` when limits were asked for and no user namespace can be made here. The script finds the compiled `lib` in `LIB`. */
export async function runLimited(
  limits: Readonly<Record<string, number>>,
  script: string,
): Promise<{ readonly status: number | null; readonly stdout: string } | undefined> {
  const env = { ...process.env, NODE_OPTIONS: '', LIB: fileURLToPath(new URL('../../lib', import.meta.url)) }
  const node = [process.execPath, '--input-type=module', '-e', script] as const
  const settings = Object.entries(limits).map(([name, value]) => `echo ${value} > /proc/sys/user/${name} || exit 99`)
  const [command, ...args] =
    settings.length === 0 ? node : ['unshare', '-Ur', 'sh', '-c', [...settings, 'exec "$@"'].join('; '), 'sh', ...node]
  return await new Promise((resolve) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
    child.on('error', () => {
      resolve(undefined)
    })
    child.on('close', (status) => {
      const isDenied = settings.length > 0 && (status === 99 || stderr.startsWith('unshare:'))
      resolve(isDenied ? undefined : { status, stdout: stdout + (status === 0 ? '' : stderr) })
    })
  })
}
