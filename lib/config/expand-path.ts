// Makes a path of the configuration a place on this machine.

import { resolve } from 'node:path'
import { homeOf, type Users } from './homes.ts'
import { hostPath, type HostPath } from '../model/path.ts'

/** A place, and whether it depends on `$HOME` of this process. */
export interface Expanded {
  readonly place: HostPath
  readonly isOwn: boolean
}

/**
 * `~` is the home of `user`; `/home/<other>/rest` with another user's name is `user`'s home + rest, so that one file serves all; any other
 * absolute path stands. `path` is absolute or starts with `~`.
 */
export function expandPath(path: string, user: string, users: Users): Expanded {
  const [, other, rest = ''] = /^\/home\/([^/]+)(\/.*)?$/.exec(resolvePlain(path)) ?? []
  const tail =
    path === '~' || path.startsWith('~/') ? path.slice(1) : other !== undefined && other !== user ? rest : undefined
  if (tail === undefined) return { place: hostPath(resolvePlain(path)), isOwn: false }
  const { dir, isOwn } = homeOf(user, users)
  return { place: hostPath(resolve(`${dir}/${tail}`)), isOwn }
}

/** Takes out doubled and trailing slashes, `.` and `..`, of absolute paths only. */
function resolvePlain(path: string): string {
  return path.startsWith('/') ? resolve(path) : path
}
