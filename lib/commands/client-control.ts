// What a running client answers on its control socket: its own state by itself, the journal's facts by asking the coordinator.

import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type { Client } from '../client/client.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { hostPath } from '../model/path.ts'
import { folderStatusOf, collisionLineOf, isoTime, logLineOf, versionOf } from './show-facts.ts'
import { answerHeld, contentIn, pathIn } from './control-answers.ts'
import type { ControlMethods } from './control-contract.ts'
import { ownVersion } from '../daemon/own-version.ts'

const LOG_LINES = 10_000

export function clientControl(client: Client, node: NodeConfig): ControlMethods {
  return {
    status: () => {
      const { connected, failure } = client.link
      const refused = new Map(client.refused.map(({ name, reason }) => [name, reason]))
      return {
        role: 'client',
        node: node.node,
        version: ownVersion(),
        coordinator: {
          connected,
          address: `${node.coordinator.address}:${String(node.coordinator.port)}`,
          ...(failure === undefined
            ? {}
            : { failure: failure.message, ...(failure.hint === undefined ? {} : { todo: failure.hint }) }),
        },
        folders: [...client.replicas()].map((replica) => {
          const status = folderStatusOf(replica.status())
          const reason = refused.get(status.name) ?? (status.state === 'offline' ? failure?.message : undefined)
          return reason === undefined ? status : { ...status, reason }
        }),
      }
    },
    log: async ({ folder, path }, signal) => {
      const params = { folder: folder ?? null, path: path ?? null, limit: LOG_LINES }
      return (await client.ask('log', params, signal)).revisions.map(logLineOf)
    },
    history: async ({ folder, path }, signal) =>
      (await client.ask('history', { folder, path: pathIn(folder, path) }, signal)).revisions.map(versionOf),
    restore: async ({ folder, path, rev }, signal) => {
      const { seq } = await client.ask('restore', { folder, path: pathIn(folder, path), rev: rev ?? null }, signal)
      return { rev: seq }
    },
    get: async ({ folder, path, rev }, signal) => {
      const { entry, place } = await client.ask(
        'locate',
        { folder, path: pathIn(folder, path), rev: rev ?? null },
        signal,
      )
      const { sha256, size } = contentIn(entry, `${folder}/${path}`, rev)
      const file = hostPath(`${node.stateDir}/get-${randomBytes(8).toString('hex')}`)
      mkdirSync(node.stateDir, { recursive: true })
      writeFileSync(file, '', { mode: 0o600, flag: 'wx' })
      try {
        if (size > 0)
          await client
            .depot(folder)
            .readFile({ sha256, size, place }, { place: file, from: 0 }, () => undefined, signal)
        return { file, offset: 0, size, temporary: true }
      } catch (error) {
        rmSync(file, { force: true })
        throw error
      }
    },
    conflicts: async (_, signal) => (await client.ask('conflicts', {}, signal)).collisions.map(collisionLineOf),
    confirm: ({ folder }) => answerHeld(folder, client.replica(folder), 'confirm'),
    reject: ({ folder }) => answerHeld(folder, client.replica(folder), 'reject'),
    clients: async (_, signal) =>
      (await client.ask('clients', {}, signal)).clients.map(({ lastSeenMs, fingerprint, ...one }) => ({
        ...one,
        fingerprint: fingerprint === '' ? null : fingerprint,
        lastSeen: lastSeenMs === null ? null : isoTime(lastSeenMs),
      })),
  }
}
