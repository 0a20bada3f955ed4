// Pushes moves of whole directories: each as one proposal, and the base follows. What cannot go so goes path by path.

import type { MovedDir } from '../core/move-detection.ts'
import { treeMark } from '../core/tree-mark.ts'
import { samePrint } from '../model/entry.ts'
import { isBelow, parentOf, rebase, ROOT } from '../model/path.ts'
import type { Outcome, TreeMove } from '../model/revision.ts'
import type { Change, SaidMove } from '../model/snapshot.ts'
import type { Deletes } from './deletes.ts'
import type { Attached, FolderState } from './folder-state.ts'
import type { LocalSide } from './local-side.ts'
import type { CommitReply } from './ports.ts'
import { rootTrouble } from './root-guard.ts'
import { say } from './say.ts'

/** Moves proposed at once. */
const TREES = 16

interface Proposed {
  readonly tree: MovedDir
  readonly move: TreeMove
}

export class TreePushes {
  readonly #state: FolderState
  readonly #local: LocalSide
  readonly #deletes: Deletes
  #isActive = false

  constructor(state: FolderState, local: LocalSide, deletes: Deletes) {
    this.#state = state
    this.#local = local
    this.#deletes = deletes
  }

  /** Those of the moves that can be proposed now; none while others are on their way. `refused`: some never can, and go path by path. */
  take(trees: readonly MovedDir[]): MovedDir[] | 'refused' {
    if (this.#isActive) return []
    const verdicts = trees.map((tree) => this.#judge(tree))
    const never = trees.filter((_, index) => verdicts[index] === 'never')
    for (const tree of never) this.#deletes.refuse(tree)
    if (never.length > 0) return 'refused'
    const taken = trees.filter((_, index) => verdicts[index] === 'now').slice(0, TREES)
    for (const { from, to } of taken) this.#state.moving.add(from).add(to)
    this.#isActive = taken.length > 0
    return taken
  }

  /** Proposes moves that were taken. */
  async push(trees: readonly MovedDir[], { hub }: Attached, signal: AbortSignal): Promise<void> {
    try {
      const proposed = await this.#prepare(trees, hub.clockOffsetMs(), signal)
      if (proposed.length === 0) return
      const moves = proposed.map(({ tree: { from, to, put } }): SaidMove => ({ from, to, print: put.print }))
      const wanted = proposed.map(({ move }) => move)
      const call = () => hub.moveTrees(wanted, signal)
      const settle = (reply: CommitReply, id: number): void => {
        this.#settle(proposed, reply, id)
      }
      await say(this.#state, { said: [], moves }, { call, settle }, signal)
    } finally {
      for (const { from, to } of trees) {
        this.#state.moving.delete(from)
        this.#state.moving.delete(to)
      }
      this.#isActive = false
    }
  }

  /** They could not be proposed: path by path it may go. */
  failed(trees: readonly MovedDir[], error: unknown): void {
    const { log, name } = this.#state.parts
    for (const tree of trees) {
      log.warn(`Cannot tell the move of ${tree.from} as one: ${String(error)}`, { folder: name })
      this.#deletes.refuse(tree)
    }
  }

  /** `later`: something that it needs is on its way. `never`: not all that is known below is agreed on, or it would not all be the same there. */
  #judge(tree: MovedDir): 'now' | 'later' | 'never' {
    const { from, to, base: known, gone, untouched } = tree
    const { base } = this.#state.parts
    const above = parentOf(to)
    if (above !== ROOT && base.row(above)?.entry.kind !== 'dir') {
      return this.#state.changes.get(above)?.kind === 'put' ? 'later' : 'never'
    }
    if (this.#state.isMoving(from) || this.#state.isMoving(to)) return 'later'
    for (const path of this.#state.busy) {
      if (path === from || path === to || isBelow(from, path) || isBelow(to, path)) return 'later'
    }
    if (this.#waits(tree) || base.row(to) !== undefined || base.hasBelow(to)) return 'never'
    if (known.seq === 0 || base.row(from)?.seq !== known.seq) return 'never'
    const there = new Set(untouched.map(({ path }) => path))
    for (const one of gone) {
      const path = rebase(one.path, from, to)
      if (!there.has(path) && this.#local.isIgnored(path, one.base.entry.kind === 'dir')) return 'never'
    }
    return 'now'
  }

  /** Looks once more whether they did move, and says what the base believes to be below each. */
  async #prepare(trees: readonly MovedDir[], offsetMs: number, signal: AbortSignal): Promise<Proposed[]> {
    const { disk, clock } = this.#state.parts
    const looks = await disk.look(
      trees.flatMap(({ from, to }) => [from, to]),
      signal,
    )
    if (rootTrouble(this.#state)) return []
    return trees.flatMap((tree, index): Proposed[] => {
      const [old, now] = [looks[2 * index], looks[2 * index + 1]]
      const stands = now?.state === 'seen' && now.seen.print.kind === 'dir' && now.seen.print.ino === tree.put.print.ino
      if (old?.state !== 'missing' || !stands) {
        this.#state.markTree(tree.from)
        this.#state.markTree(tree.to)
        this.#drop(tree)
        return []
      }
      if (this.#waits(tree)) return this.#refuse(tree)
      const rows = [...this.#state.parts.base.below(tree.from)]
      // What is there and was not told as gone is ignored, or was agreed on since.
      if (rows.length !== tree.gone.length || rows.some(({ seq }) => seq === 0)) {
        return this.#refuse(tree)
      }
      const { from, to } = tree
      const move = { from, to, base: tree.base.seq, mark: treeMark(from, rows), writtenAtMs: clock.now() + offsetMs }
      return [{ tree, move }]
    })
  }

  /** Whether heads wait to be applied where it was or where it stands. */
  #waits({ from, to }: MovedDir): boolean {
    const { base } = this.#state.parts
    return [from, to].some((dir) => base.incoming(dir) !== undefined || base.incomingBelow(dir, 1).length > 0)
  }

  #refuse(tree: MovedDir): never[] {
    this.#deletes.refuse(tree)
    return []
  }

  #settle(proposed: readonly Proposed[], reply: CommitReply, id: number): void {
    const { base } = this.#state.parts
    base.transaction(() => {
      base.unheard.heard(id)
      proposed.forEach(({ tree }, index) => {
        const outcome = reply.outcomes[index]
        if (outcome !== undefined) this.#settleOne(tree, outcome)
      })
      this.#state.takeHeads(reply.heads, base.cursor())
      if (reply.prev === base.cursor()) base.setCursor(reply.upTo)
    })
    this.#state.applyBell.ring()
  }

  #settleOne(tree: MovedDir, outcome: Outcome): void {
    const { base, log, name } = this.#state.parts
    const { from, to, put, isWhole } = tree
    if (outcome.kind !== 'accepted') {
      const reason = outcome.kind === 'refused' ? outcome.reason : outcome.kind
      log.info(`The move of ${from} goes path by path: ${reason}`, { folder: name })
      this.#deletes.refuse(tree)
      return
    }
    base.moveTree(from, to, outcome.seq)
    const row = base.row(to)
    if (row?.print.mode === put.print.mode) base.put([{ ...row, print: put.print }])
    log.info(`Moved ${from} to ${to}`, { folder: name, seq: outcome.seq, with: tree.gone.length })
    this.#drop(tree)
    this.#compareAnew(tree)
    // What is not there any more, or not yet, is found by a scan.
    if (!isWhole) this.#state.markTree(to)
  }

  /** Forgets the changes that are the move. */
  #drop({ gone, untouched }: MovedDir): void {
    for (const change of [...gone, ...untouched]) this.#state.done(change)
  }

  /** Compares with the base, as it is now, what else changed where the directory was and where it stands. */
  #compareAnew({ from, to }: MovedDir): void {
    const { changes } = this.#state
    const rest: Change[] = []
    for (const change of changes.values()) {
      const { path } = change
      if (path === from || path === to || isBelow(from, path) || isBelow(to, path)) rest.push(change)
    }
    const rows = this.#state.parts.base.rows(rest.map(({ path }) => path))
    for (const change of rest) {
      const row = rows.get(change.path)
      if (change.kind === 'gone') {
        if (row === undefined) changes.delete(change.path)
      } else if (row !== undefined && samePrint(row.print, change.print)) changes.delete(change.path)
      else changes.set(change.path, { ...change, base: row })
    }
  }
}
