// `monitor demo`: a coordinator and two clients on this machine, over throw-away folders and keys, told live.

import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { EXIT, SyncError } from '../errors.ts'
import { makeHostKey } from '../ssh/server/host-key.ts'
import type { Command, CommandContext } from './context.ts'

const MONITOR = fileURLToPath(new URL('../../../bin/monitor', import.meta.url))
const NODES = ['coordinator', 'alice', 'bob'] as const
type Name = (typeof NODES)[number]

/** Runs until the signal aborts; everything it made is gone afterwards. */
export const run: Command = async (context) => {
  const place = mkdtempSync(join(tmpdir(), 'systemsync-demo-'))
  const children: ChildProcess[] = []
  try {
    const port = await freePort()
    prepare(place, port)
    await context.print(welcome(place))
    for (const node of NODES) await start(node, { place, port, context, children })
    await context.print('Ready. Edit in any of the three folders, from another terminal:\n')
    await context.print(`  echo hello > ${join(place, 'alice', 'hello.txt')}\n\n`)
    await untilAborted(context.signal)
    await context.print('\nStopping, and removing the folders.\n')
    return EXIT.done
  } finally {
    await Promise.all(children.map(stop))
    rmSync(place, { recursive: true, force: true })
  }
}

function welcome(place: string): string {
  const list = NODES.map((node) => `  ${node.padEnd(12)} ${join(place, node)}\n`).join('')
  return `A coordinator and two clients keep these three folders equal until you press Ctrl-C:\n\n${list}\n`
}

/** Folders, keys and one config file for all three. */
function prepare(place: string, port: number): void {
  const { username } = userInfo()
  const home = join(place, '.home')
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 })
  for (const node of NODES) mkdirSync(join(place, node))
  const key = makeHostKey()
  const keyFile = join(home, '.ssh', 'id_ed25519')
  writeFileSync(keyFile, key.privateText, { mode: 0o600 })
  chmodSync(keyFile, 0o600)
  writeFileSync(join(home, '.ssh', 'authorized_keys'), `${key.publicText} demo\n`, { mode: 0o600 })
  writeFileSync(join(place, 'alice', 'welcome.txt'), "This file was in alice's folder when the demo began.\n")
  writeFileSync(
    join(place, 'systemsync.cfg'),
    `[systemsync.server]
server = ${username}, 127.0.0.1, ${String(port)}

[systemsync.clients]
alice = ${username}, 127.0.0.1, ${String(port + 1)}
bob   = ${username}, 127.0.0.1, ${String(port + 2)}

[systemsync.dirs]
demo = ${join(place, 'coordinator')}

[systemsync.dir.demo]
path.alice = ${join(place, 'alice')}
path.bob   = ${join(place, 'bob')}

[systemsync.ssh]
identity        = ${keyFile}
known-hosts     = ${join(home, '.ssh', 'known_hosts')}
authorized-keys = ${join(home, '.ssh', 'authorized_keys')}
`,
  )
}

interface Running {
  readonly place: string
  readonly port: number
  readonly context: CommandContext
  readonly children: ChildProcess[]
}

/** Starts one node and waits until it is ready; from then on its news are printed line by line. */
async function start(node: Name, { place, port, context, children }: Running): Promise<void> {
  const who =
    node === 'coordinator' ? ['-role', 'server'] : ['-role', 'client', '-port', String(port + NODES.indexOf(node))]
  const args = [
    MONITOR,
    ...who,
    '-config',
    join(place, 'systemsync.cfg'),
    '-state',
    join(place, '.home', node),
    '-json',
  ]
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: join(place, '.home') }
  delete env['SSH_AUTH_SOCK']
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  children.push(child)
  const tell = (line: string): void => {
    const news = newsOf(node, line)
    if (news !== undefined && !context.signal.aborted) void context.print(`${news}\n`)
  }
  createInterface({ input: child.stderr }).on('line', tell)
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('ready ')) resolve()
      else tell(line)
    })
    child.once('error', reject)
    child.once('exit', (status) => {
      reject(
        new SyncError(`Cannot start ${node}: it ended with status ${String(status)}`, {
          code: 'DEMO',
          exitStatus: EXIT.unsynced,
        }),
      )
    })
    context.signal.addEventListener(
      'abort',
      () => {
        resolve()
      },
      { once: true },
    )
  })
}

/** What a line of a node's log says of synced files, for a person; `undefined` for all else. */
function newsOf(node: Name, line: string): string | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null || !('msg' in parsed)) return undefined
  const message = String(parsed.msg)
  const isNews = /^(Pushed|Pulled|Deleted|Removed|Moved|Collision|Held|Halted)/.test(message)
  const isTrouble = 'level' in parsed && (parsed.level === 'error' || parsed.level === 50)
  if (!isNews && !isTrouble) return undefined
  const time = new Date().toISOString().slice(11, 23)
  return `${time}  ${node.padEnd(12)} ${message}`
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await gone
}

/** A port with two free ones after it, as far as can be told. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const bound = probe.address()
      probe.close(() => {
        resolve(bound !== null && typeof bound === 'object' ? Math.min(bound.port, 65_000) : 0)
      })
    })
  })
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true })
  })
}
