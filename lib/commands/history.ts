// `monitor history FOLDER/PATH`: the versions of one path, newest last.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import type { Version } from './control-contract.ts'
import { localTime, size, table } from './format.ts'
import { readPath } from './target.ts'
import { EXIT } from '../errors.ts'

export const run: Command = async (context) => {
  await show(context, await ask(context, 'history', readPath(context)), historyText)
  return EXIT.done
}

function historyText(versions: readonly Version[]): string {
  return table(
    versions.map(({ rev, time, peer, what, size: bytes, sha256, live, loser }) => [
      `@${String(rev)}`,
      localTime(time),
      peer,
      what,
      typeof bytes === 'number' ? size(bytes) : '',
      sha256?.slice(0, 12) ?? '',
      live ? 'live' : loser ? 'lost a conflict' : '',
    ]),
  )
}
