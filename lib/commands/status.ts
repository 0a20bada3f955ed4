// `monitor status`: how each folder stands.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import type { FolderStatus, Status } from './control-contract.ts'
import { plural, size, sizeOf, table, visible } from './format.ts'
import { readNothing } from './target.ts'
import { EXIT } from '../errors.ts'

/** Exit status 0 only when all folders are in step. */
export const run: Command = async (context) => {
  readNothing(context)
  const status = await ask(context, 'status', {})
  await show(context, status, statusText)
  return statusExit(status)
}

/** The exit status that says whether all folders are in step. */
export function statusExit({ folders }: Status): number {
  return folders.every(({ state }) => state === 'in step') ? EXIT.done : EXIT.unsynced
}

/** What `monitor status` prints. */
export function statusText({ role, node, version, coordinator, folders }: Status): string {
  const link = role === 'server' ? 'serving on' : coordinator.connected ? 'connected to' : 'not connected to'
  const head = `${node} (${role}, version ${version}) ${link} ${coordinator.address}\n`
  const rows = folders.map((folder) => [folder.name, stateText(folder), `seq ${String(folder.seq)}`, folder.path])
  return head + table(rows) + folders.map(troubleText).join('')
}

function stateText({ state, progress, pending, bytesPending }: FolderStatus): string {
  if (state === 'syncing' && progress !== undefined) {
    const { files, filesTotal, bytes, bytesTotal } = progress
    return `syncing ${String(files)}/${String(filesTotal)} files ${sizeOf(bytes, bytesTotal)}`
  }
  return pending > 0 ? `${state}, ${plural(pending, 'change')} pending (${size(bytesPending)})` : state
}

function troubleText({ name, state, reason, problems }: FolderStatus): string {
  const lines = [
    ...(reason === undefined ? [] : [`${name}: ${visible(reason)}`]),
    ...(state === 'held'
      ? [`${name}: monitor confirm ${name} sends the deletes, monitor reject ${name} brings the files back`]
      : []),
    ...problems.map(({ path, reason: why, todo }) => `${name}/${visible(path)}: ${visible(why)}. ${visible(todo)}`),
  ]
  return lines.map((line) => `  ${line}\n`).join('')
}
