// Runs a daemon of either role: lock, folders, role, control socket, ready line; until the signal aborts, or once until in step.

import type { NodeConfig } from '../config/node-config.ts'
import type { Clock } from '../daemon/clock.ts'
import { keepFreeRoom, shareArenas } from '../daemon/free-memory.ts'
import type { Log } from '../daemon/log.ts'
import { openMessageLog } from '../daemon/message-log.ts'
import { notifySystemd } from '../daemon/notify-systemd.ts'
import { acquireLock } from '../disk/lock-file.ts'
import { EXIT, Unreachable } from '../errors.ts'
import { DiskLanes } from '../replica/disk-lanes.ts'
import type { Replica } from '../replica/replica.ts'
import type { ControlMethods } from './control-contract.ts'
import { serveControl } from './control-socket.ts'
import { freeAtRest } from './free-at-rest.ts'
import { runOnce } from './run-once.ts'

export interface RunOptions {
  readonly once: boolean
  readonly json: boolean
  readonly clock: Clock
  readonly log: Log
}

/** A role that is running. `failure`: why it cannot reach its hub, for `-once`. */
export interface Role extends AsyncDisposable {
  readonly replicas: readonly Replica[]
  readonly methods: ControlMethods
  /** Facts of the ready line, in order. */
  readonly facts: Readonly<Record<string, string>>
  readonly failure: () => Error | undefined
  /** Whether the other side is there. */
  readonly isInUse: () => boolean
  /** Rejects when the role cannot go on. */
  readonly hopeless: Promise<never>
}

/** A stop must be over within this, whatever is in hand. Milliseconds; the contract promises 5 s. */
const STOP_MS = 4500

/** Returns the exit status. Throws `Unreachable` when another daemon holds the state directory, `SyncError`s of a start that fails. */
export async function runDaemon(node: NodeConfig, options: RunOptions, signal: AbortSignal): Promise<number> {
  const { clock, log, once } = options
  using lock = acquireLock(`${node.stateDir}/lock`)
  if (lock === undefined) {
    throw new Unreachable(`Cannot start ${node.node}: another daemon is running on ${node.stateDir}`, {
      hint: 'Ask it with "monitor status", or stop it first',
    })
  }
  await shareArenas()
  await keepFreeRoom()
  using messageLog = openMessageLog(node.log.messagesFile, { clock })
  await using lanes = new DiskLanes()
  const parts = { node, lanes, clock, log, messageLog }
  const role = node.role === 'server' ? await openServer(parts, signal) : await openClient(parts, signal)
  const watchdog = armWatchdog(options, signal)
  try {
    await using _control = await serveControl(node.stateDir, role.methods, log)
    if (once) return await runOnce(role, options, signal)
    const facts = Object.entries(role.facts).map(([name, fact]) => `${name}=${fact}`)
    process.stdout.write(`ready role=${node.role} node=${node.node} ${facts.join(' ')}\n`)
    log.info('Ready', { role: node.role, node: node.node, ...role.facts })
    void notifySystemd('READY=1')
    using _atRest = freeAtRest({ replicas: role.replicas, lanes, clock, log, isInUse: role.isInUse })
    await Promise.race([ended(signal), role.hopeless])
    void notifySystemd('STOPPING=1')
    log.info('Stopping')
    return EXIT.done
  } finally {
    await role[Symbol.asyncDispose]()
    watchdog[Symbol.dispose]()
  }
}

interface Parts {
  readonly node: NodeConfig
  readonly lanes: DiskLanes
  readonly clock: Clock
  readonly log: Log
  readonly messageLog: ReturnType<typeof openMessageLog>
}

async function openServer(parts: Parts, signal: AbortSignal): Promise<Role> {
  const [{ Coordinator }, { serverControl }] = await Promise.all([
    import('../server/coordinator.ts'),
    import('./server-control.ts'),
  ])
  const coordinator = await Coordinator.open(parts, signal)
  const { node } = parts
  return {
    replicas: [...coordinator.folders()].map(({ replica }) => replica),
    methods: serverControl(coordinator, node),
    facts: readyFacts(node, coordinator.port()),
    failure: () => undefined,
    isInUse: () => coordinator.hasClients,
    hopeless: new Promise(() => undefined),
    [Symbol.asyncDispose]: () => coordinator[Symbol.asyncDispose](),
  }
}

/** The address by which clients reach it; what it listens on besides, when that is another (a router's, a cloud's). */
function readyFacts({ coordinator: { address, bind }, folders }: NodeConfig, port: number): Record<string, string> {
  return {
    ...{ address, port: String(port), folders: String(folders.length) },
    ...(bind === address ? {} : { bind }),
  }
}

async function openClient(parts: Parts, signal: AbortSignal): Promise<Role> {
  const [{ Client }, { clientControl }] = await Promise.all([
    import('../client/client.ts'),
    import('./client-control.ts'),
  ])
  const client = await Client.open(parts)
  const { node } = parts
  try {
    await Promise.race([client.firstContact, client.hopeless, ended(signal)])
  } catch (error) {
    await client[Symbol.asyncDispose]()
    throw error
  }
  return {
    replicas: [...client.replicas()],
    methods: clientControl(client, node),
    facts: {
      coordinator: `${node.coordinator.address}:${String(node.coordinator.port)}`,
      connected: client.link.connected ? 'yes' : 'no',
      folders: String(node.folders.length),
    },
    failure: () => client.link.failure,
    isInUse: () => client.link.connected,
    hopeless: client.hopeless,
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

/** Ends the process when a stop takes too long: all that was in hand is safe to lose, it is redone at the next start. */
function armWatchdog({ clock, log }: RunOptions, signal: AbortSignal): Disposable {
  let armed: Disposable | undefined
  const arm = (): void => {
    armed = clock.after(STOP_MS, () => {
      log.warn('Stopping took too long: leaving what is in hand to the next start')
      process.exit(EXIT.done)
    })
  }
  if (signal.aborted) arm()
  else signal.addEventListener('abort', arm, { once: true })
  return {
    [Symbol.dispose]: () => {
      signal.removeEventListener('abort', arm)
      armed?.[Symbol.dispose]()
    },
  }
}

async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true })
  })
}
