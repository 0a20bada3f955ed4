// Reads the command line: flags as `-x v`, `-x=v`, `--x v` or `--x=v`, and words.
//
// Written here rather than taken from a package: no guessing of prefixes, no negations, no numbers made of texts, one sentence for each error.

import type { Level } from '../config/config.ts'
import type { Role } from '../config/identity.ts'
import { oneOf, readAddress, readPort, readUser, type Read, type Reader } from '../config/values.ts'
import { UsageError } from '../errors.ts'

/** What was given. `words`: the sub-command and its arguments; from `literalFrom` on they stood behind `--`. */
export interface Arguments {
  readonly role?: Role
  readonly ip?: string
  readonly port?: number
  readonly uname?: string
  readonly config?: string
  readonly state?: string
  readonly log?: string
  readonly level?: Level
  readonly json: boolean
  readonly once: boolean
  readonly help: boolean
  readonly version: boolean
  readonly words: readonly string[]
  readonly literalFrom: number
}

const TEXT: Reader<string> = (text) => (text === '' ? { wanted: 'a name that is not empty' } : { value: text })

const VALUES = {
  role: oneOf('server', 'client'),
  ip: readAddress,
  port: readPort,
  uname: readUser,
  config: TEXT,
  state: TEXT,
  log: TEXT,
  level: oneOf('error', 'warn', 'info', 'debug'),
} satisfies Record<string, Reader<unknown>>

const SWITCHES = ['json', 'once', 'help', 'version'] as const

type ValueFlag = keyof typeof VALUES
type SwitchFlag = (typeof SWITCHES)[number]

/** Throws `UsageError` for an unknown flag, a flag given twice, a missing or a wrong value. */
export function readArguments(argv: readonly string[]): Arguments {
  const values = new Map<string, unknown>()
  const words: string[] = []
  let literalFrom = Number.POSITIVE_INFINITY
  for (let index = 0; index < argv.length; index++) {
    const arg = argv[index] ?? ''
    if (arg === '--') {
      literalFrom = words.length
      words.push(...argv.slice(index + 1))
      break
    }
    if (!arg.startsWith('-') || arg === '-') {
      words.push(arg)
      continue
    }
    const { name, inline } = splitFlag(arg)
    if (values.has(name)) throw new UsageError(`Flag -${name} is given twice: give it once`)
    if (isSwitch(name)) values.set(name, readSwitch(name, inline))
    else if (isValueFlag(name)) values.set(name, readValue(name, inline ?? nextValue(name, argv[++index])))
    else throw new UsageError(`Unknown flag "${arg}"`, { hint: 'monitor --help shows every flag' })
  }
  const none = { json: false, once: false, help: false, version: false }
  return { ...none, ...Object.fromEntries(values), words, literalFrom }
}

function splitFlag(arg: string): { name: string; inline: string | undefined } {
  const [, name = '', inline] = /^--?([^=]*)(?:=(.*))?$/s.exec(arg) ?? []
  return { name: name === 'h' ? 'help' : name, inline }
}

function isSwitch(name: string): name is SwitchFlag {
  return SWITCHES.some((known) => known === name)
}

function isValueFlag(name: string): name is ValueFlag {
  return Object.hasOwn(VALUES, name)
}

function readSwitch(name: string, inline: string | undefined): true {
  if (inline !== undefined) throw new UsageError(`Flag -${name} takes no value: "${inline}" was given`)
  return true
}

function nextValue(name: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`Flag -${name} needs a value: none was given`)
  if (/^-./.test(value)) {
    throw new UsageError(`Flag -${name} needs a value: "${value}" follows`, {
      hint: `A value that starts with "-" is given as -${name}=VALUE`,
    })
  }
  return value
}

function readValue(name: ValueFlag, text: string): unknown {
  const read: Read<unknown> = VALUES[name](text)
  if ('value' in read) return read.value
  throw new UsageError(`Flag -${name} has the value "${text}": give ${read.wanted}`)
}
