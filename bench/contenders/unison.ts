// Unison: one client profile for each side, by hand or watching, over ssh.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Arena, Seat } from '../arena.ts'
import type { Contender, Session } from '../contender.ts'
import { type Program } from '../processes.ts'
import { findVersion } from './find-version.ts'

/** One pass of each client in turn. */
export const unison: Contender = {
  name: 'unison',
  kind: 'one-shot',
  twoWay: true,
  version: () => findVersion('unison', ['-version']),
  open: async (arena) => {
    const [a, ...others] = arena.seats
    const pass = (seat: Seat) =>
      // 1: all well, but something was skipped; the next pass sees to it.
      arena.brood.run({ name: 'unison', command: 'unison', ...call(arena, seat, []), fine: [0, 1] })
    return {
      start: async () => {},
      stop: async () => {},
      pass: async () => {
        await pass(a)
        await Promise.all(others.map(pass))
      },
      coordinatorPid: () => arena.sshd.pid,
    }
  },
}

/** All clients watch; needs the program unison-fsmonitor. */
export const unisonWatch: Contender = {
  name: 'unison-watch',
  kind: 'continuous',
  twoWay: true,
  version: () => (hasMonitor() ? findVersion('unison', ['-version']) : undefined),
  open: async (arena) => watching(arena),
}

function watching(arena: Arena): Session {
  const running: Program[] = []
  return {
    start: async () => {
      for (const seat of arena.seats)
        running.push(
          arena.brood.start({ name: 'unison', command: 'unison', ...call(arena, seat, ['-repeat', 'watch']) }),
        )
    },
    stop: async () => {
      await Promise.all(running.map((program) => arena.brood.stop(program)))
      running.length = 0
    },
    pass: async () => {},
    coordinatorPid: () => arena.sshd.pid,
  }
}

function call(arena: Arena, seat: Seat, more: readonly string[]): { args: string[]; env: NodeJS.ProcessEnv } {
  const archives = (side: string) => {
    const dir = join(arena.dir, 'state', `unison-${side}`)
    mkdirSync(dir, { recursive: true })
    return dir
  }
  return {
    env: { ...arena.env, UNISON: archives(seat.name) },
    args: [
      ...[seat.folder, `ssh://${seat.name}/${arena.hub}`, '-batch', '-auto', '-times', '-ui', 'text', '-silent'],
      ...['-confirmbigdel=false', '-log=false', '-sshargs', `-F ${arena.sshd.config}`],
      ...['-servercmd', `UNISON=${archives(`hub-${seat.name}`)} unison`, ...more],
    ],
  }
}

function hasMonitor(): boolean {
  return spawnSync('sh', ['-c', 'command -v unison-fsmonitor'], { stdio: 'ignore' }).status === 0
}
