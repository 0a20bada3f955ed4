// rsync by hand: A pushes to the coordinator, then all others pull; over new ssh connections or over warm ones.

import { join } from 'node:path'
import type { Arena, Seat } from '../arena.ts'
import type { Contender, Session } from '../contender.ts'
import type { Program } from '../processes.ts'
import { findVersion } from './find-version.ts'

const version = () => findVersion('rsync', ['--version'])

export const rsync: Contender = {
  name: 'rsync',
  kind: 'one-shot',
  twoWay: false,
  version,
  open: async (arena) => session(arena, false),
}

/** The same over ssh connections that stay open (ControlMaster). */
export const rsyncWarm: Contender = {
  name: 'rsync-cm',
  kind: 'one-shot',
  twoWay: false,
  version,
  open: async (arena) => session(arena, true),
}

function session(arena: Arena, isWarm: boolean): Session {
  const masters: Program[] = []
  const socket = ({ name }: Seat) => join(arena.dir, 'work', `cm-${name}`)
  const shell = (seat: Seat) => ['ssh', '-F', arena.sshd.config, ...(isWarm ? ['-S', socket(seat)] : [])].join(' ')
  const copy = (seat: Seat, from: string, to: string) =>
    arena.brood.run({
      name: 'rsync',
      command: 'rsync',
      args: ['-a', '--delete', '-e', shell(seat), from, to],
      env: arena.env,
      // 24: a file went away while it was read; the next pass sees to it.
      fine: [0, 24],
    })
  const [a, ...others] = arena.seats
  return {
    start: async () => {
      if (!isWarm) return
      for (const seat of arena.seats) {
        const args = ['-F', arena.sshd.config, '-M', '-N', '-S', socket(seat), seat.name]
        masters.push(arena.brood.start({ name: 'master', command: 'ssh', args, env: arena.env }))
        await untilMaster(arena, seat, socket(seat))
      }
    },
    stop: async () => {
      await Promise.all(masters.map((master) => arena.brood.stop(master)))
      masters.length = 0
    },
    pass: async () => {
      await copy(a, `${a.folder}/`, `${a.name}:${arena.hub}/`)
      await Promise.all(others.map((seat) => copy(seat, `${seat.name}:${arena.hub}/`, `${seat.folder}/`)))
    },
    coordinatorPid: () => arena.sshd.pid,
  }
}

async function untilMaster(arena: Arena, seat: Seat, socket: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const args = ['-F', arena.sshd.config, '-S', socket, '-O', 'check', seat.name]
    const said = await arena.brood.run({ name: 'check', command: 'ssh', args, env: arena.env, fine: [0, 255] })
    if (said.includes('Master running')) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`Cannot open a warm ssh connection for "${seat.name}": it is not there after 5 s`)
}
