// The main module of a disk worker thread.

import { serveJobs } from '../daemon/serve-jobs.ts'
import {
  apply,
  assemble,
  assembleAsObject,
  digest,
  extract,
  hash,
  hashLate,
  hashStaged,
  follow,
  followed,
  unfollow,
  Hands,
  look,
  read,
  recipe,
  scan,
  take,
  type DiskJobs,
} from './disk-jobs.ts'

const hands = new Hands()

serveJobs<DiskJobs>({
  scan: async (input, port) => {
    await scan(hands, input, port)
    return undefined
  },
  look: (input) => look(hands, input),
  read: (input, port) => {
    const output = read(hands, input)
    port.transfer(output.bytes.buffer as ArrayBuffer)
    return output
  },
  hash: (input, port) => hash(hands, input, () => port.isCancelled()),
  digest: (input, port) => digest(hands, input, () => port.isCancelled()),
  recipe: (input, port) => recipe(hands, input, () => port.isCancelled()),
  extract: (input) => extract(hands, input),
  assemble: (input, port) => assemble(hands, input, () => port.isCancelled()),
  assembleObject: (input, port) => assembleAsObject(input, () => port.isCancelled()),
  hashLate: (input) => hashLate(input),
  hashStaged: (input) => hashStaged(input),
  follow: (input) => follow(hands, input),
  followed: (input) => followed(hands, input),
  unfollow: (input) => unfollow(hands, input),
  take: (input) => take(input),
  apply: (input) => apply(hands, input),
})
