// `monitor get FOLDER/PATH[@REV]`: writes one version to standard output.

import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { ask } from './ask.ts'
import type { Command, CommandContext } from './context.ts'
import type { ControlResult } from './control-contract.ts'
import { readRevision } from './target.ts'
import { EXIT, SyncError, UsageError } from '../errors.ts'

export const run: Command = async (context) => {
  if (context.args.json) throw new UsageError('-json does not go with get: it writes the content as it is')
  const place = await ask(context, 'get', readRevision(context))
  try {
    if (place.size > 0) await copyOut(place, context)
  } finally {
    if (place.temporary) await rm(place.file, { force: true })
  }
  return EXIT.done
}

async function copyOut({ file, offset, size }: ControlResult<'get'>, { print, signal }: CommandContext): Promise<void> {
  let left = size
  for await (const chunk of createReadStream(file, { start: offset, end: offset + size - 1, signal })) {
    const bytes = chunk as Buffer
    left -= bytes.length
    await print(bytes)
  }
  if (left > 0)
    throw new SyncError(`Cannot read the content: ${String(left)} of ${String(size)} bytes are missing`, {
      code: 'SHORT',
    })
}
