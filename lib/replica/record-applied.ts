// Records applied steps: what a step did to the disk, written to the base; what it could not do, blocked until it may be tried again.

import type { ApplyStep } from '../core/apply-step.ts'
import type { Entry, Fingerprint } from '../model/entry.ts'
import { ancestorsOf, type RelPath } from '../model/path.ts'
import type { Head } from '../model/revision.ts'
import type { BaseRow } from '../model/snapshot.ts'
import type { WriteResult } from '../model/write-step.ts'
import { BULK, RETRY_MS, type FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'

export const RETRY_SOON_MS = 250

/** A step, and how it went. */
export interface Applied {
  readonly step: ApplyStep
  readonly result: WriteResult | undefined
}

export class AppliedRecord {
  readonly #state: FolderState
  readonly #local: LocalSide
  /** Directories made in this plan with a mode that is still to be set. */
  readonly #made = new Map<RelPath, Fingerprint>()
  #level: 'info' | 'debug' = 'info'

  constructor(state: FolderState, local: LocalSide) {
    this.#state = state
    this.#local = local
  }

  /** Another plan begins. */
  begin(): void {
    this.#made.clear()
  }

  /** How a directory looked that this plan has made, or moved, with a mode that is still to be set. */
  made(path: RelPath): Fingerprint | undefined {
    return this.#made.get(path)
  }

  /** Writes down what steps did. One transaction. */
  record(applied: readonly Applied[]): void {
    const { base, log, name } = this.#state.parts
    this.#level = applied.length > BULK ? 'debug' : 'info'
    base.transaction(() => {
      for (const { step, result } of applied) if (result !== undefined) this.#record(step, result)
    })
    for (const { step } of applied) for (const path of pathsOf(step)) this.#state.agreed(path)
    if (applied.length > BULK) log.info(`Pulled ${String(applied.length)} paths`, { folder: name })
    this.#state.changed()
  }

  /** The heads need not be applied any more. */
  drop(heads: readonly Head[]): void {
    this.#state.parts.base.dropIncomings(heads)
  }

  /** Something is gone from `path`: a directory above that could not go yet is tried again. */
  vacated(path: RelPath): void {
    const { blocked, fresh } = this.#state
    if (blocked.size === 0) return
    for (const dir of ancestorsOf(path)) if (blocked.delete(dir) && fresh !== 'all') fresh.add(dir)
  }

  #record(step: ApplyStep, result: WriteResult): void {
    const { path } = step.head
    switch (result.kind) {
      case 'done':
        this.#recordDone(step, result.print)
        return
      case 'differs':
        this.#local.lookAgain(path)
        if (step.do === 'move' || step.do === 'move-dir') this.#local.lookAgain(step.base.path)
        if (step.do === 'write' && step.content.from === 'copy') this.#local.lookAgain(step.content.row.path)
        this.#state.block(path, RETRY_SOON_MS)
        return
      case 'not-empty':
        // What the base still knows below is on its way out, and lets the directory go when it is gone.
        this.#state.block(path, RETRY_MS)
        this.#state.notEmpty.add(path)
        if (this.#state.parts.base.hasBelow(path)) return
        this.#state.problem({
          path,
          reason: 'the directory was deleted elsewhere, but here it still holds files that are ignored or new',
          todo: 'remove them or move them away; the directory then goes too',
        })
        return
      case 'problem':
        this.#state.block(path, RETRY_MS)
        this.#state.problem(result.problem)
    }
  }

  #recordDone(step: ApplyStep, print: Fingerprint | undefined): void {
    const { base, log, name } = this.#state.parts
    const { head } = step
    this.#state.solved(head.path)
    switch (step.do) {
      case 'forget':
        return
      case 'remove':
        base.remove([head.path])
        this.vacated(head.path)
        if (head.entry !== undefined) return
        this.drop([head])
        log[this.#level](`Removed ${head.path}`, { folder: name, seq: head.seq })
        return
      case 'move':
      case 'move-dir': {
        const members = step.do === 'move-dir' ? step.members : []
        const rows: BaseRow[] = members.flatMap((member) =>
          member.head.entry === undefined
            ? []
            : [{ path: member.head.path, seq: member.head.seq, entry: member.head.entry, print: member.base.print }],
        )
        base.remove([step.base.path, ...members.map((member) => member.base.path)])
        this.vacated(step.base.path)
        if (print !== undefined) base.put([{ path: head.path, seq: head.seq, entry: step.entry, print }, ...rows])
        this.drop([step.gone, ...members.flatMap((member) => [member.head, member.gone])])
        if (step.do === 'move' || sameMode(step.entry, head.entry)) this.drop([head])
        else if (print !== undefined) this.#made.set(head.path, print)
        log[this.#level](`Moved ${step.base.path} to ${head.path}`, {
          folder: name,
          seq: head.seq,
          with: members.length,
        })
        return
      }
      case 'make-dir':
      case 'write':
      case 'link':
      case 'meta': {
        if (print === undefined) return
        base.put([{ path: head.path, seq: head.seq, entry: step.entry, print }])
        if (step.do === 'make-dir' && !sameMode(step.entry, head.entry)) {
          this.#made.set(head.path, print)
          return
        }
        this.drop([head])
        const copied = step.do === 'write' && step.content.from === 'copy' ? { copiedFrom: step.content.row.path } : {}
        log[this.#level](`Pulled ${head.path}`, { folder: name, seq: head.seq, ...copied })
      }
    }
  }
}

/** Every path that a step changes. */
function pathsOf(step: ApplyStep): RelPath[] {
  if (step.do !== 'move' && step.do !== 'move-dir') return [step.head.path]
  const members = step.do === 'move-dir' ? step.members : []
  return [step, ...members].flatMap((moved) => [moved.head.path, moved.gone.path])
}

function sameMode(a: Entry, b: Entry | undefined): boolean {
  return a.kind === 'dir' && b?.kind === 'dir' && a.mode === b.mode
}
