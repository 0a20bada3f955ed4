// The jobs of a disk worker: the synchronous hands of one process on its folders.

import { diffListing, diffSeen } from '../core/diff.ts'
import type { JobPort } from '../daemon/serve-jobs.ts'
import { FolderWriter } from '../disk/folder-writer.ts'
import { FollowHash } from '../disk/follow-hash.ts'
import { compileIgnore, type Ignored } from '../disk/ignore.ts'
import { assembleLocal, assembleObject, extractLiterals, type AssembleObject } from '../disk/assemble.ts'
import { recipeOfFile } from '../disk/hash-large.ts'
import { giveWay } from '../disk/low-priority.ts'
import { outlastTick } from '../disk/outlast-tick.ts'
import { PlainStat } from '../disk/plain-stat.ts'
import { hashFile, readFile, type Hashed } from '../disk/read-content.ts'
import { DirsInRow, SafeDirs } from '../disk/safe-dir.ts'
import { lookAt, scanDir } from '../disk/scan.ts'
import { digestOfFile, takeStaged, type TakeStaged } from '../disk/take-staged.ts'
import { untouchedIn } from '../disk/untouched.ts'
import type { PatchOp } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import { joinPath, ROOT, type DirPath, type HostPath, type RelPath } from '../model/path.ts'
import type { Problem } from '../model/problem.ts'
import type { Change } from '../model/snapshot.ts'
import type { WriteResult, WriteStep } from '../model/write-step.ts'
import { Base } from '../store/base.ts'
import { hashForPush, type LookedThrough } from './hash-job.ts'
import type { Assembly, Look, ReadResult, RecipeResult, ScanPart, ToHash, ToRead } from './ports.ts'

/** Where a folder and its base are. */
export interface Place {
  readonly root: HostPath
  readonly baseFile: string
}

/** Each kind of job with what it takes and gives. */
export interface DiskJobs {
  scan: {
    input: { at: Place; trees: readonly DirPath[]; rules: readonly string[] }
    output: undefined
    part: ScanPart
  }
  look: { input: { at: Place; paths: readonly RelPath[] }; output: Look[] }
  read: { input: { at: Place; files: readonly ToRead[] }; output: { bytes: Uint8Array; results: ReadResult[] } }
  hash: { input: { at: Place; file: ToHash; isHashed: boolean }; output: LookedThrough }
  digest: { input: { at: Place; file: ToRead }; output: Hashed }
  recipe: { input: { at: Place; file: ToRead }; output: RecipeResult }
  extract: { input: { at: Place; file: ToRead; ops: readonly PatchOp[]; place: HostPath }; output: boolean }
  assemble: { input: { at: Place; assembly: Assembly }; output: Digest | undefined }
  assembleObject: { input: AssembleObject; output: boolean }
  hashLate: { input: { place: HostPath }; output: Digest }
  hashStaged: { input: { place: HostPath }; output: Digest }
  follow: { input: { key: string; place: HostPath; end: number }; output: undefined }
  followed: { input: { key: string; place: HostPath }; output: Digest | undefined }
  unfollow: { input: { key: string }; output: undefined }
  take: { input: TakeStaged; output: boolean[] }
  apply: { input: { at: Place; steps: readonly WriteStep[] }; output: WriteResult[] }
}

/** Changes or problems gathered before a part is sent. */
const PART_SIZE = 2000
/** Entries looked at before a part is sent all the same, so that progress shows. */
const PART_LISTED = 20_000

/** Open directories of the folders this worker has touched, and the files it follows. */
export class Hands {
  readonly followed = new Map<string, FollowHash>()
  readonly #dirs = new Map<HostPath, SafeDirs>()

  dirs(root: HostPath): SafeDirs {
    const known = this.#dirs.get(root)
    if (known !== undefined) return known
    const opened = new SafeDirs(root)
    this.#dirs.set(root, opened)
    return opened
  }
}

/** Scans trees against the base; sends what differs in parts. */
export async function scan(
  hands: Hands,
  { at, trees, rules }: DiskJobs['scan']['input'],
  port: Pick<JobPort<ScanPart>, 'send' | 'isCancelled'>,
): Promise<void> {
  using base = Base.open(at.baseFile, { readOnly: true })
  const dirs = hands.dirs(at.root)
  const stat = new PlainStat()
  const ignored = compileIgnore(rules)
  let part = new Part()
  for (const tree of trees) {
    const due: DirPath[] = []
    if (tree === ROOT) due.push(ROOT)
    else if (startTree(tree, { base, dirs, ignored, part })) due.push(tree)
    for (let dir = due.pop(); dir !== undefined; dir = due.pop()) {
      const inside = scanOne({ base, dirs, stat, ignored, part }, dir)
      for (let i = inside.length - 1; i >= 0; i--) due.push(joinPath(dir, inside[i] ?? ''))
      if (part.isFull) {
        await port.send(part)
        part = new Part()
      }
      if (port.isCancelled()) return
    }
  }
  await port.send(part)
}

interface Scanning {
  readonly base: Base
  readonly dirs: SafeDirs
  readonly stat: PlainStat
  readonly ignored: Ignored
  readonly part: Part
}

/** Compares one directory; the names of those in it. */
function scanOne({ base, dirs, stat, ignored, part }: Scanning, dir: DirPath): readonly string[] {
  const untouched = untouchedIn({ dirs, stat }, dir, { prints: base.plainPrints(dir), ignored })
  if (untouched !== undefined) {
    part.listed += untouched.count
    return untouched.dirs
  }
  const listing = scanDir(dirs, dir, ignored)
  part.problems.push(...listing.problems)
  part.listed += listing.seen.length
  const { changes, goneDirs } = diffListing(base.children(dir), listing, ignored)
  for (const change of changes) part.changes.push(change)
  for (const gone of goneDirs) part.addGoneBelow(base, gone, ignored)
  return listing.seen.filter(({ print }) => print.kind === 'dir').map(({ name }) => name)
}

class Part implements ScanPart {
  readonly changes: Change[] = []
  readonly problems: Problem[] = []
  listed = 0

  get isFull(): boolean {
    return this.changes.length >= PART_SIZE || this.problems.length >= PART_SIZE || this.listed >= PART_LISTED
  }

  addGoneBelow(base: Base, dir: DirPath, ignored: Ignored): void {
    for (const row of base.below(dir)) {
      if (!ignored(row.path, row.entry.kind === 'dir')) this.changes.push({ kind: 'gone', path: row.path, base: row })
    }
  }
}

/** Compares the top of a tree itself; `true` when there is a directory to go into. */
function startTree(tree: RelPath, to: Omit<Scanning, 'stat'>): boolean {
  const { base, dirs, ignored, part } = to
  const row = base.row(tree)
  const look = lookAt(dirs, tree)
  if (look.state === 'problem') {
    part.problems.push(look.problem)
    return false
  }
  if (look.state === 'missing' && look.problem !== undefined) part.problems.push(look.problem)
  const seen = look.state === 'seen' ? look.seen : undefined
  const isDir = seen?.print.kind === 'dir'
  if (ignored(tree, isDir || row?.entry.kind === 'dir')) return false
  const change = diffSeen(tree, row, seen)
  if (change !== undefined) part.changes.push(change)
  if (!isDir) part.addGoneBelow(base, tree, ignored)
  return isDir
}

export function look(hands: Hands, { at, paths }: DiskJobs['look']['input']): Look[] {
  const dirs = hands.dirs(at.root)
  return paths.map((path) => lookAt(dirs, path))
}

/** Reads small files into one buffer of their own. */
export function read(hands: Hands, { at, files }: DiskJobs['read']['input']): DiskJobs['read']['output'] {
  const dirs = new DirsInRow(hands.dirs(at.root))
  const bytes = new Uint8Array(files.reduce((sum, file) => sum + file.print.size, 0))
  const isPast = outlastTick(at.root, files)
  let offset = 0
  const results = files.map((file): ReadResult => {
    const { size } = file.print
    if (!isPast(file.print)) return { kind: 'changed' }
    const result = readFile(dirs, file, bytes.subarray(offset, offset + size))
    if (result.kind !== 'read') return result
    offset += size
    return { kind: 'read', sha256: result.sha256, offset: offset - size, size }
  })
  return { bytes, results }
}

/** `isHashed`: someone else hashes the file meanwhile. */
export function hash(
  hands: Hands,
  { at, file, isHashed }: DiskJobs['hash']['input'],
  shouldStop: () => boolean,
): LookedThrough {
  if (!outlastTick(at.root, [file])(file.print)) return { kind: 'changed' }
  return hashForPush({ dirs: hands.dirs(at.root), baseFile: at.baseFile }, file, { isHashed, shouldStop })
}

export function digest(hands: Hands, { at, file }: DiskJobs['digest']['input'], shouldStop: () => boolean): Hashed {
  if (!outlastTick(at.root, [file])(file.print)) return { kind: 'changed' }
  return hashFile(hands.dirs(at.root), file.path, file.print, { shouldStop })
}

/** Makes a file's recipe. Its thread is for such work alone: from now on it gives way to others. */
export function recipe(
  hands: Hands,
  { at, file }: DiskJobs['recipe']['input'],
  isCancelled: () => boolean,
): RecipeResult {
  giveWay()
  const made = recipeOfFile(hands.dirs(at.root), file, isCancelled)
  return made.kind === 'read' ? { kind: 'read', recipe: made.recipe.bytes } : made
}

export function extract(hands: Hands, { at, file, ops, place }: DiskJobs['extract']['input']): boolean {
  return extractLiterals(hands.dirs(at.root), file, { ops, place })
}

export function assemble(
  hands: Hands,
  { at, assembly }: DiskJobs['assemble']['input'],
  isCancelled: () => boolean,
): Digest | undefined {
  return assembleLocal(hands.dirs(at.root), assembly, isCancelled)
}

export function assembleAsObject(job: AssembleObject, isCancelled: () => boolean): boolean {
  return assembleObject(job, isCancelled)
}

export function hashLate({ place }: DiskJobs['hashLate']['input']): Digest {
  giveWay()
  return digestOfFile(place)
}

export function hashStaged({ place }: DiskJobs['hashStaged']['input']): Digest {
  return digestOfFile(place)
}

export function follow(hands: Hands, { key, place, end }: DiskJobs['follow']['input']): undefined {
  let file = hands.followed.get(key)
  if (file === undefined) {
    file = FollowHash.open(place)
    hands.followed.set(key, file)
  }
  file.reach(end)
}

/** `undefined` when it was not followed in this thread, or another file stands there now. */
export function followed(hands: Hands, { key, place }: DiskJobs['followed']['input']): Digest | undefined {
  using known = hands.followed.get(key)
  hands.followed.delete(key)
  return known?.isAt(place) === true ? known.finish() : undefined
}

export function unfollow(hands: Hands, { key }: DiskJobs['unfollow']['input']): undefined {
  hands.followed.get(key)?.[Symbol.dispose]()
  hands.followed.delete(key)
}

export function take(job: TakeStaged): boolean[] {
  return takeStaged(job)
}

export function apply(hands: Hands, { at, steps }: DiskJobs['apply']['input']): WriteResult[] {
  using writer = new FolderWriter(at.root, hands.dirs(at.root))
  return writer.apply(steps)
}
