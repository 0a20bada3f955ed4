// Whose contents lie in a folder: those of another journal are set aside, never removed, for that journal may come back.

import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs'
import { codeOf } from '../disk/trouble.ts'
import { OWN_DIR, type HostPath } from '../model/path.ts'

/** Where packs and objects lie. */
const STORES = ['packs', 'objects'] as const

/**
 * Makes packs and objects of the folder at `root` those of the journal called `name`. `isNew`: nothing was ever committed to it, so that what lies there
 * without an owner is not its own. The place where another's were set aside; `undefined` when there were none. May be broken off between any two
 * lines, and begun again. Throws a Node-style error.
 */
export function claimStore(root: HostPath, name: string, { isNew }: { readonly isNew: boolean }): string | undefined {
  const own = `${root}/${OWN_DIR}`
  const owner = readOwner(own)
  const isOurs = owner === name || (owner === undefined && !isNew)
  const aside = isOurs ? undefined : setAside(own, `${own}/kept-${owner ?? 'unknown'}`)
  if (owner !== name) writeOwner(own, name)
  bringBack(own, `${own}/kept-${name}`)
  return aside
}

function ownerFile(own: string): string {
  return `${own}/journal`
}

function readOwner(own: string): string | undefined {
  try {
    return /^[0-9a-z-]{1,64}$/.exec(readFileSync(ownerFile(own), 'utf8').trim())?.[0]
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function writeOwner(own: string, name: string): void {
  mkdirSync(own, { recursive: true, mode: 0o700 })
  const staged = `${ownerFile(own)}.new`
  writeFileSync(staged, `${name}\n`, { mode: 0o600, flush: true })
  renameSync(staged, ownerFile(own))
}

function setAside(own: string, place: string): string | undefined {
  let free = place
  for (let count = 2; STORES.some((store) => existsSync(`${own}/${store}`) && existsSync(`${free}/${store}`)); count++)
    free = `${place}-${String(count)}`
  let isAny = false
  for (const store of STORES) {
    if (!existsSync(`${own}/${store}`) || isEmpty(`${own}/${store}`)) continue
    mkdirSync(free, { recursive: true, mode: 0o700 })
    renameSync(`${own}/${store}`, `${free}/${store}`)
    isAny = true
  }
  return isAny ? free : undefined
}

/** What was set aside when another journal had the folder. */
function bringBack(own: string, place: string): void {
  if (!existsSync(place)) return
  for (const store of STORES) {
    if (!existsSync(`${place}/${store}`)) continue
    if (existsSync(`${own}/${store}`) && !isEmpty(`${own}/${store}`)) return
    renameSync(`${place}/${store}`, `${own}/${store}`)
  }
  isEmpty(place)
}

/** Whether nothing is in the directory `dir`; it is gone then. */
function isEmpty(dir: string): boolean {
  try {
    rmdirSync(dir)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOTEMPTY') return false
    throw error
  }
}
