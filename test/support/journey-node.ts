// One node of a journey: a real `monitor` process with a home, a state directory and folders of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import {
  type PathLike,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type DigestCache, type Tree, treeOf } from './trees.ts'

/** The project: the compiled tests are in `dist/test/…` of it. */
export const PROJECT = resolve(import.meta.dirname, '../../..')
const MONITOR = join(PROJECT, 'bin/monitor')

/** Milliseconds a process may take to print `ready`. */
const READY_MS = 20_000

export interface Ran {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** The parts of `status -json` that the journeys look at. */
export interface Status {
  readonly role: string
  readonly node: string
  readonly version: string
  readonly coordinator: { readonly connected: boolean; readonly address: string }
  readonly folders: readonly FolderStatus[]
}

interface FolderStatus {
  readonly name: string
  readonly path: string
  readonly state: 'in step' | 'scanning' | 'syncing' | 'waiting' | 'held' | 'halted' | 'offline'
  readonly seq: number
  readonly pending: number
  readonly bytesPending: number
  readonly problems: readonly { readonly path: string; readonly reason: string; readonly todo: string }[]
}

/** Who a node is and how its process is started. `uid`: as whom, when not as the one who runs the tests. */
export interface NodePlan {
  readonly name: string
  readonly role: 'server' | 'client'
  readonly home: string
  readonly config: string
  readonly flags: readonly string[]
  readonly uid?: number
}

export class JourneyNode {
  readonly name: string
  readonly home: string
  readonly state: string
  readonly #plan: NodePlan
  readonly #digests: DigestCache = new Map()
  #child: ChildProcess | undefined
  #exited: Promise<Ran> | undefined
  #stdout = ''
  #stderr = ''

  constructor(plan: NodePlan) {
    this.name = plan.name
    this.home = plan.home
    this.state = join(plan.home, 'state')
    this.#plan = plan
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.name} does not run`)
    return this.#child.pid
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  /** What the running, or the last, process printed. */
  get printed(): { readonly stdout: string; readonly stderr: string } {
    return { stdout: this.#stdout, stderr: this.#stderr }
  }

  /** Starts the daemon and waits for its `ready` line, which it gives. */
  async start(...extra: string[]): Promise<string> {
    const ended = this.launch(...extra)
    const deadline = performance.now() + READY_MS
    let dead: Ran | undefined
    void ended.then((ran) => (dead = ran))
    for (;;) {
      const line = /^ready .*$/m.exec(this.#stdout)?.[0]
      if (line !== undefined) return line
      if (dead !== undefined || performance.now() > deadline) {
        throw new Error(
          `${this.name} is not ready: ${dead === undefined ? 'still running' : `exit ${dead.status ?? dead.signal}`}\n${this.story()}`,
        )
      }
      await pause(10)
    }
  }

  /** Starts the daemon without waiting for anything; gives how it ends. */
  launch(...extra: string[]): Promise<Ran> {
    if (this.#child !== undefined) throw new Error(`${this.name} runs already`)
    this.#stdout = this.#stderr = ''
    const child = this.#spawn(['-role', this.#plan.role, ...this.#plan.flags, ...this.common(), ...extra])
    this.#child = child
    child.stdout?.on('data', (bytes: Buffer) => (this.#stdout += bytes.toString()))
    child.stderr?.on('data', (bytes: Buffer) => (this.#stderr += bytes.toString()))
    this.#exited = new Promise((done) => {
      child.on('close', (status, signal) => {
        this.#child = undefined
        done({ status, signal, stdout: this.#stdout, stderr: this.#stderr })
      })
    })
    return this.#exited
  }

  /** Ends the daemon with `signal`; gives how it ended, `undefined` when it was not running. A daemon that stays 15 s is killed. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ran | undefined> {
    const child = this.#child
    if (child === undefined) return undefined
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
    const ran = await this.#exited
    clearTimeout(timer)
    return ran
  }

  async kill9(): Promise<void> {
    await this.stop('SIGKILL')
  }

  /** Runs one sub-command to its end. */
  async command(...args: string[]): Promise<Ran> {
    return await this.monitor(...args, ...this.common())
  }

  /** Runs `monitor` with exactly these arguments to its end. */
  monitor(...args: string[]): Promise<Ran> {
    const child = this.#spawn(args)
    return collect(child)
  }

  /** The one JSON value that a sub-command prints with `-json`. */
  async json<Value>(...args: string[]): Promise<Value> {
    const ran = await this.command(...args, '-json')
    try {
      return JSON.parse(ran.stdout) as Value
    } catch {
      throw new Error(`monitor ${args.join(' ')} on ${this.name} printed no JSON: ${JSON.stringify(ran)}`)
    }
  }

  status(): Promise<Status> {
    return this.json<Status>('status')
  }

  /** The part of `status` about one folder. */
  async folder(name = 'docs'): Promise<FolderStatus> {
    const status = await this.status()
    const found = status.folders.find((folder) => folder.name === name)
    if (found === undefined) throw new Error(`${this.name} has no folder ${name}: ${JSON.stringify(status)}`)
    return found
  }

  /** Where `path` of a folder is on this machine; the folder itself without a path. */
  at(path = '', folder = 'docs'): string {
    return path === '' ? join(this.home, folder) : `${join(this.home, folder)}/${path}`
  }

  /** Writes a file as most programs do (create or truncate, write, close), its directories made on the way. */
  put(path: string, body: string | Buffer, folder = 'docs'): void {
    const place = this.at(path, folder)
    mkdirSync(dirname(place), { recursive: true })
    writeFileSync(place, body)
  }

  mkdir(path: string, folder = 'docs'): void {
    mkdirSync(this.at(path, folder), { recursive: true })
  }

  remove(path: string, folder = 'docs'): void {
    rmSync(this.at(path, folder), { recursive: true })
  }

  move(from: string, to: string, folder = 'docs'): void {
    renameSync(this.at(from, folder), this.at(to, folder))
  }

  read(path: string, folder = 'docs'): string {
    return readFileSync(this.at(path, folder), 'utf8')
  }

  has(path: string, folder = 'docs'): boolean {
    return lstatSync(this.at(path, folder), { throwIfNoEntry: false }) !== undefined
  }

  tree(folder = 'docs'): Tree {
    return treeOf(this.at('', folder), this.#digests)
  }

  /** Files left in the staging of a folder, with their sizes in bytes. */
  staged(folder = 'docs'): { readonly path: string; readonly size: number }[] {
    return filesBelow(join(this.at('', folder), '.systemsync/staging'))
  }

  /** All that this node and its process said, for a failed test. */
  story(lines = 40): string {
    const log = existsSync(this.state)
      ? readdirSync(this.state).filter((name) => name.startsWith('systemsync.log'))
      : []
    const tails = log.map((name) => `--- ${name}\n${tail(readFileSync(join(this.state, name), 'utf8'), lines)}`)
    return [
      `=== ${this.name}: stdout\n${tail(this.#stdout, lines)}`,
      `--- stderr\n${tail(this.#stderr, lines)}`,
      ...tails,
    ].join('\n')
  }

  /** The flags that every call of this node carries. */
  common(): string[] {
    return ['-config', this.#plan.config, '-state', this.state]
  }

  #spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [MONITOR, ...args], {
      cwd: this.home,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(this.home),
      ...(this.#plan.uid === undefined ? {} : { uid: this.#plan.uid, gid: this.#plan.uid }),
    })
  }
}

/** An environment of its own: nothing of the person who runs the tests gets in. */
export function environment(home: string): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: home, LANG: 'C.UTF-8', TMPDIR: process.env['TMPDIR'] }
}

/** Runs a program to its end; a program that takes longer than a minute is killed. */
export function collect(child: ChildProcess): Promise<Ran> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
  child.stderr?.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      done({ status, signal, stdout, stderr })
    })
  })
}

/** Waits so many milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}

/** All files below `dir`, with their sizes in bytes; none when there is no such directory. */
export function filesBelow(dir: PathLike): { readonly path: string; readonly size: number }[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((found) => !found.isDirectory())
    .map((found) => join(found.parentPath, found.name))
    .map((path) => ({ path, size: lstatSync(path, { throwIfNoEntry: false })?.size ?? 0 }))
}

function tail(text: string, lines: number): string {
  return text.trimEnd().split('\n').slice(-lines).join('\n')
}
