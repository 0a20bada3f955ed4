// A throw-away sshd on loopback, with throw-away keys and a configuration of its own.

import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { userInfo } from 'node:os'
import { connect } from 'node:net'
import type { Brood } from './processes.ts'
import { freePort, type Wire } from './wire.ts'

/** What contenders need to know of it. */
export interface Sshd {
  /** The configuration for `ssh -F`: one host for each client, called as it, reached over its link. */
  readonly config: string
  readonly identity: string
  readonly authorizedKeys: string
  /** Undefined where there is no sshd on the machine. */
  readonly pid: number | undefined
}

const SSHD = '/usr/sbin/sshd'

/** Starts it. `clients`: the names of those who connect. */
export async function startSshd(plan: {
  dir: string
  brood: Brood
  wire: Wire
  clients: readonly string[]
}): Promise<Sshd> {
  const { dir, brood, wire, clients } = plan
  mkdirSync(dir, { mode: 0o700 })
  const at = (name: string) => join(dir, name)
  for (const key of ['host', 'id'])
    await brood.run({ name: 'keygen', command: 'ssh-keygen', args: ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)] })
  copyFileSync(at('id.pub'), at('keys'))
  chmodSync(at('keys'), 0o600)
  const known = { config: at('client.cfg'), identity: at('id'), authorizedKeys: at('keys') }
  if (!existsSync(SSHD)) return { ...known, pid: undefined }
  const port = await freePort()
  writeFileSync(at('sshd.cfg'), serverConfig(port, at))
  writeFileSync(at('known_hosts'), `bench ${readFileSync(at('host.pub'), 'utf8')}`)
  const ports = await Promise.all(clients.map((name) => wire.way(name, port)))
  const hosts = clients.map((name, index) => clientConfig(name, ports[index] ?? port, at))
  writeFileSync(known.config, hosts.join(''))
  // A root sshd wants the directory its package makes at boot.
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const program = brood.start({ name: 'sshd', command: SSHD, args: ['-D', '-e', '-f', at('sshd.cfg')] })
  await untilOpen(port)
  return { ...known, pid: program.pid }
}

function serverConfig(port: number, at: (name: string) => string): string {
  return [
    ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${at('host')}`, `AuthorizedKeysFile ${at('keys')}`],
    ...['PidFile none', 'UsePAM no', 'StrictModes no', 'PermitRootLogin yes', 'PasswordAuthentication no'],
    ...['KbdInteractiveAuthentication no', 'LogLevel ERROR', 'MaxStartups 100', 'MaxSessions 100', 'PrintMotd no'],
    ...[`SetEnv BENCH_SSHD=1`, 'UseDNS no', ''],
  ].join('\n')
}

function clientConfig(name: string, port: number, at: (name: string) => string): string {
  return (
    [
      `Host ${name}`,
      ...['HostName 127.0.0.1', `Port ${port}`, `User ${userInfo().username}`, `IdentityFile ${at('id')}`],
      ...['IdentitiesOnly yes', 'IdentityAgent none', `UserKnownHostsFile ${at('known_hosts')}`, 'HostKeyAlias bench'],
      ...['GlobalKnownHostsFile none', 'StrictHostKeyChecking yes', 'BatchMode yes', 'LogLevel ERROR', ''],
    ]
      .join('\n  ')
      .trimEnd() + '\n'
  )
}

async function untilOpen(port: number): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`Cannot start sshd: nothing listens on port ${port} after 4 s`)
}
