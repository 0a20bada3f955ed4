// Whose contents lie in a folder: those of another journal are set aside, never removed, for that journal may come back.

import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { isThere, makeDir } from '../disk/there.ts'
import { codeOf, isAbsence } from '../disk/trouble.ts'
import { parseDigest, type Digest } from '../model/digest.ts'
import { OWN_DIR, type HostPath } from '../model/path.ts'

/** Where packs and objects lie. */
const STORES = ['packs', 'objects'] as const

/** What a journal knows of what lies in a store. Packs have names that no other journal gives. */
export interface KnownContents {
  readonly packs: ReadonlySet<string>
  readonly hasObject: (sha256: Digest) => boolean
}

/**
 * Makes packs and objects of the folder at `root` those of the journal called `name`, which must be known to be its name by now. What lies there
 * without an owner is its own when it `knows` any of it. Whatever it knows and lacks is taken from what was set aside, under whatever name. The place
 * where another's were set aside; `undefined` when there were none. May be broken off between any two lines, and begun again. Throws a Node-style error.
 */
export function claimStore(root: HostPath, name: string, knows: KnownContents): string | undefined {
  const own = `${root}/${OWN_DIR}`
  const owner = readOwner(own)
  const isOurs = owner === name || (owner === undefined && holdsKnown(own, knows))
  const aside = isOurs ? undefined : setAside(own, `${own}/kept-${owner ?? 'unknown'}`)
  if (owner !== name) writeOwner(own, name)
  bringBack(own, `${own}/kept-${name}`)
  for (const kept of namesIn(own)) if (kept.startsWith('kept-')) takeKnown(own, `${own}/${kept}`, knows)
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

/** Durable: what is set aside is known to be another's before anything new is put in its place. */
function writeOwner(own: string, name: string): void {
  makeDir(own)
  const staged = `${ownerFile(own)}.new`
  writeFileSync(staged, `${name}\n`, { mode: 0o600, flush: true })
  renameSync(staged, ownerFile(own))
  const dir = openSync(own, 'r')
  try {
    fsyncSync(dir)
  } finally {
    closeSync(dir)
  }
}

/** Whether any pack or object in the store at `own` is one that the journal knows. */
function holdsKnown(own: string, knows: KnownContents): boolean {
  return (
    namesIn(`${own}/packs`).some((pack) => knows.packs.has(pack)) ||
    namesIn(`${own}/objects`).some((prefix) => namesIn(`${own}/objects/${prefix}`).some(isKnownTo(knows)))
  )
}

function isKnownTo({ hasObject }: KnownContents): (name: string) => boolean {
  return (name) => {
    const sha256 = parseDigest(name)
    return sha256 !== undefined && hasObject(sha256)
  }
}

function setAside(own: string, place: string): string | undefined {
  let free = place
  for (let count = 2; STORES.some((store) => isThere(`${own}/${store}`) && isThere(`${free}/${store}`)); count++)
    free = `${place}-${String(count)}`
  let isAny = false
  for (const store of STORES) {
    if (!isThere(`${own}/${store}`) || isEmpty(`${own}/${store}`)) continue
    makeDir(free)
    renameSync(`${own}/${store}`, `${free}/${store}`)
    isAny = true
  }
  return isAny ? free : undefined
}

/** What was set aside when another journal had the folder. */
function bringBack(own: string, place: string): void {
  if (!isThere(place)) return
  for (const store of STORES) {
    if (!isThere(`${place}/${store}`)) continue
    if (isThere(`${own}/${store}`) && !isEmpty(`${own}/${store}`)) return
    renameSync(`${place}/${store}`, `${own}/${store}`)
  }
  isEmpty(place)
}

/** Takes what the journal knows and lacks out of what was set aside at `kept`; what it does not know stays there. */
function takeKnown(own: string, kept: string, knows: KnownContents): void {
  takeFiles(`${kept}/packs`, `${own}/packs`, (pack) => knows.packs.has(pack))
  for (const prefix of namesIn(`${kept}/objects`)) {
    takeFiles(`${kept}/objects/${prefix}`, `${own}/objects/${prefix}`, isKnownTo(knows))
  }
  for (const store of STORES) if (isThere(`${kept}/${store}`)) isEmpty(`${kept}/${store}`)
  isEmpty(kept)
}

function takeFiles(from: string, to: string, isWanted: (name: string) => boolean): void {
  for (const name of namesIn(from)) {
    if (!isWanted(name) || isThere(`${to}/${name}`)) continue
    makeDirs(to)
    renameSync(`${from}/${name}`, `${to}/${name}`)
  }
  if (isThere(from)) isEmpty(from)
}

/** The names in a directory; none when there is no such directory. Whatever else keeps it from being read is no sign of that. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if (isAbsence(error)) return []
    throw error
  }
}

/** Whether nothing is in the directory `dir`; it is gone then. What is no directory holds something. */
function isEmpty(dir: string): boolean {
  try {
    rmdirSync(dir)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'ENOTDIR') return false
    throw error
  }
}

/** Makes the directory of a store, and one of objects in it; never what is above: a root that is away must not come to be. */
function makeDirs(dir: string): void {
  const parent = dir.slice(0, dir.lastIndexOf('/'))
  if (!parent.endsWith(`/${OWN_DIR}`)) makeDir(parent)
  makeDir(dir)
}
