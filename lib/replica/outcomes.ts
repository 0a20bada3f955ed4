// Outcomes: what the coordinator made of proposals, written to the base; and what failed, tried again.

import { SyncError } from '../errors.ts'
import type { RelPath } from '../model/path.ts'
import type { Outcome } from '../model/revision.ts'
import type { Change, Said } from '../model/snapshot.ts'
import type { Deletes } from './deletes.ts'
import { BULK, RETRY_MS, type FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'
import type { CommitReply } from './ports.ts'
import type { Ready } from './push-change.ts'
import { say } from './say.ts'

export class Outcomes implements Disposable {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #deletes: Deletes
  readonly #mustSend = new Set<RelPath>()
  readonly #failing = new Set<RelPath>()
  #retry: Disposable | undefined
  #level: 'info' | 'debug' = 'info'

  constructor(state: FolderState, local: LocalSide, deletes: Deletes) {
    this.#state = state
    this.#local = local
    this.#deletes = deletes
  }

  /** The coordinator was thought to hold the content of `path`, and asked for it. */
  mustSend(path: RelPath): boolean {
    return this.#mustSend.has(path)
  }

  /** Proposes, and records what becomes of it. `link` ends with the link. */
  async propose(ready: readonly Ready[], call: () => Promise<CommitReply>, link: AbortSignal): Promise<void> {
    const said = ready.map(({ change, entry }): Said => ({
      path: change.path,
      entry,
      print: change.kind === 'put' ? change.print : undefined,
    }))
    const settle = (reply: CommitReply, id: number): void => {
      this.#settle(ready, reply, id)
    }
    await say(this.#state, { said, moves: [] }, { call, settle }, link)
  }

  /** Records what became of each proposal, and takes what the reply tells besides. */
  #settle(ready: readonly Ready[], reply: CommitReply, id: number): void {
    const { base, log, name } = this.#state.parts
    this.#level = ready.length > BULK ? 'debug' : 'info'
    const isCut = reply.upTo < reply.prev
    base.transaction(() => {
      base.unheard.heard(id)
      ready.forEach((item, index) => {
        const outcome = reply.outcomes[index]
        if (outcome !== undefined) this.#settleOne(item, outcome)
      })
      this.#state.takeHeads(reply.heads, base.cursor())
      if (isCut) base.setCursor(Math.min(base.cursor(), reply.upTo))
      else if (reply.prev === base.cursor()) base.setCursor(reply.upTo)
    })
    if (isCut) this.#state.ask()
    if (ready.length > BULK) log.info(`Pushed ${String(ready.length)} changes`, { folder: name })
    this.#state.applyBell.ring()
  }

  /** A batch could not be proposed. What changed under it is looked at later, all else told and tried again. */
  failed(batch: readonly Change[], error: unknown): void {
    const isChanged = error instanceof SyncError && error.code === 'LOCAL_CHANGED'
    const reason = error instanceof Error ? error.message : String(error)
    for (const change of batch) {
      this.#state.changes.delete(change.path)
      if (isChanged) {
        this.#local.lookLater(change.path)
        continue
      }
      this.#state.problem({
        path: change.path,
        reason,
        todo: 'it is tried again in half a minute',
      })
      this.#tryAgain(change.path)
    }
  }

  [Symbol.dispose](): void {
    this.#retry?.[Symbol.dispose]()
    this.#retry = undefined
  }

  /** Looks at a path once more in half a minute; one timer for all that failed meanwhile. */
  #tryAgain(path: RelPath): void {
    this.#failing.add(path)
    this.#retry ??= this.#state.parts.clock.after(RETRY_MS, () => {
      this.#retry = undefined
      for (const failed of this.#failing) this.#local.lookAgain(failed)
      this.#failing.clear()
    })
  }

  #settleOne(item: Ready, outcome: Outcome): void {
    const { base, log, name } = this.#state.parts
    const { change, entry } = item
    const { path } = change
    switch (outcome.kind) {
      case 'need':
        this.#mustSend.add(path)
        return
      case 'refused':
        this.#state.done(change)
        if (outcome.status === 409) this.#local.lookLater(path)
        else
          this.#state.problem({
            path,
            reason: `the coordinator refused it: ${outcome.reason}`,
            todo: 'it is tried again in half a minute',
          })
        if (outcome.status !== 409) this.#tryAgain(path)
        return
      case 'accepted':
      case 'duplicate':
      case 'superseded':
        if (change.kind === 'put' && entry !== undefined) {
          base.put([{ path, seq: outcome.kind === 'superseded' ? 0 : outcome.seq, entry, print: change.print }])
        } else base.remove([path])
        if (outcome.kind === 'accepted') base.dropIncoming(path, outcome.seq)
        log[this.#level](`${change.kind === 'put' ? 'Pushed' : 'Deleted'} ${path}`, {
          folder: name,
          outcome: outcome.kind,
          seq: outcome.seq,
        })
        this.#mustSend.delete(path)
        this.#deletes.settled(path)
        this.#state.solved(path)
        this.#state.done(change)
    }
  }
}
