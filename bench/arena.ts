// Where one contender works in one measurement: folders, keys, network, and nothing left of the one before.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { userInfo } from 'node:os'
import { Brood } from './processes.ts'
import { Meter } from './meter.ts'
import { startSshd, type Sshd } from './sshd.ts'
import type { Wire } from './wire.ts'

/** One client: its name and its folder. */
export interface Seat {
  readonly name: string
  readonly folder: string
}

/** How an arena is laid out. */
export interface ArenaPlan {
  readonly dir: string
  readonly clients: number
  readonly wire: Wire
  readonly profile: string | undefined
}

/** The surroundings of one measurement. */
export interface Arena extends AsyncDisposable {
  readonly dir: string
  /** The coordinator's folder. */
  readonly hub: string
  /** The first is A, where edits are made; the others receive. */
  readonly seats: readonly [Seat, Seat, ...Seat[]]
  readonly user: string
  readonly env: NodeJS.ProcessEnv
  readonly sshd: Sshd
  readonly brood: Brood
  readonly wire: Wire
  readonly meter: Meter
  readonly profile: string | undefined
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

/** Makes the directories, the keys and the sshd of a measurement. */
export async function openArena(plan: ArenaPlan): Promise<Arena> {
  const { dir, wire, profile } = plan
  const home = join(dir, 'home')
  for (const name of ['hub', 'home', 'logs', 'work']) mkdirSync(join(dir, name), { recursive: true, mode: 0o700 })
  const seat = (at: number): Seat => {
    const name = LETTERS[at] ?? 'z'
    const folder = join(dir, name)
    mkdirSync(folder)
    return { name, folder }
  }
  const seats: [Seat, Seat, ...Seat[]] = [seat(0), seat(1)]
  for (let at = 2; at < plan.clients; at++) seats.push(seat(at))
  const brood = new Brood(join(dir, 'logs'))
  const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: home, LANG: 'C.UTF-8', TMPDIR: join(dir, 'work') }
  const sshd = await startSshd({ dir: join(dir, 'ssh'), brood, wire, clients: seats.map(({ name }) => name) })
  writeFileSync(join(home, '.profile'), '')
  return {
    ...{ dir, seats, env, sshd, brood, wire, profile },
    hub: join(dir, 'hub'),
    user: userInfo().username,
    meter: new Meter(wire.pids),
    [Symbol.asyncDispose]: async () => {
      await brood[Symbol.asyncDispose]()
      await wire[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}
