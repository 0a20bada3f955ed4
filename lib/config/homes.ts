// Homes: where a user of this machine lives (passwd(5), getent(1)).

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'

/** A home, and whether only this process' environment (`$HOME`) says so. */
export interface Home {
  readonly dir: string
  readonly isOwn: boolean
}

/** What this process knows about users; a test gives its own. */
export interface Users {
  /** Who runs this process. */
  readonly running: string
  /** `$HOME`, absolute. */
  readonly home: string
  /** The home in the passwd database; `undefined`: no such account. */
  passwdHome(user: string): string | undefined
}

/** The users of this machine. */
export const systemUsers: Users = {
  get running() {
    return userInfo().username
  },
  get home() {
    return homedir()
  },
  passwdHome: (user) => homeInPasswd(readPasswd(), user) ?? homeInPasswd(askGetent(user), user),
}

/** The home of `user`: `$HOME` when it is who runs this, or has no account here; else what the passwd database says. */
export function homeOf(user: string, users: Users): Home {
  const dir = user === users.running ? undefined : users.passwdHome(user)
  return dir === undefined ? { dir: users.home, isOwn: true } : { dir, isOwn: false }
}

/** The sixth field of the line of `user`. */
export function homeInPasswd(text: string, user: string): string | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${user}:`))
  const home = line?.split(':')[5]
  return home?.startsWith('/') ? home : undefined
}

function readPasswd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8')
  } catch {
    return '' // a machine without the file still has getent
  }
}

/** Accounts of a directory service are not in the file. */
function askGetent(user: string): string {
  const { stdout } = spawnSync('getent', ['passwd', '--', user], { encoding: 'utf8', timeout: 5000 })
  return stdout ?? ''
}
