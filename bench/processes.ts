// Starts the programs of a run and makes sure that none outlives it.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** How a program is started. */
export interface Launch {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Exit statuses of `run` that are fine; default: 0. */
  readonly fine?: readonly number[]
}

/** A running program; `log` holds what it printed. */
export interface Program {
  readonly name: string
  readonly pid: number
  readonly log: string
  readonly ended: Promise<number>
  readonly process: ChildProcess
}

const GRACE_MS = 5_000

/** The programs of one measurement. Disposal stops what still runs. */
export class Brood implements AsyncDisposable {
  readonly #dir: string
  readonly #running = new Set<Program>()
  #count = 0

  /** `dir`: where the programs' output goes. */
  constructor(dir: string) {
    this.#dir = dir
  }

  get running(): readonly Program[] {
    return [...this.#running]
  }

  /** Starts a program in a process group of its own. */
  start(launch: Launch): Program {
    const log = join(this.#dir, `${launch.name}.${this.#count++}.log`)
    const fd = openSync(log, 'a')
    const child = spawn(launch.command, launch.args, {
      stdio: ['ignore', fd, fd],
      env: launch.env ?? process.env,
      detached: true,
    })
    closeSync(fd)
    const ended = new Promise<number>((resolve) => {
      child.once('error', () => resolve(127))
      child.once('exit', (code) => resolve(code ?? 128))
    })
    const program = { name: launch.name, pid: child.pid ?? 0, log, ended, process: child }
    this.#running.add(program)
    void ended.then(() => this.#running.delete(program))
    return program
  }

  /** Runs a program to its end. Throws with the tail of its output when it fails. */
  async run(launch: Launch): Promise<string> {
    const program = this.start(launch)
    const status = await program.ended
    const output = readFileSync(program.log, 'utf8')
    if ((launch.fine ?? [0]).includes(status)) return output
    throw new Error(`Cannot run "${launch.name}": it ended with ${status}: ${output.slice(-600)}`)
  }

  /** Asks a program to stop, and kills its group when it does not. */
  async stop(program: Program): Promise<void> {
    if (!this.#running.has(program)) return
    signalGroup(program.pid, 'SIGTERM')
    const timer = setTimeout(() => signalGroup(program.pid, 'SIGKILL'), GRACE_MS)
    await program.ended
    clearTimeout(timer)
    signalGroup(program.pid, 'SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.running.map((program) => this.stop(program)))
  }
}

function signalGroup(pid: number, name: NodeJS.Signals): void {
  if (pid === 0) return
  try {
    process.kill(-pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Waits until `text` is in the program's output; throws when it ends or `timeoutMs` pass before. */
export async function untilSaid(program: Program, text: string, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs
  const state = { ended: false }
  void program.ended.then(() => (state.ended = true))
  for (;;) {
    const said = readFileSync(program.log, 'utf8')
    if (said.includes(text)) return
    if (state.ended) throw new Error(`Cannot wait for "${text}" of "${program.name}": it ended: ${said.slice(-600)}`)
    if (performance.now() > end)
      throw new Error(
        `Cannot wait for "${text}" of "${program.name}": ${timeoutMs} ms have passed: ${said.slice(-600)}`,
      )
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
