// The root guard: a folder that is missing, emptied of its marker, or another folder's, is halted, never read as deletes.

import { readMarker } from '../disk/marker.ts'
import type { FolderState, Halt } from './folder-state.ts'

/** Looks at the marker; halts the folder, or ends its halt, when it could be taken hold of. `true` while halted. */
export function rootTrouble(state: FolderState): boolean {
  const { hold, log, name } = state.parts
  const trouble = troubleOf(state)
  if (trouble !== undefined) hold?.doubt()
  const halted = trouble ?? hold?.take()
  if (halted?.reason !== state.halted?.reason) {
    state.halted = halted
    if (halted === undefined) {
      log.info(`Folder "${name}" is back, going on`)
      state.markTree('')
      state.wakeAll()
    } else {
      for (const [path, change] of state.changes) if (change.kind === 'gone') state.changes.delete(path)
      log.error(`Halted folder "${name}": ${halted.reason}`, { todo: halted.todo })
      state.scanBell.ring()
      state.changed()
    }
  }
  return halted !== undefined
}

function troubleOf(state: FolderState): Halt | undefined {
  const { root, base, agreed } = state.parts
  const marker = readMarker(root)
  if (marker.kind === 'no-root') {
    return {
      path: '.',
      reason: `the folder ${root} is missing`,
      todo: 'bring it back (is its disk mounted?); nothing is deleted elsewhere meanwhile',
      told: 'its directory is missing',
    }
  }
  if (marker.kind === 'unreadable') {
    return { path: '.', reason: marker.reason, todo: 'make it readable again', told: 'its marker cannot be read' }
  }
  const id = base.folderId()
  if (marker.kind === 'none') return id === undefined && agreed?.isMarked !== true ? undefined : unmarked(root)
  if (id !== undefined && marker.id !== id) return anotherFolder(root, `(${marker.id}, expected ${id})`)
  const hubId = state.hubId ?? agreed?.id
  return hubId !== undefined && hubId !== marker.id ? notTheHubs(root, { id: marker.id, hubId }) : undefined
}

function unmarked(root: string): Halt {
  return {
    path: '.',
    reason: `the folder ${root} has lost its marker .systemsync/marker`,
    todo: 'if its disk is not mounted, mount it; if it was emptied on purpose, stop this node; on a client remove its state directory, on the coordinator leave it; start it again, and everything is fetched anew',
    told: 'its directory has lost its marker (is its disk mounted?)',
  }
}

function anotherFolder(root: string, which: string): Halt {
  return {
    path: '.',
    reason: `the folder ${root} belongs to another folder id ${which}`,
    todo: 'put the right directory back, or correct the path in the config file',
    told: 'another folder stands in its place',
  }
}

/** The directory was kept equal with the folder of another coordinator. */
export function notTheHubs(root: string, { id, hubId }: { readonly id: string; readonly hubId: string }): Halt {
  return {
    ...anotherFolder(root, `(${id}, the coordinator's is ${hubId})`),
    todo: "correct the path in the config file, or remove .systemsync/marker from the directory and this node's state to join it anew",
  }
}
