// `monitor conflicts`: collisions, and the revision under which each loser is kept.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import type { CollisionLine } from './control-contract.ts'
import { localTime, table, visible } from './format.ts'
import { readNothing } from './target.ts'
import { EXIT } from '../errors.ts'

export const run: Command = async (context) => {
  readNothing(context)
  await show(context, await ask(context, 'conflicts', {}), conflictsText)
  return EXIT.done
}

function conflictsText(collisions: readonly CollisionLine[]): string {
  return table(
    collisions.map(({ folder, path, time, winner, loser }) => {
      const place = visible(`${folder}/${path}`)
      const kept = `${loser.peer} lost, kept: monitor restore '${place}@${String(loser.rev)}'`
      return [localTime(time), place, `${winner.peer} won @${String(winner.rev)}`, kept]
    }),
  )
}
