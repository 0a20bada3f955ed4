// The client: keeps its folders joined to the coordinator, for ever, over connections that come and go.

import type { NodeConfig } from '../config/node-config.ts'
import type { Clock } from '../daemon/clock.ts'
import { JointSignal } from '../daemon/joint-signal.ts'
import type { Log } from '../daemon/log.ts'
import type { MessageLog } from '../daemon/message-log.ts'
import { ownVersion } from '../daemon/own-version.ts'
import { supervise } from '../daemon/supervise.ts'
import { Refused, SyncError, Unauthorised, Unreachable } from '../errors.ts'
import type { DiskLanes } from '../replica/disk-lanes.ts'
import { openReplica } from '../replica/open-replica.ts'
import type { Depot } from '../replica/ports.ts'
import type { Replica } from '../replica/replica.ts'
import { askCoordinator, implement, PROTOCOL, toClient, type Answer, type CoordinatorMethod } from '../rpc/contract.ts'
import { RpcPeer, type RpcMethod } from '../rpc/peer.ts'
import type { SshSession } from '../ssh/client/ssh-session.ts'
import { measureOffset } from './clock-offset.ts'
import { DataLink } from './data-link.ts'
import { openSession } from './open-session.ts'
import { remoteHub } from './remote-hub.ts'

const CALL_TIMEOUT_MS = 3_600_000

export interface ClientParts {
  readonly node: NodeConfig
  readonly lanes: DiskLanes
  readonly clock: Clock
  readonly log: Log
  readonly messageLog: MessageLog
}

/** The link as it is now. `failure`: why there is none. */
export interface LinkState {
  readonly connected: boolean
  readonly failure: SyncError | undefined
}

export class Client implements AsyncDisposable {
  readonly #parts: ClientParts
  readonly #replicas = new Map<string, Replica>()
  readonly #stop = new AbortController()
  #link: { readonly control: RpcPeer; readonly data: DataLink } | undefined
  #failure: SyncError | undefined
  #wasConnected = false
  #tried: (() => void) | undefined
  #refused: readonly { name: string; reason: string }[] = []
  /** Resolves when the first contact was tried, well or not. */
  readonly firstContact: Promise<void>
  /** Rejects when there is no hope to be let in. */
  readonly hopeless: Promise<never>
  #giveUp: ((error: unknown) => void) | undefined
  #running: Promise<void> | undefined

  private constructor(parts: ClientParts) {
    this.#parts = parts
    this.firstContact = new Promise((resolve) => {
      this.#tried = resolve
    })
    this.hopeless = new Promise((_, reject) => {
      this.#giveUp = reject
    })
    this.hopeless.catch(() => undefined)
  }

  /** Opens the folders and starts to connect. */
  static async open(parts: ClientParts): Promise<Client> {
    const client = new Client(parts)
    const { node, lanes, clock, log } = parts
    try {
      for (const folder of node.folders) {
        const replica = await openReplica(folder, { stateDir: node.stateDir, lanes, clock, log })
        client.#replicas.set(folder.name, replica)
      }
    } catch (error) {
      await client[Symbol.asyncDispose]()
      throw error
    }
    client.#running = client.#connectForEver().catch((error: unknown) => client.#giveUp?.(error))
    return client
  }

  get link(): LinkState {
    return { connected: this.#link !== undefined, failure: this.#failure }
  }

  /** Folders that the coordinator does not share with this client, and why. */
  get refused(): readonly { name: string; reason: string }[] {
    return this.#refused
  }

  replicas(): Iterable<Replica> {
    return this.#replicas.values()
  }

  replica(folder: string): Replica | undefined {
    return this.#replicas.get(folder)
  }

  /** Asks the coordinator. Throws `Unreachable` when there is no link, `Refused` when it says no. */
  async ask<Name extends CoordinatorMethod>(name: Name, params: object, signal: AbortSignal): Promise<Answer<Name>> {
    if (this.#link === undefined) {
      const { address, port } = this.#parts.node.coordinator
      throw new Unreachable(`Cannot ask the coordinator at ${address} port ${String(port)}: it is not connected`, {
        ...(this.#failure === undefined ? {} : { hint: this.#failure.message }),
      })
    }
    return await askCoordinator(this.#link.control, name, params, signal)
  }

  /** Where a folder's contents are read. Throws `Unreachable` when there is no link. */
  depot(folder: string): Depot {
    if (this.#link === undefined) throw new Unreachable('Cannot fetch a content: the coordinator is not connected')
    const { control, data } = this.#link
    return remoteHub({ folder, client: this.#parts.node.node, control, data, clockOffsetMs: 0 }).depot
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('The client is closing', 'AbortError'))
    await this.#running?.catch(() => undefined)
    await Promise.all([...this.#replicas.values()].map((replica) => replica[Symbol.asyncDispose]()))
  }

  async #connectForEver(): Promise<void> {
    const { clock, log } = this.#parts
    await supervise(
      async (signal, succeeded) => {
        try {
          await this.#connectOnce(signal, succeeded)
        } catch (error) {
          this.#failure = error instanceof SyncError ? error : new Unreachable(String(error), { cause: error })
          if (!this.#isHopeless(error)) this.#tried?.()
          throw error
        } finally {
          this.#link = undefined
        }
      },
      { name: 'The connection to the coordinator', clock, log, canRetry: (error) => !this.#isHopeless(error) },
      this.#stop.signal,
    )
  }

  /** A host key that changed; or this node not let in from the very start. Later, whoever was let in once tries on. */
  #isHopeless(error: unknown): boolean {
    return error instanceof Unauthorised && (error.retry === 'never' || !this.#wasConnected)
  }

  /** One connection, from login to its end. */
  async #connectOnce(stop: AbortSignal, succeeded: () => void): Promise<void> {
    const { node, log, messageLog, clock } = this.#parts
    const ended = new AbortController()
    using joint = new JointSignal(stop, ended.signal)
    const { signal } = joint
    await using ssh = await openSession(node, log, signal)
    const control = new RpcPeer(await ssh.subsystem('systemsync-rpc'), {
      methods: this.#methods(ssh),
      log,
      messageLog,
      name: 'server',
      timeoutMs: CALL_TIMEOUT_MS,
    })
    try {
      const welcome = await this.#hello(control, signal)
      const askClock = async () => (await askCoordinator(control, 'clock', {}, signal)).nowMs
      const { offsetMs, roundTripMs } = await measureOffset(askClock, clock)
      const data = new DataLink(
        {
          open: (until) => openSession(node, log, until, 'data'),
          session: welcome.session,
          rpc: { log, messageLog },
          clock,
          roundTripMs,
        },
        signal,
      )
      data.warm()
      this.#link = { control, data }
      this.#wasConnected = true
      this.#failure = undefined
      this.#refused = welcome.refused
      for (const { name, reason } of welcome.refused)
        log.error(`The coordinator does not serve folder "${name}": ${reason}`)
      const { address, port } = node.coordinator
      log.info(`Connected to the coordinator at ${address} port ${String(port)}`, {
        hostKey: ssh.hostFingerprint,
        offsetMs: Math.round(offsetMs),
        roundTripMs: Number(roundTripMs.toFixed(2)),
      })
      succeeded()
      for (const { name, ...agreement } of welcome.folders) {
        const hub = remoteHub({ folder: name, client: node.node, control, data, clockOffsetMs: offsetMs })
        this.#replicas.get(name)?.attach(hub, agreement, signal)
      }
      this.#tried?.()
      const lost = await Promise.race([ssh.closed, control.closed.then(() => undefined), aborted(signal)])
      if (!stop.aborted) throw lost ?? new Unreachable('Lost the coordinator: it closed the connection')
    } finally {
      ended.abort(new Unreachable('The connection to the coordinator is gone'))
      await control[Symbol.asyncDispose]()
    }
  }

  async #hello(control: RpcPeer, signal: AbortSignal) {
    const { node } = this.#parts
    const folders = [...this.#replicas.values()].map((replica) => ({
      name: replica.name,
      id: replica.id ?? null,
      incarnation: replica.incarnation ?? null,
      cursor: replica.cursor,
    }))
    try {
      const params = { protocol: PROTOCOL, node: node.node, version: ownVersion(), folders }
      return await askCoordinator(control, 'mark_presence', params, signal)
    } catch (error) {
      if (error instanceof Refused && error.status === 403) {
        throw new Unauthorised(error.message, {
          cause: error,
          retry: 'later',
          ...(error.hint === undefined ? {} : { hint: error.hint }),
        })
      }
      throw error
    }
  }

  #methods(ssh: SshSession): Record<keyof typeof toClient, RpcMethod> {
    return {
      pull_file: implement(toClient.pull_file, ({ folder, ...news }) => {
        this.#replicas.get(folder)?.told(news)
        return {}
      }),
      coming: implement(toClient.coming, ({ folder, ...news }) => {
        this.#replicas.get(folder)?.coming(news)
        return {}
      }),
      coming_patch: implement(toClient.coming_patch, ({ folder, ...news }) => {
        this.#replicas.get(folder)?.coming(news)
        return {}
      }),
      get_public_key: implement(toClient.get_public_key, () => ({ key: ssh.identity.publicKeyText })),
    }
  }
}

async function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return
  await new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true })
  })
}
