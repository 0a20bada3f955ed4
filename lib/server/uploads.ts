// What clients are writing into staging right now: hashed as it comes, and waited for before it is taken.

import { dirname } from 'node:path'
import { parseDigest, type Digest } from '../model/digest.ts'
import type { HostPath } from '../model/path.ts'
import type { StagingWatch, WriteWatch } from '../ssh/server/jail-files.ts'
import type { Followed } from '../replica/ports.ts'

/** Files whose hash is kept while they are written or wait to be taken; the oldest beyond that is hashed when it is taken. */
const FOLLOWED_MAX = 8
/** Files that are remembered at all. */
const UPLOADS_MAX = 256

/** How far a file is whole from its start; what is written below that end makes it stale. */
interface Upload {
  readonly place: string
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

/** How much a content must have grown before it is told again. Bytes. */
const TOLD_EACH = 8 * 1024 * 1024

export class Uploads implements StagingWatch {
  /** Is told how large contents grow. */
  onGrowth: ((growth: Growth) => void) | undefined
  readonly #follow: (place: HostPath) => Followed
  readonly #uploads = new Map<string, Upload>()

  constructor(follow: (place: HostPath) => Followed) {
    this.#follow = follow
  }

  /** A client has opened `place` for writing; `isEmpty`: there is nothing in it. Packs are read soon anyway: they are not followed. */
  opened(place: string, isEmpty: boolean): WriteWatch {
    const upload = this.#uploads.get(place) ?? this.#begin(place, isEmpty)
    if (isEmpty && upload.end > 0) this.#spoil(upload)
    return {
      began: (position) => {
        upload.writes++
        if (position !== upload.end) this.#spoil(upload)
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
    }
  }

  /**
   * What was written at `place` has been moved away: nothing new is written to it. Resolves when what was begun is done; with the hash, which is
   * the caller's from now on, when it can be trusted.
   */
  async taken(place: string): Promise<Followed | undefined> {
    const upload = this.#uploads.get(place)
    this.#uploads.delete(place)
    if (upload === undefined) return undefined
    if (upload.writes > 0) await new Promise<void>((resolve) => upload.idle.push(resolve))
    return upload.isStale ? undefined : upload.followed
  }

  /** What is at `place` is wanted no more, or is another file now. */
  forget(place: string): void {
    const upload = this.#uploads.get(place)
    if (upload !== undefined) this.#spoil(upload)
    this.#uploads.delete(place)
  }

  #begin(place: string, isEmpty: boolean): Upload {
    const isFollowed = isEmpty && nameOf(place).startsWith('o-')
    const followed = isFollowed ? this.#follow(place as HostPath) : undefined
    const upload: Upload = { place, writes: 0, end: 0, told: 0, isStale: !isFollowed, followed, idle: [] }
    this.#uploads.set(place, upload)
    this.#bound()
    return upload
  }

  /** What came was not what was named: whoever read of it meanwhile is told. */
  refused(peer: string, sha256: Digest): void {
    this.onGrowth?.({ peer, sha256, end: 0 })
  }

  /** A large content that is being sent, as far as it stands. */
  growing(sha256: Digest): { readonly place: string; readonly end: number } | undefined {
    for (const { place, end, isStale } of this.#uploads.values()) {
      if (!isStale && end > 0 && nameOf(place) === `o-${sha256}`) return { place, end }
    }
    return undefined
  }

  /** From now on the hash cannot be trusted, nor what others read of it. */
  #spoil(upload: Upload): void {
    upload.isStale = true
    upload.followed?.[Symbol.dispose]()
    upload.followed = undefined
    if (upload.told > 0) this.#say(upload.place, 0)
    upload.told = 0
  }

  #tell(upload: Upload): void {
    if (upload.end - upload.told < TOLD_EACH) return
    upload.told = upload.end
    this.#say(upload.place, upload.end)
  }

  #say(place: string, end: number): void {
    const sha256 = parseDigest(nameOf(place).slice(2))
    if (sha256 !== undefined) this.onGrowth?.({ peer: nameOf(dirname(place)), sha256, end })
  }

  #bound(): void {
    let followed = 0
    for (const upload of this.#uploads.values()) if (upload.followed !== undefined) followed++
    for (const [place, upload] of this.#uploads) {
      if (followed > FOLLOWED_MAX && upload.followed !== undefined) {
        this.#spoil(upload)
        followed--
      }
      if (this.#uploads.size > UPLOADS_MAX && upload.writes === 0 && upload.followed === undefined)
        this.#uploads.delete(place)
    }
  }
}

function nameOf(place: string): string {
  return place.slice(place.lastIndexOf('/') + 1)
}
