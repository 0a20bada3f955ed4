// `monitor reject FOLDER`: brings the files of a held mass delete back.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import { readFolder } from './target.ts'
import { EXIT } from '../errors.ts'

export const run: Command = async (context) => {
  const target = readFolder(context)
  await show(context, await ask(context, 'reject', target), () => `rejected: the files in ${target.folder} come back\n`)
  return EXIT.done
}
