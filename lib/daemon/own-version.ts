// The version of this program.

import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'

const packageFile = z.object({ version: z.string() })

/** The version in package.json, which lies in the nearest directory above that has one. */
export function ownVersion(): string {
  let place = new URL('../package.json', import.meta.url)
  while (!existsSync(place) && place.pathname !== '/package.json') place = new URL('../package.json', place)
  return packageFile.parse(JSON.parse(readFileSync(place, 'utf8'))).version
}
