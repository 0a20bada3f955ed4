// `monitor clients`: who is known, online, and how far behind.

import { ask, show } from './ask.ts'
import type { Command } from './context.ts'
import type { ClientLine } from './control-contract.ts'
import { localTime, table } from './format.ts'
import { readNothing } from './target.ts'
import { EXIT } from '../errors.ts'

export const run: Command = async (context) => {
  readNothing(context)
  await show(context, await ask(context, 'clients', {}), clientsText)
  return EXIT.done
}

function clientsText(clients: readonly ClientLine[]): string {
  return table(
    clients.map(({ name, online, behind, fingerprint, lastSeen }) => [
      name,
      online ? 'online' : 'offline',
      behind === null ? '' : behind === 0 ? 'up to date' : `${String(behind)} behind`,
      lastSeen === null ? 'never seen' : `seen ${localTime(lastSeen)}`,
      fingerprint ?? 'no key yet',
    ]),
  )
}
