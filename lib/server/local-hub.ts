// The hub as the coordinator's own replica sees it: the same process, the same disk.

import { constants, createReadStream, createWriteStream, promises as fs, writeFileSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { copySparse } from '../disk/copy-sparse.ts'
import type { SourcedProposal } from '../model/content.ts'
import { SERVER } from '../model/peer.ts'
import type { Depot, Hub } from '../replica/ports.ts'
import type { FolderHub } from './folder-hub.ts'

const PAGE = 2000

/** Peer `server`'s view of a folder's hub. */
export function localHub(hub: FolderHub): Hub {
  return {
    changes: (since) => promised(() => hub.changes(since, PAGE)),
    holdings: (contents) => promised(() => hub.holdings(SERVER, contents)),
    propose: (batch: readonly SourcedProposal[], signal) => hub.propose(SERVER, batch, signal),
    moveTrees: (moves) => promised(() => hub.moveTrees(SERVER, moves)),
    places: (digests) => promised(() => hub.places(digests)),
    // Copying the object on the same disk is quicker than making it again.
    recipe: () => Promise.resolve(undefined),
    report: () => undefined,
    clockOffsetMs: () => 0,
    depot: localDepot(hub),
  }
}

function localDepot({ store }: FolderHub): Depot {
  return {
    isNear: true,
    putPack: (name, bytes) =>
      promised(() => {
        writeFileSync(`${store.stagingOf(SERVER)}/${name}`, bytes, { mode: 0o600 })
        return name
      }),
    discard: (name) => fs.rm(`${store.stagingOf(SERVER)}/${name}`, { force: true }),
    putFile: async ({ fd, name, size }, onBytes) => {
      const target = `${store.stagingOf(SERVER)}/${name}`
      await fs.rm(target, { force: true })
      await fs.copyFile(`/proc/self/fd/${fd}`, target, constants.COPYFILE_FICLONE)
      await fs.chmod(target, 0o600)
      onBytes(size)
    },
    read: (contents, onBytes) =>
      promised(() => {
        const bodies = store.read(contents)
        onBytes(bodies.reduce((sum, bytes) => sum + bytes.length, 0))
        return bodies
      }),
    readFile: async (content, target, onBytes, signal) => {
      const { file, offset } = store.hostPlace(content.sha256, content.place)
      if (content.place.kind === 'object' && target.from === 0) {
        await fs.rm(target.place, { force: true })
        const { size, blocks } = await fs.stat(file)
        if (blocks * 512 < size) await copySparse(file, target.place, signal)
        else await fs.copyFile(file, target.place, constants.COPYFILE_FICLONE)
        await fs.chmod(target.place, 0o600)
      } else {
        const start = offset + target.from
        await pipeline(
          createReadStream(file, { start, end: offset + content.size - 1 }),
          createWriteStream(target.place, { flags: 'r+', start: target.from }),
          { signal },
        )
      }
      onBytes(content.size - target.from)
    },
    readComing: () => Promise.resolve(false),
    readRanges: async ({ sha256 }, { place, ranges }, onBytes, signal) => {
      const { file } = store.hostPlace(sha256, { kind: 'object' })
      for (const { offset, length } of ranges) {
        await pipeline(
          createReadStream(file, { start: offset, end: offset + length - 1 }),
          createWriteStream(place, { flags: 'r+', start: offset }),
          { signal },
        )
        onBytes(length)
      }
    },
  }
}

/** What `work` gives, or throws, as a promise: whoever is refused hears it as from a hub far away. */
function promised<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work())
  })
}
