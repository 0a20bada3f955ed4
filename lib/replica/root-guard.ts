// The root guard: a folder that is missing, emptied of its marker, or another folder's, is halted, never read as deletes.

import { readMarker } from '../disk/marker.ts'
import type { Problem } from '../model/problem.ts'
import type { FolderState } from './folder-state.ts'

/** Looks at the marker; halts the folder, or ends its halt. `true` while halted. */
export function rootTrouble(state: FolderState): boolean {
  const halted = troubleOf(state)
  if (halted?.reason !== state.halted?.reason) {
    state.halted = halted
    if (halted === undefined) {
      state.parts.log.info(`Folder "${state.parts.name}" is back, going on`)
      state.markTree('')
      state.wakeAll()
    } else {
      for (const [path, change] of state.changes) if (change.kind === 'gone') state.changes.delete(path)
      state.parts.log.error(`Halted folder "${state.parts.name}": ${halted.reason}`, { todo: halted.todo })
      state.scanBell.ring()
      state.changed()
    }
  }
  return halted !== undefined
}

function troubleOf(state: FolderState): Problem | undefined {
  const { root, base } = state.parts
  const id = base.folderId()
  const marker = readMarker(root)
  if (marker.kind === 'no-root') {
    return {
      path: '.',
      reason: `the folder ${root} is missing`,
      todo: 'bring it back (is its disk mounted?); nothing is deleted elsewhere meanwhile',
    }
  }
  if (marker.kind === 'unreadable') return { path: '.', reason: marker.reason, todo: 'make it readable again' }
  if (id === undefined) return undefined
  if (marker.kind === 'none') {
    return {
      path: '.',
      reason: `the folder ${root} has lost its marker .systemsync/marker`,
      todo: 'if its disk is not mounted, mount it; if it was emptied on purpose, stop this node; on a client remove its state directory, on the coordinator leave it; start it again, and everything is fetched anew',
    }
  }
  if (marker.id !== id) {
    return {
      path: '.',
      reason: `the folder ${root} belongs to another folder id (${marker.id}, expected ${id})`,
      todo: 'put the right directory back, or correct the path in the config file',
    }
  }
  return undefined
}
