// Syncthing: an instance for the coordinator and for each client, joined by TLS, with discovery, relays and the GUI off.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Arena } from '../arena.ts'
import type { Contender, Session } from '../contender.ts'
import type { Program } from '../processes.ts'
import { freePort } from '../wire.ts'
import { findVersion } from './find-version.ts'

export const syncthing: Contender = {
  name: 'syncthing',
  kind: 'continuous',
  twoWay: true,
  version: () => findVersion('syncthing', ['--version']),
  open: openSyncthing,
}

interface Node {
  readonly name: string
  readonly home: string
  readonly folder: string
  readonly id: string
  readonly port: number
}

async function openSyncthing(arena: Arena): Promise<Session> {
  const hub = await makeNode(arena, 'hub', arena.hub)
  const clients: Node[] = []
  for (const { name, folder } of arena.seats) clients.push(await makeNode(arena, name, folder))
  writeConfig(
    hub,
    clients.map(({ id }) => ({ id, address: 'dynamic' })),
  )
  for (const client of clients) {
    const port = await arena.wire.way(client.name, hub.port)
    writeConfig(client, [{ id: hub.id, address: `tcp://127.0.0.1:${port}` }])
  }
  const running: Program[] = []
  return {
    start: async () => {
      for (const { home } of [hub, ...clients]) {
        const args = ['serve', '--home', home, '--no-browser', '--no-restart', '--no-upgrade']
        running.push(arena.brood.start({ name: 'syncthing', command: 'syncthing', args, env: arena.env }))
      }
    },
    stop: async () => {
      await Promise.all(running.map((program) => arena.brood.stop(program)))
      running.length = 0
    },
    pass: async () => {},
    coordinatorPid: () => running[0]?.pid,
  }
}

async function makeNode(arena: Arena, name: string, folder: string): Promise<Node> {
  const home = join(arena.dir, 'state', `st-${name}`)
  mkdirSync(home, { recursive: true })
  const ask = (args: readonly string[]) =>
    arena.brood.run({ name: 'syncthing', command: 'syncthing', args, env: arena.env })
  await ask(['generate', '--home', home, '--no-default-folder', '--skip-port-probing'])
  const id = (await ask(['--home', home, '--device-id'])).trim()
  // The folder's mark: without it syncthing takes the folder for an unmounted disk.
  mkdirSync(join(folder, '.stfolder'))
  return { name, home, folder, id, port: await freePort() }
}

function writeConfig(node: Node, peers: readonly { id: string; address: string }[]): void {
  const device = ({ id, address }: { id: string; address: string }) =>
    `<device id="${id}" name="${id.slice(0, 7)}" compression="metadata"><address>${address}</address></device>`
  const folder =
    `<folder id="docs" label="docs" path="${node.folder}" type="sendreceive" rescanIntervalS="3600"` +
    ` fsWatcherEnabled="true" fsWatcherDelayS="1" ignorePerms="false" autoNormalize="false">` +
    [node, ...peers].map(({ id }) => `<device id="${id}"></device>`).join('') +
    `<minDiskFree unit="%">0</minDiskFree></folder>`
  const off = ['globalAnnounceEnabled', 'localAnnounceEnabled', 'relaysEnabled', 'natEnabled', 'setLowPriority']
  const options = [
    ...off.map((name) => `<${name}>false</${name}>`),
    ...['startBrowser', 'crashReportingEnabled', 'announceLANAddresses'].map((name) => `<${name}>false</${name}>`),
    ...[`<listenAddress>tcp://127.0.0.1:${node.port}</listenAddress>`, '<urAccepted>-1</urAccepted>'],
    ...['<reconnectionIntervalS>5</reconnectionIntervalS>', '<autoUpgradeIntervalH>0</autoUpgradeIntervalH>'],
  ]
  const gui = '<gui enabled="false" tls="false"><address>127.0.0.1:0</address></gui>'
  const devices = [device({ id: node.id, address: 'dynamic' }), ...peers.map(device)]
  const config = ['<configuration version="36">', folder, ...devices, gui, `<options>${options.join('')}</options>`]
  writeFileSync(join(node.home, 'config.xml'), [...config, '</configuration>', ''].join('\n'))
}
