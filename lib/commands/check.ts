// `monitor check`: reads the configuration and prints how this node understands it. It needs no daemon and changes nothing.

import { show } from './ask.ts'
import type { Command, CommandContext } from './context.ts'
import { configOf } from './find-node.ts'
import { table, visible } from './format.ts'
import { readNothing } from './target.ts'
import type { Config } from '../config/config.ts'
import { resolveNode, unbuilt, type Machinery, type NodeConfig } from '../config/node-config.ts'
import { EXIT } from '../errors.ts'

interface Checked {
  readonly node: string | null
  readonly role: 'server' | 'client' | null
  readonly config: string
  readonly folders: readonly { name: string; path: string; mode: string; clients: readonly string[] }[]
  readonly server: { readonly ip: string; readonly port: number }
  readonly warnings: readonly string[]
  readonly reading?: string
  readonly state?: string
  readonly log?: string
}

/** Exit status 78, with every error, when the configuration is wrong. */
export const run: Command = async (context) => {
  readNothing(context)
  const config = configOf(context)
  const node = nodeOf(config, context)
  await show(context, node === undefined ? checkedFile(config) : checkedNode(node), checkText)
  return EXIT.done
}

/** The node that the flags name; without a role the only one that has this machine's address and user. */
function nodeOf(config: Config, { args, machine }: CommandContext): NodeConfig | undefined {
  const { role } = args
  if (role !== undefined) return resolveNode(config, { ...args, role }, machine)
  const isHere = ({ user, ip }: { user: string; ip: string }) =>
    user === (args.uname ?? machine.users.running) && isOwnAddress(ip, machine)
  const isServer = isHere(config.server)
  const clients = config.clients.filter(isHere)
  const [client] = clients
  if (isServer && client === undefined) return resolveNode(config, { ...args, role: 'server' }, machine)
  if (isServer || client === undefined || clients.length > 1) return undefined
  const { user: uname, ip, port } = client
  return resolveNode(config, { ...args, role: 'client', uname, ip, port }, machine)
}

function isOwnAddress(ip: string, { addresses }: Machinery): boolean {
  return addresses.includes(ip)
}

function checkedNode(node: NodeConfig): Checked {
  return {
    node: node.node,
    role: node.role,
    config: node.config.file,
    folders: node.folders.map(({ name, root, mode, clients }) => ({ name, path: root, mode, clients })),
    server: { ip: node.coordinator.address, port: node.coordinator.port },
    warnings: node.warnings,
    reading: node.reading,
    state: node.stateDir,
    log: node.logFile,
  }
}

/** When this machine may be several nodes, or none: the file as it stands. */
function checkedFile(config: Config): Checked {
  return {
    node: null,
    role: null,
    config: config.file,
    folders: config.folders.map(({ name, path, mode, clients }) => ({ name, path, mode, clients })),
    server: { ip: config.server.ip, port: config.server.port },
    warnings: [...config.warnings, ...unbuilt(config, config.folders)],
  }
}

function checkText({ node, role, config, folders, server, warnings, reading, state, log }: Checked): string {
  const facts = [
    ['config', config],
    [
      'node',
      node === null ? 'not told: give -role, and -uname, -ip, -port where they matter' : `${node} (${String(role)})`,
    ],
    ...(reading === undefined ? [] : [['found as', reading]]),
    ['server', `${server.ip}:${String(server.port)}`],
    ...(state === undefined ? [] : [['state', state]]),
    ...(log === undefined ? [] : [['log', log]]),
  ]
  const rows = folders.map(({ name, path, mode, clients }) => ['folder', name, path, mode, clients.join(', ')])
  return (
    table(facts) +
    table(rows.map((row) => row.map(visible))) +
    warnings.map((warning) => `warning: ${warning}\n`).join('')
  )
}
