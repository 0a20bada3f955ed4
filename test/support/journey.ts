// A journey: a coordinator and clients as real processes over loopback, each with a home of its own: put, put, in step, check.
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { type Test } from 'tap'
import { JourneyNode, pause } from './journey-node.ts'
import { differences } from './trees.ts'

/** Milliseconds in which trees must have become equal. */
const IN_STEP_MS = 20_000

/** What a journey is made of; all but `clients` has a default. */
export interface JourneyPlan {
  /** Names of the clients. */
  readonly clients: readonly string[]
  /** Names of the folders; each is `<home>/<name>` on every node. */
  readonly folders?: readonly string[]
  /** Lines of `[systemsync.dir.<name>]`, by folder. */
  readonly options?: Readonly<Record<string, readonly string[]>>
  /** More sections, as text. */
  readonly config?: string
  /** The user and group id under which a client runs, by client; `nobody` by name. */
  readonly nobody?: readonly string[]
  /** Clients whose key is not put into authorized_keys. */
  readonly strangers?: readonly string[]
}

const NOBODY = 65534

export class Journey {
  readonly dir: string
  readonly config: string
  readonly port: number
  readonly server: JourneyNode
  readonly clients: readonly JourneyNode[]
  readonly #folders: readonly string[]
  #limitMs = IN_STEP_MS

  /** Makes homes, keys and the config file; starts nothing. All is stopped and removed when `t` ends. */
  static async open(t: Test, plan: JourneyPlan): Promise<Journey> {
    // Short, because a Unix socket's path is.
    const dir = mkdtempSync(join(tmpdir(), 'ssj-'))
    const ports = await freePorts(plan.clients.length + 1)
    const journey = new Journey(dir, plan, ports)
    t.teardown(() => journey.#close(t))
    return journey
  }

  private constructor(dir: string, plan: JourneyPlan, ports: readonly number[]) {
    this.dir = dir
    this.config = join(dir, 'systemsync.cfg')
    this.port = ports[0] ?? 0
    this.#folders = plan.folders ?? ['docs']
    const user = userInfo().username
    const names = ['server', ...plan.clients]
    const people = names.map((name) => (plan.nobody?.includes(name) === true ? 'nobody' : user))
    chmodSync(dir, 0o755)
    writeFileSync(this.config, configText({ plan, names, people, ports, dir, folders: this.#folders }))
    const nodes = names.map((name, i) => {
      const uid = people[i] === user ? undefined : NOBODY
      this.#furnish(name, uid)
      return new JourneyNode({
        name,
        role: i === 0 ? 'server' : 'client',
        home: join(dir, name),
        config: this.config,
        flags: ['-ip', '127.0.0.1', '-port', String(ports[i]), '-uname', people[i] ?? user],
        ...(uid === undefined ? {} : { uid }),
      })
    })
    const [server, ...clients] = nodes
    if (server === undefined) throw new Error('no server')
    this.server = server
    this.clients = clients
    for (const client of clients) if (plan.strangers?.includes(client.name) !== true) this.authorise(client)
  }

  get nodes(): readonly JourneyNode[] {
    return [this.server, ...this.clients]
  }

  /** The client of that name. */
  client(name: string): JourneyNode {
    const found = this.clients.find((client) => client.name === name)
    if (found === undefined) throw new Error(`no client ${name}`)
    return found
  }

  /** Puts a client's public key into the coordinator's authorized_keys. */
  authorise(client: JourneyNode): void {
    const key = readFileSync(join(client.home, '.ssh/id_ed25519.pub'), 'utf8')
    appendFileSync(join(this.server.home, '.ssh/authorized_keys'), key, { mode: 0o600 })
  }

  /** Starts all nodes, the coordinator first. */
  async start(): Promise<void> {
    await this.server.start()
    await Promise.all(this.clients.map((client) => client.start()))
  }

  /** Stops all nodes. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /**
   * Waits until the folder is equal on all `nodes` (default: all of the journey). Throws with what differs and what the nodes said.
   * `until` is waited for as well.
   */
  async inStep(
    options: { nodes?: readonly JourneyNode[]; folder?: string; limitMs?: number; until?: () => boolean } = {},
  ): Promise<void> {
    const nodes = options.nodes ?? this.nodes
    const folder = options.folder ?? this.#folders[0] ?? 'docs'
    const deadline = performance.now() + (options.limitMs ?? this.#limitMs)
    for (let waitMs = 20; ; waitMs = Math.min(waitMs * 1.3, 250)) {
      const lines = this.#differences(nodes, folder)
      if (lines.length === 0 && (options.until?.() ?? true)) return
      if (performance.now() > deadline) {
        const what = lines.length === 0 ? 'trees are equal, but what was waited for did not come' : lines.join('\n')
        this.#limitMs = IN_STEP_MS / 5 // what is broken stays so: the rest of the file need not wait as long
        throw new Error(`not in step: ${what}\n${nodes.map((node) => node.story(12)).join('\n')}`)
      }
      await pause(waitMs)
    }
  }

  /** Waits until all `nodes` are equal in the folder and each says that it is in step. */
  async settled(nodes: readonly JourneyNode[] = this.nodes): Promise<void> {
    await this.inStep({ nodes })
    for (const node of nodes) {
      await this.eventually(`${node.name} is in step`, async () => (await node.command('status')).status === 0)
    }
    await this.inStep({ nodes })
  }

  /** Waits until `isSo` holds; throws with what the nodes said when it does not come in time. */
  async eventually(what: string, isSo: () => boolean | Promise<boolean>, limitMs = this.#limitMs): Promise<void> {
    const deadline = performance.now() + limitMs
    while (!(await isSo())) {
      if (performance.now() > deadline) {
        throw new Error(`it never came that ${what}\n${this.nodes.map((node) => node.story(12)).join('\n')}`)
      }
      await pause(25)
    }
  }

  #differences(nodes: readonly JourneyNode[], folder: string): string[] {
    const [first, ...others] = nodes
    if (first === undefined) return []
    const tree = first.tree(folder)
    return others.flatMap((other) => {
      const lines = differences(tree, other.tree(folder))
      return lines.length === 0 ? [] : [`${first.name} | ${other.name}`, ...lines]
    })
  }

  #furnish(name: string, uid: number | undefined): void {
    const home = join(this.dir, name)
    const made = [home, join(home, '.ssh'), ...this.#folders.map((folder) => join(home, folder))]
    for (const place of made) mkdirSync(place, { mode: place.endsWith('.ssh') ? 0o700 : 0o755 })
    const key = join(home, '.ssh/id_ed25519')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', key])
    if (uid === undefined) return
    for (const place of [...made, key, `${key}.pub`]) chownSync(place, uid, uid)
  }

  async #close(t: Test): Promise<void> {
    if (!t.passing()) for (const node of this.nodes) console.error(node.story(60))
    await Promise.all(this.nodes.map((node) => node.stop('SIGKILL')))
    rmSync(this.dir, { recursive: true, force: true })
  }
}

interface ConfigParts {
  readonly plan: JourneyPlan
  readonly names: readonly string[]
  readonly people: readonly string[]
  readonly ports: readonly number[]
  readonly dir: string
  readonly folders: readonly string[]
}

function configText({ plan, names, people, ports, dir, folders }: ConfigParts): string {
  const nodes = names.map((name, i) => `${name} = ${people[i] ?? ''}, 127.0.0.1, ${ports[i] ?? 0}`)
  const dirs = folders.map((folder) => `${folder} = ${dir}/server/${folder}`)
  const options = folders.flatMap((folder) => [
    `[systemsync.dir.${folder}]`,
    ...names.map((name) => `path.${name} = ${dir}/${name}/${folder}`),
    ...(plan.options?.[folder] ?? []),
  ])
  const sections = ['[systemsync.server]', nodes[0], '[systemsync.clients]', ...nodes.slice(1), '[systemsync.dirs]']
  return [...sections, ...dirs, ...options, plan.config ?? '', ''].join('\n')
}

/** Ports of 127.0.0.1 that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}
