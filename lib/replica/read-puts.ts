// Reads what was put: entries of what changed, with the bodies of small files, and what is to be done about each.

import { reconcile } from '../core/reconcile.ts'
import type { Entry } from '../model/entry.ts'
import { samePrint } from '../model/entry.ts'
import type { Problem } from '../model/problem.ts'
import type { Proposal } from '../model/revision.ts'
import type { Deletes } from './deletes.ts'
import type { FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'
import type { Hub } from './ports.ts'
import { fileEntry, type Put, type Ready } from './push-change.ts'

export class PutReader {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #deletes: Deletes

  constructor(state: FolderState, local: LocalSide, deletes: Deletes) {
    this.#state = state
    this.#local = local
    this.#deletes = deletes
  }

  /** Reads small files. What need not or cannot be proposed is left out, and seen to. */
  async read(puts: readonly Put[], hub: Hub, signal: AbortSignal): Promise<Ready[]> {
    const ready: Ready[] = []
    const toRead: Put[] = []
    for (const put of puts) {
      const known = this.#knownEntry(put)
      if (known === undefined) toRead.push(put)
      else push(ready, this.decide(put, known, hub))
    }
    if (toRead.length === 0) return ready
    const { bytes, results } = await this.#state.parts.disk.read(
      toRead.map((put) => ({ path: put.path, print: put.print })),
      signal,
    )
    toRead.forEach((put, index) => {
      const result = results[index]
      if (result?.kind !== 'read') {
        this.unread(put, result ?? { kind: 'changed' })
        return
      }
      const body = bytes.subarray(result.offset, result.offset + result.size)
      push(ready, this.decide(put, fileEntry(put, result.sha256), hub, body))
    })
    return ready
  }

  /** It could not be read as it was seen. */
  unread(put: Put, result: { kind: 'changed' } | { kind: 'problem'; problem: Problem }): void {
    const { changes } = this.#state
    if (changes.get(put.path) === put) changes.delete(put.path)
    if (result.kind === 'problem') this.#state.problem(result.problem)
    else this.#local.lookLater(put.path)
  }

  /** Three ways: what is to be done about a path whose local entry is known now. `undefined`: nothing to propose. */
  decide(put: Put, entry: Entry, hub: Hub, body?: Uint8Array): Ready | undefined {
    const { base } = this.#state.parts
    const row = base.row(put.path)
    const head = base.incoming(put.path)?.head
    const decision = reconcile(row, { kind: 'put', entry }, head)
    switch (decision.do) {
      case 'propose': {
        const writtenAtMs = Number(put.print.ctimeNs) / 1e6 + hub.clockOffsetMs()
        const proposal: Proposal = { path: put.path, base: decision.base, entry, writtenAtMs }
        return { change: put, entry, proposal, ...(body === undefined ? {} : { body }) }
      }
      case 'adopt':
        base.transaction(() => {
          base.put([{ path: put.path, seq: decision.seq, entry, print: put.print }])
          base.dropIncoming(put.path, decision.seq)
        })
        break
      case 'apply':
        base.put([{ path: put.path, seq: 0, entry, print: put.print }])
        this.#state.applyBell.ring()
        break
      case 'nothing':
      case 'forget':
        if (row !== undefined) base.put([{ ...row, print: put.print }])
        break
    }
    this.#state.done(put)
    return undefined
  }

  /** The entry of a put that need not be read: a directory, a link, or a file that was only moved. */
  #knownEntry(put: Put): Entry | undefined {
    const { print } = put
    if (print.kind === 'dir') return { kind: 'dir', mode: print.mode }
    if (print.kind === 'link') return { kind: 'link', target: put.target ?? '' }
    const move = this.#deletes.moveTo(put.path)
    if (move === undefined || !samePrint(move.base.print, print)) return undefined
    return move.base.entry.kind === 'file' ? fileEntry(put, move.base.entry.sha256) : undefined
  }
}

function push<T>(list: T[], item: T | undefined): void {
  if (item !== undefined) list.push(item)
}
