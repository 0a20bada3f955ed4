// Collects what is wrong with a configuration, so that one run of `monitor check` tells all of it.

import type { Read } from './values.ts'
import { ConfigError } from '../errors.ts'

/** A value of the file and where it stands. */
export interface Placed {
  readonly section: string
  readonly key: string
  readonly value: string
  readonly line: number
}

export class Faults {
  readonly #file: string
  readonly #found: { line: number; text: string }[] = []

  constructor(file: string) {
    this.#file = file
  }

  /** Notes what is wrong at a line. `what` says what stands there and what would be right. `line` 0: nowhere in the file. */
  add(line: number, section: string | undefined, key: string | undefined, what: string): void {
    const place = line === 0 ? this.#file : `${this.#file}:${String(line)}`
    const names = [section === undefined ? [] : [`[${section}]`], key === undefined ? [] : [key]].flat().join(' ')
    this.#found.push({ line, text: names === '' ? `${place}: ${what}` : `${place}: ${names}: ${what}` })
  }

  /** Notes what is wrong with a value. */
  at(setting: Placed, what: string): void {
    this.add(setting.line, setting.section, setting.key, what)
  }

  /** The value that was read; when it could not be, notes what would be right and gives `fallback`. */
  take<Value, Fallback>(
    read: Read<Value>,
    setting: Placed,
    fallback: Fallback,
    text = setting.value,
  ): Value | Fallback {
    if ('value' in read) return read.value
    this.at(setting, `"${text}" is not right: give ${read.wanted}`)
    return fallback
  }

  /** Throws a `ConfigError` that names everything found, in the order of the file. */
  throwIfAny(): void {
    if (this.#found.length === 0) return
    const ordered = this.#found.toSorted((a, b) => a.line - b.line)
    throw new ConfigError(ordered.map(({ text }) => text).join('\n'), {
      hint: 'systemsync.cfg.example shows every option',
    })
  }
}
