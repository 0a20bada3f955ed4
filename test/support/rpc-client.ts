// A bare JSON-RPC peer over OpenSSH's own `ssh -s`: says whatever a test wants it to say.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { type JourneyNode, environment } from './journey-node.ts'

export interface Reply {
  readonly id?: number | null
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: { readonly status?: number } }
}

export class RpcClient {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  #rest = ''
  #wake: () => void = () => undefined
  #nextId = 1

  /** Logs in with the key of `node` at the coordinator on `port`. */
  static open(node: JourneyNode, port: number): RpcClient {
    return new RpcClient(
      spawn(
        'ssh',
        [...sshOptions(node), '-p', String(port), '-T', '-s', `${userInfo().username}@127.0.0.1`, 'systemsync-rpc'],
        {
          env: environment(node.home),
          stdio: ['pipe', 'pipe', 'pipe'],
        },
      ),
    )
  }

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stdin?.on('error', () => undefined)
    child.stdout?.on('data', (bytes: Buffer) => {
      const parts = (this.#rest + bytes.toString()).split('\n')
      this.#rest = parts.pop() ?? ''
      this.#lines.push(...parts)
      this.#wake()
    })
    child.on('close', () => this.#wake())
  }

  /** Sends bytes as they are. */
  raw(text: string | Buffer): void {
    this.#child.stdin?.write(text)
  }

  /** Calls a method and waits for its reply; `undefined` when the connection ends, or nothing comes in 10 s. */
  async call(method: string, params: unknown): Promise<Reply | undefined> {
    const id = this.#nextId++
    this.raw(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
    return await this.reply((reply) => reply.id === id)
  }

  /** The next reply that `isIt`; `undefined` when the connection ends, or nothing comes in 10 s. */
  async reply(isIt: (reply: Reply) => boolean): Promise<Reply | undefined> {
    const deadline = performance.now() + 10_000
    for (;;) {
      const found = this.#lines.map((line) => JSON.parse(line) as Reply).find(isIt)
      if (found !== undefined) return found
      if (this.#child.exitCode !== null || performance.now() > deadline) return undefined
      await new Promise<void>((done) => {
        this.#wake = done
        setTimeout(done, 200)
      })
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill()
    await once(this.#child, 'close')
  }
}

/** Options that keep OpenSSH away from the person's own files and questions. */
export function sshOptions(node: JourneyNode): string[] {
  return [
    ...['-F', 'none', '-i', join(node.home, '.ssh/id_ed25519'), '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes'],
    ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
  ]
}
