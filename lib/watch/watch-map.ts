// Knows which watch stands for which directory: a tree of names, so that a renamed directory costs one step and not one per path.

import { ancestorsOf, type DirPath, joinPath, ROOT } from '../model/path.ts'

/** A directory of the tree. `wd`: its watch; undefined while it has none. */
export interface WatchNode {
  parent: WatchNode | undefined
  name: string
  wd: number | undefined
  /** Made with the first child: most directories hold none. */
  children: Map<string, WatchNode> | undefined
}

/** The watched directories of one folder. */
export class WatchMap {
  readonly root: WatchNode = { parent: undefined, name: '', wd: undefined, children: undefined }
  readonly #byWd = new Map<number, WatchNode>()

  /** How many watches are in use. */
  get size(): number {
    return this.#byWd.size
  }

  byWd(wd: number): WatchNode | undefined {
    return this.#byWd.get(wd)
  }

  /** The node at `dir`, when there is one. */
  find(dir: DirPath): WatchNode | undefined {
    if (dir === ROOT) return this.root
    let node: WatchNode | undefined = this.root
    for (const name of dir.split('/')) node = node?.children?.get(name)
    return node
  }

  /** Where `node` stands; undefined when it was taken out of the tree. */
  pathOf(node: WatchNode): DirPath | undefined {
    if (node === this.root) return ROOT
    const parent = node.parent === undefined ? undefined : this.pathOf(node.parent)
    return parent === undefined ? undefined : joinPath(parent, node.name)
  }

  /** The child `name` of `parent`, made when it is not there. */
  child(parent: WatchNode, name: string): WatchNode {
    const known = parent.children?.get(name)
    if (known !== undefined) return known
    const node: WatchNode = { parent: undefined, name, wd: undefined, children: undefined }
    attach(node, parent, name)
    return node
  }

  /**
   * Records that `node` is watched as `wd`. A `wd` that another node had means that its directory was moved here before its events came:
   * that node's children come along. Returns the watch that `node` had instead, if any: its directory is no longer here.
   */
  bind(node: WatchNode, wd: number): number | undefined {
    if (node.wd === wd) return undefined
    const elsewhere = this.#byWd.get(wd)
    // No directory can be moved into itself: it is mounted here a second time, and its watch tells it all.
    if (elsewhere !== undefined && isWithin(node, elsewhere)) return undefined
    if (elsewhere !== undefined) {
      elsewhere.wd = undefined
      detach(elsewhere)
      for (const child of [...(elsewhere.children?.values() ?? [])]) {
        if (node.children?.has(child.name) !== true) attach(child, node, child.name)
      }
    }
    const former = node.wd
    if (former !== undefined) this.#byWd.delete(former)
    node.wd = wd
    this.#byWd.set(wd, node)
    return former
  }

  /** Takes `node` with all below out of the tree; its watches stay known until they are forgotten. The root stays. */
  detach(node: WatchNode): void {
    detach(node)
  }

  /** Puts `node`, which was detached, at `name` of `parent`. Returns what stood there, detached. */
  attach(node: WatchNode, parent: WatchNode, name: string): WatchNode | undefined {
    const there = parent.children?.get(name)
    if (there !== undefined) detach(there)
    attach(node, parent, name)
    return there
  }

  /** Forgets the watch of `node` and everything below it, telling `each` of them; `node` itself stays where it is. */
  forget(node: WatchNode, each: (node: WatchNode, wd: number | undefined) => void): void {
    const due = [node]
    for (let next = due.pop(); next !== undefined; next = due.pop()) {
      const { wd } = next
      if (wd !== undefined) this.#byWd.delete(wd)
      next.wd = undefined
      each(next, wd)
      for (const child of next.children?.values() ?? []) {
        child.parent = undefined
        due.push(child)
      }
      next.children = undefined
    }
  }
}

/** Of `dirs`, those that stand below no other of them. */
export function topmost(dirs: Iterable<DirPath>): DirPath[] {
  const all = new Set(dirs)
  if (all.has(ROOT)) return [ROOT]
  return [...all].filter((dir) => dir !== ROOT && !ancestorsOf(dir).some((above) => all.has(above)))
}

function isWithin(node: WatchNode, top: WatchNode): boolean {
  for (let at: WatchNode | undefined = node; at !== undefined; at = at.parent) if (at === top) return true
  return false
}

function attach(node: WatchNode, parent: WatchNode, name: string): void {
  if (node.parent !== undefined) detach(node)
  node.parent = parent
  node.name = name
  parent.children ??= new Map()
  parent.children.set(name, node)
}

function detach(node: WatchNode): void {
  const { parent } = node
  if (parent === undefined) return
  parent.children?.delete(node.name)
  if (parent.children?.size === 0) parent.children = undefined
  node.parent = undefined
}
