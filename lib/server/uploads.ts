// What clients are writing into staging right now: hashed as it comes, told to others, and waited for before it is taken.

import { lstatSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { largeNamed } from '../model/content.ts'
import type { Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { Followed } from '../replica/ports.ts'
import type { OpenedFile, StagingWatch, WriteWatch } from '../ssh/server/jail-files.ts'

/** Files whose hash is kept while they are written or wait to be taken; the oldest beyond that is hashed when it is taken. */
const FOLLOWED_MAX = 8
/** Files that nobody has open are remembered up to so many. */
const UPLOADS_MAX = 256
/** How much a content must have grown before it is told again. Bytes. */
const TOLD_EACH = 8 * 1024 * 1024

/** One file, by whatever name. Its first `end` bytes were written once, in order; once that is not so any more, it is stale. */
interface Upload {
  place: string
  readonly sha256: Digest | undefined
  handles: number
  writes: number
  end: number
  told: number
  isStale: boolean
  followed: Followed | undefined
  readonly idle: (() => void)[]
}

/** A large content that a peer is sending: its first `end` bytes stand; 0: it is withdrawn. */
export interface Growth {
  readonly peer: string
  readonly sha256: Digest
  readonly end: number
}

export class Uploads implements StagingWatch {
  /** Is told how large contents grow. */
  onGrowth: ((growth: Growth) => void) | undefined
  readonly #follow: (place: HostPath) => Followed
  /** By device and inode: a file stays the same under another name, and for handles opened under the old one. */
  readonly #uploads = new Map<string, Upload>()

  constructor(follow: (place: HostPath) => Followed) {
    this.#follow = follow
  }

  opened(file: OpenedFile): WriteWatch {
    const key = keyOf(file)
    const known = this.#uploads.get(key)
    // An inode of a file that is gone may be given to a new one.
    const upload = known === undefined || file.isNew ? this.#begin(key, file) : known
    if (file.isCut && (upload.end > 0 || upload.writes > 0)) this.#spoil(upload)
    upload.handles++
    this.#bound()
    return {
      began: (position) => {
        // Two at once may land in any order.
        if (upload.writes++ > 0 || position !== upload.end) this.#spoil(upload)
      },
      ended: (end) => {
        upload.writes--
        if (end === undefined) this.#spoil(upload)
        else if (!upload.isStale) {
          upload.end = end
          upload.followed?.reached(end)
          this.#tell(upload)
        }
        if (upload.writes === 0) for (const tell of upload.idle.splice(0)) tell()
      },
      resized: () => {
        this.#spoil(upload)
      },
      closed: () => {
        upload.handles--
        if (upload.handles === 0 && upload.isStale) this.#drop(upload)
      },
    }
  }

  /**
   * The file at `place` has just been moved there, out of its writers' reach: nothing new is written to it. Resolves when what was begun is done;
   * with the hash, which is the caller's from now on, when it can be trusted.
   */
  async taken(place: string): Promise<Followed | undefined> {
    const found = lstatSync(place, { bigint: true, throwIfNoEntry: false })
    const upload = found === undefined ? undefined : this.#uploads.get(keyOf(found))
    if (upload === undefined) return undefined
    if (upload.writes > 0) await new Promise<void>((resolve) => upload.idle.push(resolve))
    const { followed } = upload
    upload.followed = undefined
    upload.told = 0
    upload.isStale = true
    // A file that is given back is written to again by who still has it open.
    if (upload.handles === 0) this.#drop(upload)
    return followed
  }

  /** What is at `place` is removed, or gets another name. */
  forget(place: string): void {
    for (const upload of this.#uploads.values()) {
      if (upload.place !== place) continue
      this.#spoil(upload)
      if (upload.handles === 0) this.#drop(upload)
    }
  }

  /** What came was not what was named, or nobody will see it: whoever read of it meanwhile is told. */
  refused(peer: string, sha256: Digest): void {
    this.onGrowth?.({ peer, sha256, end: this.growing(sha256)?.end ?? 0 })
  }

  /** A large content that is being sent, as far as it stands; where most of it does. */
  growing(sha256: Digest): { readonly place: string; readonly end: number } | undefined {
    let best: Upload | undefined
    for (const upload of this.#uploads.values()) {
      if (upload.sha256 === sha256 && !upload.isStale && upload.end > (best?.end ?? 0)) best = upload
    }
    return best
  }

  #begin(key: string, { place, isNew }: OpenedFile): Upload {
    const sha256 = largeNamed(basename(place))
    const isFollowed = isNew && sha256 !== undefined
    const upload: Upload = {
      ...{ place, sha256, handles: 0, writes: 0, end: 0, told: 0, idle: [] },
      isStale: !isFollowed,
      followed: isFollowed ? this.#follow(place as HostPath) : undefined,
    }
    const before = this.#uploads.get(key)
    if (before !== undefined) this.#spoil(before)
    this.#uploads.delete(key) // the newest is last
    this.#uploads.set(key, upload)
    return upload
  }

  /** From now on the hash cannot be trusted, nor what others read of it. */
  #spoil(upload: Upload): void {
    upload.isStale = true
    upload.followed?.[Symbol.dispose]()
    upload.followed = undefined
    const wasTold = upload.told > 0
    upload.told = 0
    if (wasTold && upload.sha256 !== undefined) this.refused(basename(dirname(upload.place)), upload.sha256)
  }

  #tell(upload: Upload): void {
    const { place, sha256, end, told } = upload
    if (sha256 === undefined || end - told < TOLD_EACH) return
    upload.told = end
    this.onGrowth?.({ peer: basename(dirname(place)), sha256, end })
  }

  #drop(upload: Upload): void {
    for (const [key, one] of this.#uploads) if (one === upload) this.#uploads.delete(key)
  }

  /** The oldest are let go of. What stands of them stands: it is only hashed later. */
  #bound(): void {
    let followed = 0
    for (const upload of this.#uploads.values()) if (upload.followed !== undefined) followed++
    for (const upload of this.#uploads.values()) {
      if (followed > FOLLOWED_MAX && upload.followed !== undefined) {
        upload.followed[Symbol.dispose]()
        upload.followed = undefined
        followed--
      }
      if (this.#uploads.size > UPLOADS_MAX && upload.handles === 0 && upload.followed === undefined) this.#drop(upload)
    }
  }
}

function keyOf({ dev, ino }: Pick<OpenedFile, 'dev' | 'ino'>): string {
  return `${String(dev)}:${String(ino)}`
}
