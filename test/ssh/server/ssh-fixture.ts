// A server with one known key on the loopback, and peers that talk to it.

import { accessSync, constants } from 'node:fs'
import ssh2, { type Client, type ClientChannel, type ConnectConfig } from 'ssh2'
import type { Test } from 'tap'
import { silentLog } from '../../../lib/daemon/log.ts'
import { makeHostKey, type HostKey } from '../../../lib/ssh/server/host-key.ts'
import { SshServer, type SshServerOptions } from '../../../lib/ssh/server/ssh-server.ts'
import type { ServerConnection } from '../../../lib/ssh/server/server-connection.ts'

export interface Fixture {
  readonly server: SshServer
  readonly port: number
  /** The one key that is authorised. */
  readonly key: HostKey
  readonly hostKey: HostKey
  readonly connections: ServerConnection[]
}

/** Listens on a free port of the loopback until the test ends. */
export async function openServer(t: Test, options: Partial<SshServerOptions> = {}): Promise<Fixture> {
  const key = makeHostKey()
  const hostKey = makeHostKey()
  const connections: ServerConnection[] = []
  const { onConnection, ...others } = options
  const server = await SshServer.open(
    {
      address: '127.0.0.1',
      port: 0,
      hostKey,
      isAuthorised: ({ fingerprint }) => fingerprint === key.fingerprint,
      onConnection: (connection) => {
        connections.push(connection)
        onConnection?.(connection)
      },
      log: silentLog,
      ...others,
    },
    new AbortController().signal,
  )
  t.teardown(() => server[Symbol.asyncDispose]())
  return { server, port: server.port(), key, hostKey, connections }
}

/** Logs in. Rejects with what ssh2 says. The connection ends with the test. */
export async function connect(t: Test, { port, key }: Fixture, config: ConnectConfig = {}): Promise<Client> {
  const client = new ssh2.Client()
  t.teardown(() => client.destroy())
  const ready = new Promise<Client>((resolve, reject) => {
    client.once('ready', () => {
      resolve(client)
    })
    client.on('error', reject)
    client.once('close', () => {
      reject(new Error('closed'))
    })
  })
  client.on('connect', () => client.setNoDelay(true))
  client.connect({ host: '127.0.0.1', port, username: 'ann', privateKey: key.privateText, ...config })
  return ready
}

/** Opens a subsystem. Rejects when it is refused. */
export function subsystem(client: Client, name: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.subsys(name, (cause, channel) => {
      if (cause === undefined) resolve(channel)
      else reject(cause)
    })
  })
}

/** Waits for `event` of `emitter`, whatever errors come before. */
export function happens(emitter: NodeJS.EventEmitter, event: string): Promise<void> {
  return new Promise((resolve) => {
    emitter.once(event, () => {
      resolve()
    })
  })
}

/** An option for a test that needs a program which not every machine has. */
export function skipWithout(program: string): { skip: string | false } {
  const found = (process.env['PATH'] ?? '').split(':').some((dir) => {
    try {
      accessSync(`${dir}/${program}`, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  return { skip: found ? false : `${program} is not on this machine` }
}
