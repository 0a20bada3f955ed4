// The content store of one folder on the coordinator: bodies become whole in staging, then rest in packs and objects.

import { randomBytes } from 'node:crypto'
import { lstatSync, readdirSync, realpathSync, renameSync, rmSync, statfsSync, statSync, unlinkSync } from 'node:fs'
import { literalBytes } from '../core/patch.ts'
import { Refused } from '../errors.ts'
import {
  DEFLATED_PREFIX,
  PACK_BYTES,
  PACKED_MAX,
  RESUME_OVERLAP,
  type ContentPlace,
  type PatchOp,
} from '../model/content.ts'
import { parseDigest, type Digest } from '../model/digest.ts'
import { hostPath, OWN_DIR, type HostPath } from '../model/path.ts'
import { makeWritable } from '../disk/make-writable.ts'
import { isThere, makeDir } from '../disk/there.ts'
import { codeOf } from '../disk/trouble.ts'
import type { KeptContent } from '../store/contents.ts'
import type { Followed } from '../replica/ports.ts'
import type { StagingWatch } from '../ssh/server/jail-files.ts'
import type { ContentJobs, Slice } from './ports.ts'
import { readBodies, type HostPlace } from './read-bodies.ts'
import { Room, type Space } from './room.ts'
import { Uploads } from './uploads.ts'

/** No pack is longer, nor all that is said to be in it: so much is made of one that is deflated, and hashed of any. Bytes. */
const PACK_MOST = PACK_BYTES + PACKED_MAX

export class ContentStore {
  readonly #own: string
  readonly #jobs: ContentJobs

  /** What is being written into staging. */
  readonly uploads: Uploads

  /** Contents that are being made by a patch: where their data is, one after the other, and how much. */
  readonly #patched = new Map<Digest, { readonly place: string; readonly end: number }>()

  /** How much may still be staged. */
  readonly room: Room

  /** Is to be told of what is written into staging; says no when the disk is nearly full. */
  readonly watch: StagingWatch

  constructor(root: HostPath, jobs: ContentJobs, measure = (): Space => spaceAt(root)) {
    this.#own = `${root}/${OWN_DIR}`
    this.#jobs = jobs
    this.uploads = new Uploads((place) => jobs.follow(place))
    this.room = new Room(measure)
    this.watch = this.room.guard(this.uploads)
  }

  /**
   * Makes the directories, and clears away what the journal does not know: unfinished packs, and packs and objects that were never committed. Those of
   * the known packs that are not there.
   */
  prepare(knownPacks: ReadonlySet<string>, knowsObject: (sha256: Digest) => boolean = () => true): string[] {
    for (const dir of ['', '/staging', '/objects', '/packs']) makeDir(`${this.#own}${dir}`)
    const packs = new Set(readdirSync(`${this.#own}/packs`))
    for (const pack of packs) if (!knownPacks.has(pack)) rmSync(`${this.#own}/packs/${pack}`, { force: true })
    for (const prefix of readdirSync(`${this.#own}/objects`)) {
      for (const name of readdirSync(`${this.#own}/objects/${prefix}`)) {
        const digest = parseDigest(name)
        if (digest === undefined || !knowsObject(digest))
          rmSync(`${this.#own}/objects/${prefix}/${name}`, { force: true })
      }
    }
    for (const peer of readdirSync(`${this.#own}/staging`, { withFileTypes: true })) {
      if (!peer.isDirectory()) continue
      for (const name of readdirSync(`${this.#own}/staging/${peer.name}`)) {
        if (!name.startsWith('o-'))
          rmSync(`${this.#own}/staging/${peer.name}/${name}`, { force: true, recursive: true })
      }
    }
    return [...knownPacks].filter((pack) => !packs.has(pack))
  }

  /** Those of `contents` whose bytes are not where they should be. Throws when that cannot be known. */
  lacking(contents: Iterable<KeptContent>): KeptContent[] {
    const files = new Map<HostPath, boolean>()
    return [...contents].filter(({ sha256, place }) => {
      const { file } = this.hostPlace(sha256, place)
      const isHere = files.get(file) ?? isThere(file)
      files.set(file, isHere)
      return !isHere
    })
  }

  /** The staging of one peer, made when it is missing. Throws `Refused` 423 when the store is not there. */
  stagingOf(peer: string): HostPath {
    return this.#dirIn('staging', peer)
  }

  /** A directory in one of the store's own, which is never made here: where it is missing, what stands at the root is not the folder. */
  #dirIn(store: 'staging' | 'objects', name: string): HostPath {
    const dir = `${this.#own}/${store}/${name}`
    try {
      makeDir(dir)
      return hostPath(dir)
    } catch (cause) {
      if (codeOf(cause) !== 'ENOENT') throw cause
      throw new Refused(`Cannot take contents: "${OWN_DIR}/${store}" of the folder is not there on the coordinator`, {
        status: 423,
        hint: 'Is its disk mounted? See "monitor status" there',
        cause,
      })
    }
  }

  /** Removes what `peer` staged as `name`. */
  discard(peer: string, name: string): void {
    const place = this.#staged(peer, name)
    this.uploads.forget(place)
    rmSync(place, { force: true })
  }

  /** Removes what peers staged before `beforeMs` (since 1970) and never came back to. */
  discardOlder(beforeMs: number): void {
    for (const peer of readdirSync(`${this.#own}/staging`, { withFileTypes: true })) {
      if (!peer.isDirectory()) {
        this.#discardWork(peer.name, beforeMs)
        continue
      }
      for (const name of readdirSync(`${this.#own}/staging/${peer.name}`)) {
        const place = this.#staged(peer.name, name)
        const found = lstatSync(place, { throwIfNoEntry: false })
        if (found === undefined || found.mtimeMs >= beforeMs) continue
        this.uploads.forget(place)
        rmSync(place, { force: true, recursive: true })
      }
    }
  }

  /** Removes what the coordinator itself was working on and never ended. */
  #discardWork(name: string, beforeMs: number): void {
    if (!/^(take|make)-[0-9a-f]{24}$/.test(name)) return
    const place = `${this.#own}/staging/${name}`
    const found = lstatSync(place, { throwIfNoEntry: false })
    if (found !== undefined && found.mtimeMs < beforeMs) rmSync(place, { force: true })
  }

  /** How many bytes of a content `peer` has staged already. */
  stagedBytes(peer: string, sha256: Digest, size: number): number {
    try {
      const staged = statSync(`${this.#own}/staging/${peer}/o-${sha256}`).size
      return staged <= size ? Math.max(0, staged - RESUME_OVERLAP) : 0
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return 0
      throw error
    }
  }

  /**
   * Verifies and keeps a staged pack; which of its slices are what they should be. `undefined` pack when none is, or it is none as packs are made, and
   * then it is gone. One that came deflated is kept plain; its slices say how long it is. Throws `Refused` 507 when there is no room for that.
   */
  async takePack(
    peer: string,
    name: string,
    slices: readonly Slice[],
    signal: AbortSignal,
  ): Promise<{ pack: string | undefined; good: readonly boolean[] }> {
    const none = { pack: undefined, good: slices.map(() => false) }
    if (!isBounded(slices)) {
      this.discard(peer, name)
      return none
    }
    const pack = `k${randomBytes(12).toString('hex')}`
    const inflatedBytes = name.startsWith(DEFLATED_PREFIX) ? lengthOf(slices) : undefined
    if (inflatedBytes !== undefined && !this.#mayInflate(peer, name, inflatedBytes)) return none
    const seized = await this.#seize(peer, name)
    if (seized === undefined) return none
    seized.followed?.[Symbol.dispose]()
    const { place } = seized
    if (lstatSync(place).size > PACK_MOST) {
      rmSync(place, { force: true })
      return none
    }
    const target = hostPath(`${this.#own}/packs/${pack}`)
    const job = { place, target, slices, inflatedBytes }
    const good = await this.#orGiveBack(peer, name, place, () => this.#jobs.take(job, signal))
    return { pack: good.includes(true) ? pack : undefined, good }
  }

  /** What may not be inflated is removed: it is too long for a pack, or, and then it throws, for the disk. */
  #mayInflate(peer: string, name: string, bytes: number): boolean {
    let mayIt = false
    try {
      if (bytes <= PACK_MOST) this.room.demand(bytes)
      mayIt = bytes <= PACK_MOST
    } finally {
      if (!mayIt) this.discard(peer, name)
    }
    return mayIt
  }

  /** Verifies and keeps a staged content as an object; `false`, and the staged file is gone, when it is not what it should be. */
  async takeFile(
    peer: string,
    name: string,
    content: { sha256: Digest; size: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    const dir = this.#dirIn('objects', content.sha256.slice(0, 2))
    const seized = await this.#seize(peer, name)
    if (seized === undefined) return false
    const { place } = seized
    using followed = seized.followed
    let isGood = false
    try {
      // What could not be hashed while it came is hashed when it is taken.
      const found = await followed?.digest(place, signal).catch(() => undefined)
      const target = hostPath(`${dir}/${content.sha256}`)
      const slices = [{ ...content, offset: 0 }]
      const [good] = await this.#orGiveBack(peer, name, place, () =>
        this.#jobs.take({ place, target, slices, whole: true, found }, signal),
      )
      isGood = good === true
      return isGood
    } finally {
      // It may also have failed: a full disk, say. Who reads along waits for what does not come.
      if (!isGood) this.uploads.refused(peer, content.sha256)
    }
  }

  /** Where `peer` stages `name`, without links on the way: as those know it who write there. */
  #staged(peer: string, name: string): string {
    const dir = `${this.#own}/staging/${peer}`
    try {
      return `${realpathSync.native(dir)}/${name}`
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      return `${dir}/${name}`
    }
  }

  /** Moves a staged file out of its writer's reach; from then on it stays as it is. `undefined` when there is none. */
  async #seize(peer: string, name: string): Promise<{ place: HostPath; followed: Followed | undefined } | undefined> {
    const staged = this.#staged(peer, name)
    const place = hostPath(`${this.#own}/staging/take-${randomBytes(12).toString('hex')}`)
    try {
      renameSync(staged, place)
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
      throw error
    }
    return { place, followed: await this.uploads.taken(place) }
  }

  /** Takes a seized file; when that fails, its owner finds it in its staging again, and need not send it anew. */
  async #orGiveBack<T>(peer: string, name: string, place: HostPath, take: () => Promise<T>): Promise<T> {
    try {
      return await take()
    } catch (error) {
      if (isThere(place)) {
        makeWritable(place) // it may be read-only already
        renameSync(place, this.#staged(peer, name))
      }
      throw error
    }
  }

  /**
   * Makes a content from `sources`, which are held, and the staged file `name`, which is gone afterwards; `false` when it does not come out as named.
   * Throws `Refused` 507 when the disk is full.
   */
  async assemble(
    peer: string,
    content: { sha256: Digest; size: number },
    how: { name: string | undefined; ops: readonly PatchOp[]; sources: readonly HostPlace[] },
    signal: AbortSignal,
  ): Promise<boolean> {
    const literal = how.name === undefined ? undefined : hostPath(`${this.#own}/staging/${peer}/${how.name}`)
    if (literal !== undefined) this.#patched.set(content.sha256, { place: literal, end: literalBytes(how.ops) })
    try {
      return await this.#jobs.assemble(
        {
          ...content,
          ops: how.ops,
          sources: how.sources,
          literal,
          scratch: hostPath(`${this.#own}/staging/make-${randomBytes(12).toString('hex')}`),
          target: hostPath(`${this.#own}/objects/${content.sha256.slice(0, 2)}/${content.sha256}`),
        },
        signal,
      )
    } catch (error) {
      this.uploads.refused(peer, content.sha256) // what is made of it elsewhere is withdrawn
      throw error
    } finally {
      this.#patched.delete(content.sha256)
      if (literal !== undefined) rmSync(literal, { force: true })
    }
  }

  /** What can be read of a large content that is on its way: its first bytes, or the data of its patch. */
  growing(sha256: Digest): { readonly place: string; readonly end: number } | undefined {
    return this.uploads.growing(sha256) ?? this.#patched.get(sha256)
  }

  /** Where on this machine the bytes of a content are. */
  hostPlace(sha256: Digest, place: ContentPlace): HostPlace {
    return place.kind === 'pack'
      ? { file: hostPath(`${this.#own}/packs/${place.pack}`), offset: place.offset }
      : { file: hostPath(`${this.#own}/objects/${sha256.slice(0, 2)}/${sha256}`), offset: 0 }
  }

  /** Reads small contents whole. Throws `Refused` 404 for one that is not there, or not all of it. */
  read(contents: readonly KeptContent[]): Uint8Array[] {
    return readBodies(contents, ({ sha256, place }) => this.hostPlace(sha256, place))
  }

  dropPack(pack: string): void {
    rmSync(`${this.#own}/packs/${pack}`, { force: true })
  }

  dropObject(sha256: Digest): void {
    try {
      unlinkSync(this.hostPlace(sha256, { kind: 'object' }).file)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
  }
}

/** Whether no more has to be hashed than a pack holds: slices may overlap. */
function isBounded(slices: readonly Slice[]): boolean {
  let bytes = 0
  return slices.every(({ size }) => size <= PACKED_MAX && (bytes += size) <= PACK_MOST)
}

/** How long a pack is whose last slice ends it. */
function lengthOf(slices: readonly Slice[]): number {
  return Math.max(...slices.map(({ offset, size }) => offset + size))
}

function spaceAt(root: HostPath): Space {
  const { blocks, bavail, bsize } = statfsSync(root)
  return { total: blocks * bsize, free: bavail * bsize }
}
