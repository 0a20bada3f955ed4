// What a running coordinator answers on its control socket.

import type { NodeConfig } from '../config/node-config.ts'
import { Refused } from '../errors.ts'
import { parseRelPath, type RelPath } from '../model/path.ts'
import { SERVER } from '../model/peer.ts'
import type { Coordinator } from '../server/coordinator.ts'
import { historyOf, logOf, type RevisionFact } from '../server/facts.ts'
import type { FolderHub } from '../server/folder-hub.ts'
import type { ControlMethods } from './control-contract.ts'
import { ownVersion } from '../daemon/own-version.ts'
import { collisionLineOf, folderStatusOf, isoTime, logLineOf, versionOf } from './show-facts.ts'
import { answerHeld, contentIn, pathIn } from './control-answers.ts'

const LOG_LINES = 10_000

export function serverControl(coordinator: Coordinator, node: NodeConfig): ControlMethods {
  const hubOf = (name: string): FolderHub => {
    const hub = coordinator.hub(name)
    if (hub !== undefined) return hub
    throw noFolder(name)
  }
  const replicaOf = (name: string) => coordinator.folder(name)?.replica
  return {
    status: () => ({
      role: 'server',
      node: node.node,
      version: ownVersion(),
      coordinator: { connected: true, address: `${node.coordinator.address}:${String(coordinator.port())}` },
      folders: [...coordinator.folders()].map(({ replica }) => folderStatusOf(replica.status())),
    }),
    log: ({ folder, path }) => {
      const hubs = folder === undefined ? coordinator.hubs() : [hubOf(folder)]
      return logOf(hubs, underOf(path), LOG_LINES).map((fact) => logLineOf(flat(fact)))
    },
    history: ({ folder, path }) => historyOf(hubOf(folder), pathIn(folder, path)).map((fact) => versionOf(flat(fact))),
    restore: ({ folder, path, rev }) => ({ rev: hubOf(folder).restore(SERVER, pathIn(folder, path), rev) }),
    get: ({ folder, path, rev }) => {
      const hub = hubOf(folder)
      const { entry, seq } = hub.version(pathIn(folder, path), rev)
      const { sha256, size } = contentIn(entry, `${folder}/${path}`, seq)
      const place = hub.places([sha256])[0]
      if (place === undefined)
        throw new Refused(`Cannot read "${folder}/${path}": its content is not kept`, { status: 404 })
      const { file, offset } = hub.store.hostPlace(sha256, place)
      return { file: size === 0 ? '/dev/null' : file, offset, size, temporary: false }
    },
    conflicts: () =>
      coordinator
        .hubs()
        .flatMap((hub) =>
          hub.journal.collisions().map((collision) => collisionLineOf({ folder: hub.name, ...collision })),
        ),
    confirm: ({ folder }) => answerHeld(folder, replicaOf(folder), 'confirm'),
    reject: ({ folder }) => answerHeld(folder, replicaOf(folder), 'reject'),
    clients: () =>
      coordinator.clients().map(({ lastSeenMs, fingerprint, ...client }) => ({
        ...client,
        fingerprint: fingerprint === '' ? null : fingerprint,
        lastSeen: lastSeenMs === null ? null : isoTime(lastSeenMs),
      })),
  }
}

function flat({ folder, revision, live }: RevisionFact) {
  const { seq, path, what, entry, stamp, loser } = revision
  return { folder, seq, path, what, entry, loser, live, timeMs: stamp.timeMs, peer: stamp.peer }
}

function underOf(path: string | undefined): RelPath | undefined {
  return path === undefined ? undefined : parseRelPath(path)
}

function noFolder(name: string): Refused {
  return new Refused(`Cannot find folder "${name}": it is not in [systemsync.dirs]`, { status: 404 })
}
