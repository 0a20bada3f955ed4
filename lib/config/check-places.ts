// Checks that the folders of a node do not lie in each other, in another node's folder, or around the state directory.

import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { FolderConfig, Machine } from './config.ts'
import { expandPath } from './expand-path.ts'
import type { Identity } from './identity.ts'
import type { Machinery, NodeConfig } from './node-config.ts'
import { ConfigError } from '../errors.ts'

/** Throws `ConfigError` naming both places. */
export function checkPlaces(node: NodeConfig, identity: Identity, machine: Machinery): void {
  const roots = node.folders.map(({ name, root }) => ({ name, place: realPlace(root) }))
  for (const [index, { name, place }] of roots.entries()) {
    const clash = roots.slice(0, index).find((other) => overlap(other.place, place))
    if (clash !== undefined) {
      throw new ConfigError(
        `${at(node, name)}: "${place}" and "${clash.place}" of folder "${clash.name}" overlap: one lies in the other`,
      )
    }
    if (isIn(place, realPlace(node.stateDir))) {
      throw new ConfigError(
        `${at(node, name)}: "${place}" holds the state directory "${node.stateDir}": it would sync itself`,
        {
          hint: 'Give another directory with -state, or sync a directory beside it',
        },
      )
    }
  }
  checkOtherNodes(node, { roots, identity, machine })
}

interface Own {
  readonly roots: readonly { name: string; place: string }[]
  readonly identity: Identity
  readonly machine: Machinery
}

/**
 * Other nodes of the file that are on this machine, as their addresses say; one that is not this machine's own says nothing (behind one router, several
 * machines share theirs). A place that only `$HOME` tells is left out: the other node may run with another home. What slips through is found when the
 * folder is opened: its directory is locked.
 */
function checkOtherNodes(node: NodeConfig, { roots, identity: { entry }, machine }: Own): void {
  const isHere = (ip: string): boolean => machine.addresses.includes(ip) || /^(?:127\.|::1$|localhost$)/.test(ip)
  if (!isHere(entry.ip)) return
  const others: (Machine & { name: string })[] = [{ name: 'server', ...node.config.server }, ...node.config.clients]
  for (const other of others) {
    if (other.name === node.node || !isHere(other.ip)) continue
    for (const folder of node.config.folders) {
      if (other.name !== 'server' && !folder.clients.includes(other.name)) continue
      const place = placeOn(other, folder, machine)
      const clash = roots.find((root) => place !== undefined && overlap(root.place, place))
      if (clash === undefined) continue
      throw new ConfigError(
        `${at(node, clash.name)}: "${clash.place}" is also where "${other.name}" keeps folder "${folder.name}", on this machine: two nodes may not share a folder`,
        {
          hint: `Give one of them a place of its own: [systemsync.dir.${clash.name}] path.${node.node} = /another/place`,
        },
      )
    }
  }
}

function placeOn(other: Machine & { name: string }, folder: FolderConfig, machine: Machinery): string | undefined {
  const path = folder.paths.get(other.name)?.path ?? folder.path
  const { place, isOwn } = expandPath(path, other.user, machine.users)
  return isOwn ? undefined : realPlace(place)
}

function at({ config, node }: NodeConfig, folder: string): string {
  const found = config.folders.find(({ name }) => name === folder)
  const own = found?.paths.get(node)
  const line = own?.line ?? found?.line ?? 0
  const place = own === undefined ? `[systemsync.dirs] ${folder}` : `[systemsync.dir.${folder}] path.${node}`
  return `${config.file}:${String(line)}: ${place}`
}

/** `place` with all links of it resolved, as far as it exists. */
export function realPlace(place: string): string {
  try {
    return realpathSync(place)
  } catch {
    const parent = dirname(place)
    return parent === place ? place : join(realPlace(parent), basename(place))
  }
}

function overlap(a: string, b: string): boolean {
  return isIn(a, b) || isIn(b, a)
}

function isIn(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(outer === '/' ? '/' : `${outer}/`)
}
