// A simulated disk: a tree of files, directories and links with inodes and change times, and what people do to it.

import type { Entry, FileEntry, Fingerprint } from '../../lib/model/entry.ts'
import type { DirPath, RelPath } from '../../lib/model/path.ts'
import { ancestorsOf, isBelow, nameOf, parentOf, rebase, ROOT } from '../../lib/model/path.ts'
import type { Listing, Seen } from '../../lib/model/snapshot.ts'

/** What stands at a path, and when it was last changed on this machine's clock. Milliseconds. */
export interface Standing {
  readonly entry: Entry
  readonly print: Fingerprint
  readonly changedAtMs: number
}

export class SimulatedDisk {
  readonly tree = new Map<RelPath, Standing>()
  readonly #nowMs: () => number
  #inode = 0
  #change = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** The time on this machine's clock. Milliseconds. */
  clock(): number {
    return this.#nowMs()
  }

  at(path: RelPath): Standing | undefined {
    return this.tree.get(path)
  }

  isDir(path: DirPath): boolean {
    return path === ROOT || this.tree.get(path)?.entry.kind === 'dir'
  }

  below(dir: DirPath): RelPath[] {
    return [...this.tree.keys()].filter((path) => isBelow(dir, path))
  }

  /** Puts an entry at `path`; a new inode unless only the metadata changes. The parent must be a directory. */
  put(path: RelPath, entry: Entry, keepsInode = false): Fingerprint {
    if (!this.isDir(parentOf(path))) throw new Error(`Cannot put "${path}": no directory to put it in`)
    const before = this.tree.get(path)
    const ino = keepsInode && before !== undefined ? before.print.ino : String((this.#inode += 1))
    return this.#set(path, entry, ino)
  }

  /** Makes the directories that `path` needs. False when something else is in the way. */
  makeParents(path: RelPath): boolean {
    for (const dir of ancestorsOf(path)) {
      const standing = this.tree.get(dir)
      if (standing === undefined) this.put(dir, { kind: 'dir', mode: 0o755 })
      else if (standing.entry.kind !== 'dir') return false
    }
    return true
  }

  /** Removes `path` and all below it. */
  remove(path: RelPath): void {
    for (const one of this.below(path)) this.tree.delete(one)
    this.tree.delete(path)
  }

  /** Renames `from` with all below it; nothing stands at `to`. */
  rename(from: RelPath, to: RelPath): void {
    for (const path of [from, ...this.below(from)]) {
      const standing = this.tree.get(path)
      if (standing === undefined) continue
      this.tree.delete(path)
      if (path === from) this.#set(to, standing.entry, standing.print.ino)
      else this.tree.set(rebase(path, from, to), standing)
    }
  }

  list(dir: DirPath): Listing {
    const seen: Seen[] = []
    for (const [path, { entry, print }] of this.tree) {
      if (parentOf(path) !== dir) continue
      seen.push({ name: nameOf(path), print, ...(entry.kind === 'link' ? { target: entry.target } : {}) })
    }
    return { dir, state: 'read', seen, unknown: [], problems: [] }
  }

  files(): FileEntry[] {
    return [...this.tree.values()].flatMap(({ entry }) => (entry.kind === 'file' ? [entry] : []))
  }

  #set(path: RelPath, entry: Entry, ino: string): Fingerprint {
    this.#change += 1
    const print = {
      kind: entry.kind,
      size: entry.kind === 'file' ? entry.size : 0,
      mtimeNs: entry.kind === 'file' ? entry.mtimeNs : String(this.#change),
      ctimeNs: String(this.#change),
      ino,
      mode: entry.kind === 'link' ? 0o777 : entry.mode,
    }
    this.tree.set(path, { entry, print, changedAtMs: this.#nowMs() })
    return print
  }
}
