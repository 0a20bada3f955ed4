// `monitor confirm FOLDER`: sends a held mass delete.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import { readFolder } from './target.ts'
import { EXIT } from '../errors.ts'

export const run: Command = async (context) => {
  const target = readFolder(context)
  await show(
    context,
    await ask(context, 'confirm', target),
    () => `confirmed: the deletes in ${target.folder} are sent\n`,
  )
  return EXIT.done
}
