// The roster: the clients now connected, and what each may see.

import type { RpcPeer } from '../rpc/peer.ts'
import type { Teller } from './teller.ts'

/** One client's control connection. */
export interface Member {
  readonly name: string
  readonly session: string
  readonly fingerprint: string
  /** Names of the folders it shares. */
  readonly folders: ReadonlySet<string>
  readonly peer: RpcPeer
  readonly teller: Teller
  readonly close: () => void
}

export class Roster {
  readonly #byName = new Map<string, Member>()
  readonly #bySession = new Map<string, Member>()
  /** The newest session of each name, here or gone. */
  readonly #newest = new Map<string, string>()

  /** Takes a member in. One that carried the name before is gone, whether it knows it or not. */
  join(member: Member): void {
    const before = this.#byName.get(member.name)
    if (before !== undefined) {
      this.leave(before)
      before.close()
    }
    this.#byName.set(member.name, member)
    this.#newest.set(member.name, member.session)
    this.#bySession.set(member.session, member)
  }

  leave(member: Member): void {
    if (this.#byName.get(member.name) === member) this.#byName.delete(member.name)
    this.#bySession.delete(member.session)
  }

  /** Whether another session of the same name has begun since: what this one proposed and is not committed must not be any more. */
  isReplaced({ name, session }: Member): boolean {
    return this.#newest.get(name) !== session
  }

  named(name: string): Member | undefined {
    return this.#byName.get(name)
  }

  bySession(session: string): Member | undefined {
    return this.#bySession.get(session)
  }

  members(): Iterable<Member> {
    return this.#byName.values()
  }
}
