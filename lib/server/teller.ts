// Tells one client of commits, as fast as it reads: who falls behind is told once, later, to ask for what it missed.

import type { RpcPeer } from '../rpc/peer.ts'

/** News that wait for a client to read. More are forgotten: it asks for them. */
const WAITING_MAX = 16

/** A part of a commit that fits one message. */
export interface Piece {
  readonly prev: number
  readonly upTo: number
  readonly heads: readonly unknown[]
  readonly moved?: unknown
}

/** So many bytes of a content can be read while it is sent. */
export interface ComingHint {
  readonly sha256: string
  readonly size: number
  readonly end: number
}

/** A content is being made by a patch, as that goes on the wire. */
export interface PatchHint {
  readonly sha256: string
  readonly size: number
  readonly patch: unknown
}

export class Teller {
  readonly #peer: Pick<RpcPeer, 'notify'>
  readonly #waiting: { readonly folder: string; readonly piece: Piece }[] = []
  /** The newest Seq of each folder whose news were forgotten. */
  readonly #missed = new Map<string, number>()
  /** What was last said to be on its way, by folder and content: only the newest counts. */
  readonly #hints = new Map<string, { readonly folder: string; readonly coming: ComingHint | PatchHint }>()
  #isTelling = false

  constructor(peer: Pick<RpcPeer, 'notify'>) {
    this.#peer = peer
  }

  /** Says it now, or when the client has read what it was told before. */
  tell(folder: string, piece: Piece): void {
    if (this.#missed.has(folder)) this.#missed.set(folder, piece.upTo)
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ folder, piece })
    else this.#forget(folder, piece)
    if (!this.#isTelling) void this.#tellAll()
  }

  /** Says it after all news: an older hint of the same content that still waits is dropped. */
  hint(folder: string, coming: ComingHint | PatchHint): void {
    this.#hints.set(`${folder}/${coming.sha256}`, { folder, coming })
    const [oldest] = this.#hints.keys()
    if (this.#hints.size > WAITING_MAX && oldest !== undefined) this.#hints.delete(oldest)
    if (!this.#isTelling) void this.#tellAll()
  }

  /** Of a folder either all news are told, in order, or the client is sent to ask. */
  #forget(folder: string, { upTo }: Piece): void {
    const others = this.#waiting.filter((item) => item.folder !== folder)
    this.#waiting.splice(0, Infinity, ...others)
    this.#missed.set(folder, upTo)
  }

  async #tellAll(): Promise<void> {
    this.#isTelling = true
    try {
      for (;;) {
        const next = this.#waiting.shift() ?? this.#nextMissed()
        if (next === undefined) {
          const hint = this.#nextHint()
          if (hint === undefined) return
          const method = 'patch' in hint.coming ? 'coming_patch' : 'coming'
          await this.#peer.notify(method, { folder: hint.folder, ...hint.coming }).catch(() => undefined)
          continue
        }
        // What cannot be said is a gap in the news: the next that is said shows it, and the client asks.
        await this.#peer.notify('pull_file', { folder: next.folder, ...next.piece }).catch(() => undefined)
      }
    } finally {
      this.#isTelling = false
    }
  }

  #nextHint(): { folder: string; coming: ComingHint | PatchHint } | undefined {
    for (const [key, hint] of this.#hints) {
      this.#hints.delete(key)
      return hint
    }
    return undefined
  }

  /** News without heads that start after all the client knows: it finds that it missed some, and asks. */
  #nextMissed(): { folder: string; piece: Piece } | undefined {
    for (const [folder, upTo] of this.#missed) {
      this.#missed.delete(folder)
      return { folder, piece: { prev: upTo, upTo, heads: [] } }
    }
    return undefined
  }
}
