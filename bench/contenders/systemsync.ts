// SystemSync: one coordinator and the clients, as a person would start them.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Arena, Seat } from '../arena.ts'
import type { Contender, Session } from '../contender.ts'
import { type Program, untilSaid } from '../processes.ts'
import { freePort } from '../wire.ts'

const MONITOR = new URL('../../../bin/monitor', import.meta.url).pathname
const READY_MS = 600_000

export const systemsync: Contender = {
  name: 'systemsync',
  kind: 'continuous',
  twoWay: true,
  version: () => /"version": "([^"]+)"/.exec(readFileSync(join(MONITOR, '../../package.json'), 'utf8'))?.[1],
  open: openSystemSync,
}

async function openSystemSync(arena: Arena): Promise<Session> {
  const serverPort = await freePort()
  const ports = new Map<string, number>()
  for (const { name } of arena.seats) ports.set(name, await freePort())
  const server = writeConfig(arena, { node: 'server', serverPort, ports })
  const clients: { seat: Seat; config: string }[] = []
  for (const seat of arena.seats) {
    const way = await arena.wire.way(seat.name, serverPort)
    clients.push({ seat, config: writeConfig(arena, { node: seat.name, serverPort: way, ports }) })
  }
  const running: Program[] = []
  const launch = (node: string, config: string, args: readonly string[]) => {
    const state = ['-config', config, '-state', join(arena.dir, 'state', node)]
    const node_args = [...profileArgs(arena), MONITOR, ...args, ...state]
    const program = arena.brood.start({ name: node, command: process.execPath, args: node_args, env: arena.env })
    running.push(program)
    return untilSaid(program, 'ready role=', READY_MS)
  }
  return {
    start: async () => {
      await launch('server', server, ['-role', 'server'])
      const start = ({ seat, config }: { seat: Seat; config: string }) =>
        launch(seat.name, config, ['-role', 'client', '-port', String(ports.get(seat.name))])
      await Promise.all(clients.map(start))
    },
    stop: async () => {
      await Promise.all(running.toReversed().map((program) => arena.brood.stop(program)))
      running.length = 0
    },
    pass: async () => {},
    coordinatorPid: () => running.find(({ name }) => name === 'server')?.pid,
  }
}

function profileArgs(arena: Arena): string[] {
  if (arena.profile === undefined) return []
  mkdirSync(arena.profile, { recursive: true })
  return ['--cpu-prof', '--cpu-prof-dir', arena.profile]
}

/** Each node has a file of its own, because each reaches the coordinator over its own link. */
function writeConfig(
  arena: Arena,
  { node, serverPort, ports }: { node: string; serverPort: number; ports: ReadonlyMap<string, number> },
): string {
  const { user, sshd } = arena
  const file = join(arena.dir, 'work', `${node}.cfg`)
  const lines = [
    ...['[systemsync.server]', `server = ${user}, 127.0.0.1, ${serverPort}`, '[systemsync.clients]'],
    ...[...ports].map(([name, port]) => `${name} = ${user}, 127.0.0.1, ${port}`),
    ...['[systemsync.dirs]', `docs = ${arena.hub}`, '[systemsync.dir.docs]'],
    ...arena.seats.map(({ name, folder }) => `path.${name} = ${folder}`),
    ...['[systemsync.ssh]', `identity = ${sshd.identity}`, `authorized-keys = ${sshd.authorizedKeys}`],
    ...[`known-hosts = ${join(arena.dir, 'work', `${node}.known`)}`, ''],
  ]
  writeFileSync(file, lines.join('\n'))
  return file
}
