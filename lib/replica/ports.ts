// What a replica needs from outside: a hub that orders revisions, a depot where bytes rest, and hands on a disk.

import type { ContentPlace, HeadPlace, Patch, PatchOp, PlacedHead, SourcedProposal } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { Fingerprint } from '../model/entry.ts'
import type { DirPath, HostPath, RelPath } from '../model/path.ts'
import type { Problem } from '../model/problem.ts'
import type { Outcome, Seq, TreeMove } from '../model/revision.ts'
import type { Change, Seen } from '../model/snapshot.ts'
import type { WatchEvent } from '../model/watch-event.ts'
import type { WriteResult, WriteStep } from '../model/write-step.ts'

/**
 * `heads` are those after what was asked for, up to `upTo`; `more` are to come. `rest`: the page ended among heads of one Seq, those of a move;
 * ask on from there.
 */
export interface ChangesPage {
  readonly heads: readonly PlacedHead[]
  readonly upTo: Seq
  readonly more: boolean
  readonly rest?: HeadPlace | undefined
}

/**
 * Outcomes in the order of the proposals; the commit took the folder from `prev` to `upTo`. `heads`: the heads as they are now of
 * those paths whose proposal was not accepted; a tombstone where there is none. Where they were too many, `upTo` is less than `prev`: the replica knows
 * all up to `upTo` only, and has to ask for what comes after it.
 */
export interface CommitReply {
  readonly outcomes: readonly Outcome[]
  readonly heads: readonly PlacedHead[]
  readonly prev: Seq
  readonly upTo: Seq
}

export interface Content {
  readonly sha256: Digest
  readonly size: number
}

export interface PlacedContent extends Content {
  readonly place: ContentPlace
}

/** What the coordinator holds of a content: all, or the first `staged` bytes of an earlier upload. */
export type Holding = { readonly kind: 'have' } | { readonly kind: 'go'; readonly staged: number }

/**
 * The coordinator as one folder's replica sees it. Every call throws `Unreachable` when the link is down. Of a proposal or move that throws while the
 * link lives nothing is committed later; nothing was when it throws `Refused`, unless with status 500.
 */
export interface Hub {
  changes(since: Seq | HeadPlace, signal: AbortSignal): Promise<ChangesPage>
  holdings(contents: readonly Content[], signal: AbortSignal): Promise<readonly Holding[]>
  propose(batch: readonly SourcedProposal[], signal: AbortSignal): Promise<CommitReply>
  /** Proposes moves of whole directories, one after the other. One that is refused with 409 is to be proposed path by path. */
  moveTrees(moves: readonly TreeMove[], signal: AbortSignal): Promise<CommitReply>
  places(digests: readonly Digest[], signal: AbortSignal): Promise<readonly (ContentPlace | undefined)[]>
  /** How a content was made from others that the coordinator held then; `undefined` when it is not known. */
  recipe(sha256: Digest, signal: AbortSignal): Promise<Patch | undefined>
  /** Says how far this replica has come; a hint. */
  report(state: { readonly cursor: Seq; readonly pending: number; readonly state: string }): void
  /** Milliseconds to add to this machine's clock to get the coordinator's. */
  clockOffsetMs(): number
  readonly depot: Depot
}

/** Called with the bytes moved since the last call. */
export type OnBytes = (bytes: number) => void

/** Where bodies rest on the coordinator. */
export interface Depot {
  /** Whether its bodies lie on this machine: then nobody else waits for a copy of them. */
  readonly isNear: boolean
  /** Stages a pack as `name`, or as what it then says that it is called. `bytes` must not change meanwhile. */
  putPack(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<string>
  /** Removes what was staged as `name`: nobody will ask for it. */
  discard(name: string, signal: AbortSignal): Promise<void>
  /** Streams the open local file `fd` into staging as `name`, from byte `from` on. `fd` is not touched any more once this settles. */
  putFile(
    file: { fd: number; name: string; size: number; from: number },
    onBytes: OnBytes,
    signal: AbortSignal,
  ): Promise<void>
  /** Reads small contents whole; each in a buffer that may be shared with its neighbours but with nothing else. Not verified. */
  read(contents: readonly PlacedContent[], onBytes: OnBytes, signal: AbortSignal): Promise<readonly Uint8Array[]>
  /** Streams a content into the local file `place`, from byte `from` on. Not verified. */
  readFile(
    content: PlacedContent,
    target: { place: HostPath; from: number },
    onBytes: OnBytes,
    signal: AbortSignal,
  ): Promise<void>
  /**
   * Streams bytes `from` to `to` of a content that is still on its way to the coordinator into the same places of the local file `place`; `false` when it
   * is not on its way any more. Not verified.
   */
  readComing(
    content: { readonly sha256: Digest },
    target: { place: HostPath; from: number; to: number },
    onBytes: OnBytes,
    signal: AbortSignal,
  ): Promise<boolean>
  /** Reads ranges of an object, in order and apart from each other, into the same places of the local file `place`. Not verified. */
  readRanges(
    content: Content,
    target: { place: HostPath; ranges: readonly Range[] },
    onBytes: OnBytes,
    signal: AbortSignal,
  ): Promise<void>
}

/** `length` bytes from `offset` on. */
export interface Range {
  readonly offset: number
  readonly length: number
}

export type Look =
  | { readonly state: 'seen'; readonly seen: Seen }
  | { readonly state: 'missing'; readonly problem?: Problem }
  | { readonly state: 'problem'; readonly problem: Problem }

/** Part of a scan: what differs from the base. `listed`: entries looked at since the last part. `rootState` when the folder itself could not be read. */
export interface ScanPart {
  readonly changes: readonly Change[]
  readonly problems: readonly Problem[]
  readonly listed: number
}

/** A small file's bytes are `bytes[offset, offset + size)` of the batch. */
export type ReadResult =
  | { readonly kind: 'read'; readonly sha256: Digest; readonly offset: number; readonly size: number }
  | { readonly kind: 'changed' }
  | { readonly kind: 'problem'; readonly problem: Problem }

/**
 * `patch`: how it can be made from contents that the coordinator is thought to hold, or why it has to travel whole. `recipe`: as it is kept; when it
 * was made on the way.
 */
export type HashResult =
  | {
      readonly kind: 'read'
      readonly sha256: Digest
      readonly patch: Patch | string
      readonly recipe: Uint8Array | undefined
    }
  | { readonly kind: 'changed' }
  | { readonly kind: 'problem'; readonly problem: Problem }

export interface ToRead {
  readonly path: RelPath
  readonly print: Fingerprint
}

/** `like`: the content that stood there before, which it may be made from. */
export interface ToHash extends ToRead {
  readonly like: Digest | undefined
}

export type RecipeResult =
  | { readonly kind: 'read'; readonly recipe: Uint8Array }
  | { readonly kind: 'changed' }
  | { readonly kind: 'problem'; readonly problem: Problem }

/** A staged file; copies are to come from local files, the data of `ops` from `literal`, or it stands at its place already. */
export interface Assembly {
  readonly place: HostPath
  readonly literal: HostPath | undefined
  readonly size: number
  readonly sources: readonly ToRead[]
  readonly ops: readonly PatchOp[]
}

/** A file that is hashed while it is written. Dispose it when it is not wanted any more. */
export interface Followed extends Disposable {
  /** All bytes before `end` are there and stay as they are; an `end` that falls says that they did not. */
  reached(end: number): void
  /** SHA-256 of the whole file, which is at `place` now; once, when nothing is written any more. */
  digest(place: HostPath, signal: AbortSignal): Promise<Digest>
}

/** The hands on one folder's disk: scanning, hashing and writing, off the event loop. */
export interface Disk {
  /** Scans the trees against the base; waits for `onPart` before it goes on. */
  scan(
    job: { trees: readonly DirPath[]; rules: readonly string[] },
    onPart: (part: ScanPart) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>
  look(paths: readonly RelPath[], signal: AbortSignal): Promise<readonly Look[]>
  read(files: readonly ToRead[], signal: AbortSignal): Promise<{ bytes: Uint8Array; results: readonly ReadResult[] }>
  hash(file: ToHash, signal: AbortSignal): Promise<HashResult>
  /** The recipe of a file; only when nobody else has anything to do. */
  recipe(file: ToRead, signal: AbortSignal): Promise<RecipeResult>
  /** Copies the data of `ops` out of a file into the new file `place`; `false` when the file is not what was expected. */
  extract(file: ToRead, to: { ops: readonly PatchOp[]; place: HostPath }, signal: AbortSignal): Promise<boolean>
  /** Completes a staged file; its SHA-256 then, `undefined` when a source is not what was expected. */
  assemble(assembly: Assembly, signal: AbortSignal): Promise<Digest | undefined>
  /** SHA-256 of a staged file that nobody waits for: whoever else has work goes first. */
  hashLate(place: HostPath, signal: AbortSignal): Promise<Digest>
  /** Follows a staged file while it is written. */
  follow(place: HostPath): Followed
  apply(steps: readonly WriteStep[], signal: AbortSignal): Promise<readonly WriteResult[]>
}

/** Starts watching; resolves when the whole tree is covered. */
export type StartWatch = (
  on: { events: (events: readonly WatchEvent[]) => void; limit: (problem: Problem) => void },
  signal: AbortSignal,
) => Promise<Watch>

export interface Watch extends AsyncDisposable {
  setRules(rules: readonly string[]): void
}
