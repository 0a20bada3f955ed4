// What clients may have open over SFTP, or have deflated, at once: each connection so much, and all together.

import { WorkRoom } from '../ssh/server/jail-deflated.ts'
import { SFTP_LIMITS } from '../ssh/server/limits.ts'
import { OpenRoom } from '../ssh/server/open-room.ts'

/** Deflated stretches of packs that are held: each takes up to 4 MiB. */
const PACKED = { all: 16, each: 4 }
/** Stretches that are deflated or inflated: 255 KiB at most. */
const FRAMES = { all: 16, each: 4 }
/** Files and listings: a client of ours has a dozen, on all its channels. */
const HANDLES = { all: 2048, each: SFTP_LIMITS.handles }

/** The room of one connection. */
export interface ConnectionRoom {
  readonly packed: OpenRoom
  readonly frames: WorkRoom
  readonly handles: OpenRoom
}

export class SftpRoom {
  readonly #packed = new OpenRoom(PACKED.all)
  readonly #frames = new WorkRoom(FRAMES.all)
  readonly #handles = new OpenRoom(HANDLES.all)

  ofConnection(): ConnectionRoom {
    return {
      packed: new OpenRoom(PACKED.each, this.#packed),
      frames: new WorkRoom(FRAMES.each, this.#frames),
      handles: new OpenRoom(HANDLES.each, this.#handles),
    }
  }
}
