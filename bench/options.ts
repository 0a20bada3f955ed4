// What the command line of the bench may ask for.

import { parseArgs } from 'node:util'

/** How a run is done. */
export interface Options {
  /** tmpfs: a private directory in /dev/shm; disk: in the directory for temporary files. */
  readonly on: 'tmpfs' | 'disk'
  readonly rounds: number
  readonly quick: boolean
  /** Names of workloads (`W1`) and contenders; empty means all. */
  readonly only: readonly string[]
  readonly contenders: readonly string[]
  /** Where results.json and chart.svg go. */
  readonly out: string
  /** Where SystemSync's processes write V8 CPU profiles; undefined means no profiles. */
  readonly profile: string | undefined
}

export const USAGE = `bench: SystemSync and its rivals on the same work, side by side

  --quick              small sizes, one round, under three minutes
  --rounds N           default: 3
  --on tmpfs|disk      default: tmpfs
  --only W1,W4         these workloads
  --contenders A,B     these of systemsync, rsync, rsync-cm, unison, unison-watch, lsyncd, syncthing
  --out DIR            results.json and chart.svg; default: dist/bench-results
  --profile DIR        write CPU profiles of SystemSync's processes there
  --help               this text
`

/** Reads `argv` (without node and script). Throws an `Error` with a sentence on whatever it does not know. */
export function parseOptions(argv: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      on: { type: 'string', default: 'tmpfs' },
      only: { type: 'string', default: '' },
      contenders: { type: 'string', default: '' },
      out: { type: 'string', default: 'dist/bench-results' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  if (values.on !== 'tmpfs' && values.on !== 'disk')
    throw new Error(`Cannot run on "${values.on}": expected tmpfs or disk`)
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`Cannot run "${values.rounds ?? ''}" rounds: expected a number from 1`)
  const { on, quick, out } = values
  return {
    on,
    rounds,
    quick,
    out,
    only: list(values.only),
    contenders: list(values.contenders),
    profile: values.profile,
  }
}

function list(text: string): string[] {
  return text.split(',').filter((word) => word !== '')
}
