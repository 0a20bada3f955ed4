// `monitor restore FOLDER/PATH[@REV]`: brings a version back as a new revision.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import { visible } from './format.ts'
import { readRevision } from './target.ts'
import { EXIT } from '../errors.ts'

export const run: Command = async (context) => {
  const target = readRevision(context)
  const restored = await ask(context, 'restore', target)
  await show(
    context,
    restored,
    ({ rev }) => `restored ${visible(`${target.folder}/${target.path}`)} as @${String(rev)}\n`,
  )
  return EXIT.done
}
