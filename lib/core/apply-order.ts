// Orders the steps of an apply plan: room is made before it is filled, sources are copied before they change.

import type { RelPath } from '../model/path.ts'
import { ancestorsOf } from '../model/path.ts'
import type { ApplyStep } from './apply-step.ts'
import { OWNER_ENTERS } from './apply-step.ts'

interface Node {
  step: ApplyStep
  readonly next: Set<Node>
  waitsFor: number
}

/**
 * Puts steps in stages. Where copies wait for each other in a circle (two files that swap contents), one is fetched instead.
 * The rules: a place is vacated before it is filled; a directory is made before anything in it, and emptied before it is removed; a file
 * is copied before it changes; a directory that becomes closed to its owner is closed last, one that is opened is opened first.
 */
export function orderSteps(steps: readonly ApplyStep[]): ApplyStep[][] {
  const nodes = steps.map((step): Node => ({ step, next: new Set(), waitsFor: 0 }))
  link(nodes)
  const stages: ApplyStep[][] = []
  const waiting = new Set(nodes)
  let ready = nodes.filter((node) => node.waitsFor === 0)
  while (waiting.size > 0) {
    if (ready.length === 0) ready = breakCircle(waiting)
    stages.push(ready.map((node) => node.step))
    for (const node of ready) waiting.delete(node)
    ready = ready.flatMap((node) => [...node.next].filter((after) => (after.waitsFor -= 1) === 0))
  }
  return stages
}

/** Fetches one copy, so that what waited for it need not. Every circle has a copy in it. */
function breakCircle(waiting: ReadonlySet<Node>): Node[] {
  for (const node of waiting) {
    const { step } = node
    if (step.do !== 'write' || step.content.from !== 'copy') continue
    const source = step.content.row.path
    node.step = { ...step, content: { from: 'fetch' } }
    const freed: Node[] = []
    for (const after of node.next) {
      if (!touchedBy(after.step).includes(source)) continue
      node.next.delete(after)
      if ((after.waitsFor -= 1) === 0) freed.push(after)
    }
    if (freed.length > 0) return freed
  }
  /* c8 ignore next 2 -- every circle has a copy in it: the property of apply-order.test.ts */
  throw new Error('Cannot order steps: they wait for each other without a copy to give up')
}

function link(nodes: readonly Node[]): void {
  const vacates = new Map<RelPath, Node>()
  const fills = new Map<RelPath, Node>()
  const touches = new Map<RelPath, Node>()
  const opens = new Map<RelPath, Node>()
  const closes = new Map<RelPath, Node>()
  for (const node of nodes) {
    for (const path of vacatedBy(node.step)) vacates.set(path, node)
    for (const path of filledBy(node.step)) fills.set(path, node)
    for (const path of touchedBy(node.step)) touches.set(path, node)
    const { step } = node
    if (step.do === 'meta' && step.entry.kind === 'dir') {
      const isOpen = (step.entry.mode & OWNER_ENTERS) === OWNER_ENTERS
      if (isOpen) opens.set(step.head.path, node)
      else closes.set(step.head.path, node)
    }
  }
  for (const node of nodes) {
    const { step } = node
    for (const path of filledBy(step)) precede(vacates.get(path), node)
    if (step.do === 'meta') precede(fills.get(step.head.path), node)
    if (step.do === 'write' && step.content.from === 'copy') precede(node, touches.get(step.content.row.path))
    for (const path of new Set([...vacatedBy(step), ...filledBy(step), ...touchedBy(step)])) {
      for (const dir of ancestorsOf(path)) {
        precede(opens.get(dir), node)
        precede(node, closes.get(dir))
      }
    }
    for (const path of filledBy(step)) for (const dir of ancestorsOf(path)) precede(fills.get(dir), node)
    for (const path of vacatedBy(step)) for (const dir of ancestorsOf(path)) precede(node, vacates.get(dir))
  }
}

function precede(before: Node | undefined, after: Node | undefined): void {
  if (before === undefined || after === undefined || before === after || before.next.has(after)) return
  before.next.add(after)
  after.waitsFor += 1
}

/** The places that hold nothing after the step. */
function vacatedBy(step: ApplyStep): RelPath[] {
  if (step.do === 'remove') return [step.head.path]
  if (step.do === 'move') return [step.gone.path]
  if (step.do === 'move-dir') return [step.gone.path, ...step.members.map((member) => member.gone.path)]
  return []
}

/** The places that hold something after the step and did not before, or hold another content. */
function filledBy(step: ApplyStep): RelPath[] {
  if (step.do === 'remove' || step.do === 'meta' || step.do === 'forget') return []
  if (step.do === 'move-dir') return [step.head.path, ...step.members.map((member) => member.head.path)]
  return [step.head.path]
}

/** The places whose former content cannot be read any more after the step, or whose fingerprint it changes. */
function touchedBy(step: ApplyStep): RelPath[] {
  if (step.do === 'meta' || step.do === 'write' || step.do === 'link')
    return step.base === undefined ? [] : [step.head.path]
  return vacatedBy(step)
}
