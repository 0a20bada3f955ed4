// lsyncd: one on A towards the coordinator, one at the coordinator towards all others; rsync over ssh does the carrying.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Arena } from '../arena.ts'
import type { Contender, Session } from '../contender.ts'
import type { Program } from '../processes.ts'
import { findVersion } from './find-version.ts'

/** Seconds lsyncd gathers events before it acts; its default of 15 would be unfair. */
const DELAY_S = 1

export const lsyncd: Contender = {
  name: 'lsyncd',
  kind: 'continuous',
  twoWay: false,
  version: () => findVersion('lsyncd', ['-version']),
  open: async (arena) => session(arena),
}

function session(arena: Arena): Session {
  const [a, ...others] = arena.seats
  const first = writeConfig(arena, 'first', [{ source: a.folder, target: `${a.name}:${arena.hub}` }])
  const second = writeConfig(
    arena,
    'second',
    others.map(({ name, folder }) => ({ source: arena.hub, target: `${name}:${folder}` })),
  )
  const running: Program[] = []
  return {
    start: async () => {
      for (const file of [second, first])
        running.push(arena.brood.start({ name: 'lsyncd', command: 'lsyncd', args: [file], env: arena.env }))
    },
    stop: async () => {
      await Promise.all(running.map((program) => arena.brood.stop(program)))
      running.length = 0
    },
    pass: async () => {},
    coordinatorPid: () => running[0]?.pid,
  }
}

function writeConfig(arena: Arena, name: string, ways: readonly { source: string; target: string }[]): string {
  const file = join(arena.dir, 'work', `${name}.lua`)
  const log = join(arena.dir, 'logs', `lsyncd-${name}`)
  const syncs = ways.map(
    ({ source, target }) =>
      `sync { default.rsync, source = "${source}", target = "${target}", delay = ${DELAY_S},` +
      ` rsync = { archive = true, rsh = "ssh -F ${arena.sshd.config}" } }`,
  )
  const settings = `settings { nodaemon = true, insist = true, logfile = "${log}.log", statusFile = "${log}.status" }`
  writeFileSync(file, [settings, ...syncs, ''].join('\n'))
  return file
}
