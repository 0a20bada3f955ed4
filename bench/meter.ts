// Reads what the programs of a run cost: CPU time and resident memory of all processes below this one, from /proc.

import { readdirSync, readFileSync } from 'node:fs'

/** What one process stands at. */
export interface ProcessReading {
  readonly pid: number
  readonly command: string
  /** Its own CPU time and that of its ended children, in s. */
  readonly cpuSeconds: number
  readonly rssBytes: number
}

interface Stat extends ProcessReading {
  readonly parent: number
  readonly endedChildrenSeconds: number
}

const TICKS_PER_SECOND = 100
const PAGE_BYTES = 4096

/** Reads the processes below this one; those of `without` and below them are left out. */
export class Meter {
  readonly #without: ReadonlySet<number>

  constructor(without: readonly number[]) {
    this.#without = new Set(without)
  }

  /** The processes below `root` (default: below this process), `root` itself included if it is another. */
  processes(root = process.pid): ProcessReading[] {
    const all = readAll()
    const below = new Set([root])
    let grown = true
    while (grown) {
      grown = false
      for (const one of all) {
        if (below.has(one.pid) || !below.has(one.parent) || this.#without.has(one.pid)) continue
        below.add(one.pid)
        grown = true
      }
    }
    return all.filter(({ pid }) => below.has(pid) && pid !== process.pid)
  }

  /** CPU time so far, in s, of all below, ended ones included: only differences mean something. */
  cpuSeconds(): number {
    const own = readStat(process.pid)?.endedChildrenSeconds ?? 0
    return this.processes().reduce((sum, { cpuSeconds }) => sum + cpuSeconds, own)
  }

  /** CPU time so far, in s, of the process `root` and all below it. */
  cpuSecondsBelow(root: number): number {
    return this.processes(root).reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
  }

  /** Resident memory now, in bytes, summed over all below; shared pages count once for each. */
  rssBytes(): number {
    return this.processes().reduce((sum, { rssBytes }) => sum + rssBytes, 0)
  }

  /** Watches the summed memory until disposed. */
  watchPeak(): PeakWatch {
    return new PeakWatch(this)
  }
}

const SAMPLE_MS = 100

/** The highest sum of resident memory, and the highest of any one process, since it was made. */
export class PeakWatch implements Disposable {
  readonly #meter: Meter
  readonly #timer: NodeJS.Timeout
  #sumBytes = 0
  #oneBytes = 0

  constructor(meter: Meter) {
    this.#meter = meter
    this.#timer = setInterval(() => this.sample(), SAMPLE_MS)
    this.sample()
  }

  get sumBytes(): number {
    return this.#sumBytes
  }

  get oneBytes(): number {
    return this.#oneBytes
  }

  sample(): void {
    const each = this.#meter.processes().map(({ rssBytes }) => rssBytes)
    const sum = each.reduce((total, bytes) => total + bytes, 0)
    this.#sumBytes = Math.max(this.#sumBytes, sum)
    this.#oneBytes = Math.max(this.#oneBytes, ...each)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

function readAll(): Stat[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map((pid) => readStat(Number(pid))).filter((stat) => stat !== undefined)
}

/** proc(5), stat: the command is in parentheses and may hold any byte; counted after it: 1 state, 2 ppid, 12 utime, ... */
function readStat(pid: number): Stat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined // it ended meanwhile
  }
  const end = text.lastIndexOf(')')
  const command = text.slice(text.indexOf('(') + 1, end)
  const fields = text.slice(end + 2).split(' ')
  const field = (at: number) => Number(fields[at - 1] ?? 0)
  const endedChildrenSeconds = (field(14) + field(15)) / TICKS_PER_SECOND
  const cpuSeconds = (field(12) + field(13)) / TICKS_PER_SECOND + endedChildrenSeconds
  return { pid, command, cpuSeconds, rssBytes: field(22) * PAGE_BYTES, parent: field(2), endedChildrenSeconds }
}
