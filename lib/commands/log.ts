// `monitor log [FOLDER[/PATH]]`: the journal, newest last.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import type { LogLine } from './control-contract.ts'
import { localTime, size, table, visible } from './format.ts'
import { readScope } from './target.ts'
import { EXIT } from '../errors.ts'

export const run: Command = async (context) => {
  await show(context, await ask(context, 'log', readScope(context)), logText)
  return EXIT.done
}

function logText(lines: readonly LogLine[]): string {
  return table(
    lines.map(({ seq, time, peer, what, folder, path, size: bytes }) => [
      String(seq),
      localTime(time),
      peer,
      what,
      typeof bytes === 'number' ? size(bytes) : '',
      visible(`${folder}/${path}`),
    ]),
  )
}
