// The local side of a replica: from watch events to changes, by looking at the disk and comparing with the base.

import { diffSeen } from '../core/diff.ts'
import { Settle } from '../core/settle.ts'
import { printAt } from '../disk/fingerprint.ts'
import { compileIgnore, type Ignored } from '../disk/ignore.ts'
import { samePrint } from '../model/entry.ts'
import { isBelow, parentOf, ROOT, type RelPath } from '../model/path.ts'
import type { BaseRow, Change } from '../model/snapshot.ts'
import type { WatchEvent } from '../model/watch-event.ts'
import type { FolderState } from './folder-state.ts'
import type { Look, ScanPart } from './ports.ts'
import { rootTrouble } from './root-guard.ts'

const LOOK_BATCH = 500
/** How often a halted folder is looked at. */
const HALTED_MS = 1000

const RULES_FILE = '.syncignore'

export class LocalSide {
  readonly #state: FolderState
  readonly #settle: Settle
  readonly #onRules: (rules: readonly string[]) => void
  #rules: readonly string[]
  #ignored: Ignored
  #drained: (() => void) | undefined

  constructor(state: FolderState, onRules: (rules: readonly string[]) => void) {
    this.#state = state
    this.#settle = new Settle(state.parts.settleMs)
    this.#onRules = onRules
    this.#rules = state.parts.rules()
    this.#ignored = compileIgnore(this.#rules)
  }

  get rules(): readonly string[] {
    return this.#rules
  }

  isIgnored(path: RelPath, isDir: boolean): boolean {
    return this.#ignored(path, isDir)
  }

  /** Whether some path waits to be looked at. */
  get restless(): boolean {
    return this.#settle.size > 0 || this.#state.looking > 0
  }

  /** Takes hints from the watch. */
  take(events: readonly WatchEvent[]): void {
    const now = this.#state.parts.clock.monotonic()
    for (const event of events) {
      if (event.kind === 'gone') this.#state.emptied(parentOf(event.path))
      if (event.kind === 'tree') this.#state.markTree(event.dir)
      else if (event.kind === 'gone' && this.#state.parts.base.row(event.path)?.entry.kind === 'dir') {
        // A directory that was renamed is told as gone here and new there: one scan must see both, to know the move.
        this.#state.vanished.add(event.path)
        this.#state.markTree(event.path)
      } else this.#settle.note(event.path, event.kind, now)
    }
    this.#state.localBell.ring()
    this.#state.changed()
  }

  /** Asks for a second look at a path that was not as expected. */
  lookAgain(path: RelPath): void {
    this.#settle.note(path, 'whole', this.#state.parts.clock.monotonic())
    this.#state.localBell.ring()
  }

  /** A path that keeps changing while it is read: wait until it is quiet. */
  lookLater(path: RelPath): void {
    this.#settle.note(path, 'open', this.#state.parts.clock.monotonic())
    this.#state.localBell.ring()
  }

  /** The push side has made room. */
  drained(): void {
    if (this.#backlog() < this.#state.parts.backlog / 2) this.#drained?.()
  }

  /** Looks at what is due, for ever. */
  async runLooks(signal: AbortSignal): Promise<void> {
    const { clock, disk } = this.#state.parts
    for (;;) {
      const now = clock.monotonic()
      const due = this.#settle.due(now)
      if (due.length === 0) {
        const next = this.#settle.nextDueMs()
        await this.#state.localBell.wait(
          signal,
          next === undefined ? undefined : (until) => clock.sleep(Math.max(0, next - now), until),
        )
        continue
      }
      this.#state.looking += due.length
      let left = due.length
      try {
        for (let from = 0; from < due.length; from += LOOK_BATCH) {
          const batch = due.slice(from, from + LOOK_BATCH)
          const paths = this.#withoutEchoes(batch)
          const looks = paths.length === 0 ? [] : await disk.look(paths, signal)
          this.#state.looking -= batch.length
          left -= batch.length
          if (!rootTrouble(this.#state)) this.#takeLooks(paths, looks)
        }
      } finally {
        this.#state.looking -= left
      }
      this.#state.pushBell.ring()
      this.#state.changed()
    }
  }

  /** Those that do not stand as the base says. What an apply has just written does: it is not sent through a worker only to hear that. */
  #withoutEchoes(paths: readonly RelPath[]): RelPath[] {
    const { base, root } = this.#state.parts
    const rows = base.rows(paths)
    return paths.filter((path) => {
      const row = rows.get(path)
      if (row?.entry.kind !== 'file' || path === RULES_FILE) return true
      const print = printAt(root, path)
      if (print === undefined || !samePrint(print, row.print)) return true
      this.#isAsBase(path)
      return false
    })
  }

  #takeLooks(paths: readonly RelPath[], looks: readonly Look[]): void {
    const rows = this.#state.parts.base.rows(paths)
    paths.forEach((path, index) => {
      this.#takeLook(path, looks[index] ?? { state: 'missing' }, rows.get(path))
    })
  }

  /** The disk holds what was agreed: there is nothing to push, and what waits can be applied. */
  #isAsBase(path: RelPath): void {
    const state = this.#state
    state.changes.delete(path)
    state.solved(path)
    if (state.parts.base.incoming(path) !== undefined) state.applyBell.ring()
  }

  /** Scans dirty trees, and all once in a while, for ever. */
  async runScans(signal: AbortSignal): Promise<void> {
    const { clock, rescanMs } = this.#state.parts
    let lastFullMs = clock.monotonic()
    for (;;) {
      if (this.#state.dirtyTrees.size === 0) {
        if (this.#state.halted !== undefined) {
          await clock.sleep(HALTED_MS, signal)
          rootTrouble(this.#state)
          continue
        }
        const left = Math.max(0, lastFullMs + rescanMs - clock.monotonic())
        const rang = await this.#state.scanBell.wait(signal, (until) => clock.sleep(left, until))
        if (!rang) this.#state.markTree(ROOT)
        continue
      }
      if (rootTrouble(this.#state)) {
        await clock.sleep(HALTED_MS, signal)
        continue
      }
      const trees = [...this.#state.dirtyTrees]
      this.#state.dirtyTrees.clear()
      await this.#scan(trees, signal)
      for (const dir of this.#state.vanished) {
        if (trees.some((tree) => tree === dir || isBelow(tree, dir))) this.#state.vanished.delete(dir)
      }
      if (trees.includes(ROOT)) {
        lastFullMs = clock.monotonic()
        this.#state.scanned = true
      }
      this.#state.wakeAll()
    }
  }

  async #scan(trees: readonly (RelPath | typeof ROOT)[], signal: AbortSignal): Promise<void> {
    const state = this.#state
    state.scanning = true
    state.changed()
    const before = [...state.problems.keys()].filter((path) => trees.some((tree) => isBelow(tree, path as RelPath)))
    const changed = [...state.changes.values()].filter(({ path }) =>
      trees.some((tree) => tree === path || isBelow(tree, path)),
    )
    const [found, still] = [new Set<string>(), new Set<RelPath>()]
    const late: Change[] = []
    const release = (): void => {
      for (const change of late.splice(0)) if (state.isNews(change)) this.#note(change)
    }
    const onPart = async (part: ScanPart): Promise<void> => {
      for (const problem of part.problems) {
        found.add(problem.path)
        state.problem(problem)
      }
      late.push(...part.changes)
      if (changed.length > 0) for (const { path } of part.changes) still.add(path)
      if (late.length < state.parts.backlog) return
      release()
      state.pushBell.ring()
      if (this.#backlog() >= state.parts.backlog) await this.#waitUntilDrained(signal)
    }
    try {
      await state.parts.disk.scan({ trees, rules: this.#rules }, onPart, signal)
      if (!rootTrouble(state)) release()
      // What a scan does not find any more may be as it was agreed: a directory that is back, say, because something was put into it.
      for (const change of changed)
        if (!still.has(change.path) && state.changes.get(change.path) === change) this.lookAgain(change.path)
      for (const path of before) if (!found.has(path) && !state.blocked.has(path as RelPath)) state.solved(path)
      for (const dir of state.notEmpty) if (trees.some((tree) => tree === dir || isBelow(tree, dir))) state.emptied(dir)
    } finally {
      state.scanning = false
      state.pushBell.ring()
      state.changed()
    }
  }

  async #waitUntilDrained(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#drained = wake
      signal.addEventListener('abort', wake)
    })
    this.#drained = undefined
    signal.throwIfAborted()
  }

  #backlog(): number {
    let puts = 0
    for (const change of this.#state.changes.values()) if (change.kind === 'put') puts++
    return puts
  }

  #takeLook(path: RelPath, look: Look, row: BaseRow | undefined): void {
    const state = this.#state
    if (look.state === 'problem') {
      state.problem(look.problem)
      return
    }
    if (path === RULES_FILE) this.#reloadRules()
    const odd = look.state === 'missing' ? look.problem : undefined
    const seen = look.state === 'seen' ? look.seen : undefined
    const isDir = seen?.print.kind === 'dir'
    if (this.#ignored(path, isDir || (seen === undefined && row?.entry.kind === 'dir'))) return
    if (row?.entry.kind === 'dir' && !isDir) {
      state.markTree(path)
      return
    }
    if (seen === undefined && row === undefined) {
      state.changes.delete(path)
      // What is being pushed will be in the base by and by, and then is gone.
      if (state.busy.has(path)) this.lookLater(path)
      if (odd === undefined) state.solved(path)
      else state.problem(odd)
      return
    }
    const change = diffSeen(path, row, seen)
    if (change === undefined) {
      this.#isAsBase(path)
      return
    }
    this.#note(change)
    const parent = parentOf(path)
    if (
      parent !== ROOT &&
      change.kind === 'put' &&
      state.parts.base.row(parent) === undefined &&
      !state.changes.has(parent)
    ) {
      this.#settle.note(parent, 'whole', state.parts.clock.monotonic())
    }
  }

  #note(change: Change): void {
    const { changes } = this.#state
    changes.delete(change.path)
    changes.set(change.path, change)
  }

  #reloadRules(): void {
    const rules = this.#state.parts.rules()
    if (rules.length === this.#rules.length && rules.every((rule, index) => rule === this.#rules[index])) return
    this.#rules = rules
    this.#ignored = compileIgnore(rules)
    this.#onRules(rules)
    this.#state.markTree(ROOT)
  }
}
